//! Each collector on recorded trees of `/proc` and `/sys` (`tests/trees`), in two samples where
//! it forms differences, and on trees with missing and strange files.

use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};

use super::*;

mod damaged;
mod further;
mod hour;
mod odd;
mod options;
mod plain;
mod this_host;

const SECOND_NS: u64 = 1_000_000_000;

pub(super) fn tree(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/trees")
        .join(name)
}

/// One sample of a recorded host after the other.
pub(super) struct Host {
    batch: Batch,
    time_s: u64,
}

impl Host {
    pub(super) fn new() -> Self {
        let tags = [("host".to_owned(), "web1".to_owned())];
        Self {
            batch: Batch::new(tags.into()),
            time_s: 1_000_000_000,
        }
    }

    /// Gathers from `roots` and checks lines and troubles; the next sample is 10 s later.
    #[track_caller]
    pub(super) fn gather(
        &mut self,
        collector: &mut dyn Collector,
        roots: &Roots,
        expected: &Expect,
    ) {
        let at = Moment {
            time_ns: (self.time_s * SECOND_NS).cast_signed(),
            monotonic_ns: self.time_s * SECOND_NS,
        };
        self.time_s += 10;
        self.batch.start(at.time_ns);
        let result = collector.gather(roots, at, &mut self.batch);
        let mut shown = String::from_utf8_lossy(self.batch.as_bytes()).into_owned();
        // One field a line: a difference is then one line, too.
        shown = shown.replace(',', "\n    ");
        if let Err(troubles) = result {
            let first = troubles
                .first()
                .map(ToString::to_string)
                .unwrap_or_default();
            let place = env!("CARGO_MANIFEST_DIR").to_owned() + "/tests/trees/";
            let first = first.replace(&place, "");
            shown += &format!("! {} trouble(s), first: {first}\n", troubles.count());
        }
        expected.assert_eq(&shown);
    }
}

fn web1() -> (Roots, Roots) {
    (
        Roots::under(&tree("web1/first")),
        Roots::under(&tree("web1/second")),
    )
}

#[track_caller]
fn once(mut collector: impl Collector, roots: &Roots, expected: &Expect) {
    Host::new().gather(&mut collector, roots, expected);
}

#[test]
fn cpu_needs_two_samples() {
    let (first, second) = web1();
    let mut cpu = cpu::Cpu::new(CpuOptions::default());
    let mut host = Host::new();
    host.gather(&mut cpu, &first, &expect![""]);
    host.gather(
        &mut cpu,
        &second,
        &expect![[r#"
        cpu
            cpu=cpu0
            host=web1 usage_user=30
            usage_system=10
            usage_idle=40
            usage_nice=4
            usage_iowait=2
            usage_irq=1
            usage_softirq=1.5
            usage_steal=0.5
            usage_guest=10
            usage_guest_nice=1 1000000010000000000
        cpu
            cpu=cpu1
            host=web1 usage_user=0
            usage_system=0
            usage_idle=100.1
            usage_nice=0
            usage_iowait=-0.1
            usage_irq=0
            usage_softirq=0
            usage_steal=0
            usage_guest=0
            usage_guest_nice=0 1000000010000000000
        cpu
            cpu=cpu-total
            host=web1 usage_user=15
            usage_system=5
            usage_idle=70.05
            usage_nice=2
            usage_iowait=0.95
            usage_irq=0.5
            usage_softirq=0.75
            usage_steal=0.25
            usage_guest=5
            usage_guest_nice=0.5 1000000010000000000
    "#]],
    );
    // The same numbers again: no time has passed, nothing can be said.
    host.gather(&mut cpu, &second, &expect![""]);
    // Time went back, as after a restored snapshot.
    host.gather(
        &mut cpu,
        &first,
        &expect![[r#"
        ! 1 trouble(s), first: time of cpu0 in web1/first/proc/stat went back
    "#]],
    );
}

#[test]
fn cpu_times_and_active_are_there_when_asked_for() {
    let (first, second) = web1();
    let mut cpu = cpu::Cpu::new(CpuOptions {
        percpu: false,
        totalcpu: true,
        collect_cpu_time: true,
        report_active: true,
        core_tags: false,
    });
    let mut host = Host::new();
    host.gather(
        &mut cpu,
        &first,
        &expect![[r#"
        cpu
            cpu=cpu-total
            host=web1 time_user=218.21
            time_system=57.35
            time_idle=1818.75
            time_nice=0.1
            time_iowait=11.98
            time_irq=0
            time_softirq=1.76
            time_steal=15.85
            time_guest=1
            time_guest_nice=0.05
            time_active=305.25 1000000000000000000
    "#]],
    );
    host.gather(
        &mut cpu,
        &second,
        &expect![[r#"
        cpu
            cpu=cpu-total
            host=web1 time_user=222.21
            time_system=58.35
            time_idle=1832.76
            time_nice=0.6
            time_iowait=12.17
            time_irq=0.1
            time_softirq=1.91
            time_steal=15.9
            time_guest=2
            time_guest_nice=0.15
            time_active=311.24 1000000010000000000
        cpu
            cpu=cpu-total
            host=web1 usage_user=15
            usage_system=5
            usage_idle=70.05
            usage_nice=2
            usage_iowait=0.95
            usage_irq=0.5
            usage_softirq=0.75
            usage_steal=0.25
            usage_guest=5
            usage_guest_nice=0.5
            usage_active=29.95 1000000010000000000
    "#]],
    );
}

#[test]
fn mem_as_now() {
    once(
        mem::Mem::new(MemOptions::default()),
        &web1().0,
        &expect![[r#"
            mem
                host=web1 total=25276510208i
                available=23868571648i
                used=1407938560i
                used_percent=5.570146149187906
                available_percent=94.4298538508121
                buffered=2805760i
                cached=661602304i
                free=21413961728i
                huge_pages_free=14i
                huge_pages_total=16i
                active=106586112i
                inactive=505245696i
                commit_limit=12638253056i
                committed_as=275718144i
                dirty=36052992i
                high_free=0i
                high_total=0i
                huge_page_size=2097152i
                low_free=0i
                low_total=0i
                mapped=64516096i
                page_tables=3571712i
                shared=9068544i
                slab=95031296i
                sreclaimable=71127040i
                sunreclaim=23904256i
                swap_cached=12288i
                swap_free=3221225472i
                swap_total=4294967296i
                vmalloc_chunk=0i
                vmalloc_total=35184372087808i
                vmalloc_used=15265792i
                write_back=8192i
                write_back_tmp=0i 1000000000000000000
        "#]],
    );
}

#[test]
fn mem_as_before_1_36_and_extended() {
    let options = MemOptions {
        used: MemUsed::Classic,
        collect_extended: true,
    };
    once(
        mem::Mem::new(options),
        &web1().0,
        &expect![[r#"
        mem
            host=web1 total=25276510208i
            available=23868571648i
            used=3198140416i
            used_percent=12.652618536667259
            available_percent=94.4298538508121
            buffered=2805760i
            cached=661602304i
            free=21413961728i
            huge_pages_free=14i
            huge_pages_total=16i
            active=106586112i
            inactive=505245696i
            commit_limit=12638253056i
            committed_as=275718144i
            dirty=36052992i
            high_free=0i
            high_total=0i
            huge_page_size=2097152i
            low_free=0i
            low_total=0i
            mapped=64516096i
            page_tables=3571712i
            shared=9068544i
            slab=95031296i
            sreclaimable=71127040i
            sunreclaim=23904256i
            swap_cached=12288i
            swap_free=3221225472i
            swap_total=4294967296i
            vmalloc_chunk=0i
            vmalloc_total=35184372087808i
            vmalloc_used=15265792i
            write_back=8192i
            write_back_tmp=0i
            active_anon=1622016i
            inactive_anon=25997312i
            active_file=104964096i
            inactive_file=479248384i
            unevictable=22581248i
            percpu=679936i 1000000000000000000
    "#]],
    );
}

#[test]
fn swap_space_and_traffic() {
    once(
        swap::Swap::default(),
        &web1().0,
        &expect![[r#"
        swap
            host=web1 total=4294967296i
            used=1073741824i
            free=3221225472i
            used_percent=25 1000000000000000000
        swap
            host=web1 in=12288i
            out=286720000i 1000000000000000000
    "#]],
    );
}

#[test]
fn system_without_utmp() {
    once(
        system::System::default(),
        &web1().0,
        &expect![[r#"
        system
            host=web1 load1=0.3
            load5=0.25
            load15=1.19
            n_cpus=2i
            n_physical_cpus=1i 1000000000000000000
        system
            host=web1 uptime=1249661i 1000000000000000000
        system
            host=web1 uptime_format="14 days
             11:07" 1000000000000000000
    "#]],
    );
}

#[test]
fn kernel_counters() {
    once(
        kernel::Kernel::new(KernelOptions::default()),
        &web1().0,
        &expect![[r#"
        kernel
            host=web1 entropy_avail=256i
            interrupts=258587i
            context_switches=396592i
            boot_time=1795385093i
            processes_forked=9602i 1000000000000000000
    "#]],
    );
}

#[test]
fn processes_by_state() {
    once(
        processes::Processes::new(),
        &web1().0,
        &expect![[r#"
        processes
            host=web1 blocked=1i
            zombies=1i
            stopped=2i
            running=1i
            sleeping=1i
            total=10i
            unknown=0i
            dead=0i
            paging=0i
            total_threads=16i
            idle=2i
            parked=1i 1000000000000000000
    "#]],
    );
}

#[test]
fn diskio_in_two_samples() {
    let (first, second) = web1();
    let mut diskio = diskio::DiskIo::new(DiskIoOptions::default());
    let mut host = Host::new();
    host.gather(
        &mut diskio,
        &first,
        &expect![[r#"
        diskio
            host=web1
            name=sda
            wwid=t10.ATA\ \ \ \ \ QEMU\ HARDDISK reads=39637i
            merged_reads=8466i
            read_bytes=2747122688i
            read_time=63251i
            writes=20237i
            merged_writes=15187i
            write_bytes=1301331968i
            write_time=15050i
            iops_in_progress=0i
            io_time=17424i
            weighted_io_time=79750i 1000000000000000000
        diskio
            host=web1
            name=sda1 reads=100i
            merged_reads=0i
            read_bytes=409600i
            read_time=50i
            writes=200i
            merged_writes=10i
            write_bytes=819200i
            write_time=100i
            iops_in_progress=1i
            io_time=60i
            weighted_io_time=150i 1000000000000000000
        diskio
            host=web1
            name=nvme0n1 reads=5i
            merged_reads=0i
            read_bytes=20480i
            read_time=2i
            writes=0i
            merged_writes=0i
            write_bytes=0i
            write_time=0i
            iops_in_progress=0i
            io_time=2i
            weighted_io_time=2i 1000000000000000000
    "#]],
    );
    host.gather(
        &mut diskio,
        &second,
        &expect![[r#"
        diskio
            host=web1
            name=sda
            wwid=t10.ATA\ \ \ \ \ QEMU\ HARDDISK reads=39737i
            merged_reads=8466i
            read_bytes=2747225088i
            read_time=63451i
            writes=20537i
            merged_writes=15187i
            write_bytes=1301843968i
            write_time=15650i
            iops_in_progress=2i
            io_time=17924i
            weighted_io_time=80550i
            io_await=2
            io_svctm=1.25
            io_util=5 1000000010000000000
        diskio
            host=web1
            name=sda1 reads=1i
            merged_reads=0i
            read_bytes=4096i
            read_time=1i
            writes=200i
            merged_writes=10i
            write_bytes=819200i
            write_time=100i
            iops_in_progress=0i
            io_time=60i
            weighted_io_time=150i 1000000010000000000
        diskio
            host=web1
            name=nvme0n1 reads=5i
            merged_reads=0i
            read_bytes=20480i
            read_time=2i
            writes=0i
            merged_writes=0i
            write_bytes=0i
            write_time=0i
            iops_in_progress=0i
            io_time=2i
            weighted_io_time=2i
            io_util=0 1000000010000000000
    "#]],
    );
}

#[test]
fn net_interfaces_that_are_up_and_the_legacy_line() {
    once(
        net::Net::new(NetOptions::default()),
        &web1().0,
        &expect![[r#"
            net
                host=web1
                interface=eth0 bytes_recv=224251666i
                packets_recv=5812i
                err_in=1i
                drop_in=2i
                bytes_sent=244934i
                packets_sent=2541i
                err_out=7i
                drop_out=8i
                speed=1000i 1000000000000000000
            net
                host=web1
                interface=eth0:1 bytes_recv=10i
                packets_recv=20i
                err_in=30i
                drop_in=40i
                bytes_sent=50i
                packets_sent=60i
                err_out=70i
                drop_out=80i
                speed=-1i 1000000000000000000
            net
                host=web1
                interface=all ip_forwarding=2i
                ip_defaultttl=64i
                ip_inreceives=5839i
                ip_inhdrerrors=0i
                icmp_inmsgs=1i
                icmp_outmsgs=2i
                icmpmsg_intype3=1i
                tcp_rtoalgorithm=1i
                tcp_rtomin=200i
                tcp_rtomax=120000i
                tcp_maxconn=-1i
                tcp_activeopens=22i
                tcp_passiveopens=2i
                tcp_attemptfails=1i
                tcp_estabresets=6i
                tcp_currestab=3i
                tcp_insegs=5797i
                tcp_outsegs=2527i
                tcp_retranssegs=4i
                tcp_inerrs=5i
                tcp_outrsts=17i
                tcp_incsumerrors=0i
                udp_indatagrams=41i
                udp_noports=0i
                udp_inerrors=0i
                udp_outdatagrams=42i
                udp_rcvbuferrors=0i
                udp_sndbuferrors=0i
                udplite_indatagrams=0i
                udplite_noports=7i 1000000000000000000
        "#]],
    );
}

#[test]
fn net_with_host_proc_shows_all_of_the_first_process() {
    let proc = tree("container/proc");
    let roots =
        Roots::from_lookup(|name| (name == "HOST_PROC").then(|| proc.clone().into_os_string()));
    let options = NetOptions {
        legacy_protocol_stats: false,
        interfaces: crate::glob::Filter::default(),
    };
    once(
        net::Net::new(options),
        &roots,
        &expect![[r#"
        net
            host=web1
            interface=lo bytes_recv=1i
            packets_recv=2i
            err_in=3i
            drop_in=4i
            bytes_sent=5i
            packets_sent=6i
            err_out=7i
            drop_out=8i
            speed=-1i 1000000000000000000
        net
            host=web1
            interface=veth0 bytes_recv=11i
            packets_recv=12i
            err_in=13i
            drop_in=14i
            bytes_sent=15i
            packets_sent=16i
            err_out=17i
            drop_out=18i
            speed=-1i 1000000000000000000
    "#]],
    );
}
