//! Strange text in the kernel's files costs what it holds and no more (`tests/trees/odd`).

use expect_test::expect;

use super::*;

fn odd() -> Roots {
    Roots::under(&tree("odd"))
}

#[test]
fn cpu() {
    let mut cpu = cpu::Cpu::new(CpuOptions {
        collect_cpu_time: true,
        ..CpuOptions::default()
    });
    Host::new().gather(
        &mut cpu,
        &odd(),
        &expect![[r#"
        cpu
            cpu=cpu0
            host=web1 time_user=0.1
            time_system=0.1
            time_idle=0.8
            time_nice=0
            time_iowait=0
            time_irq=0
            time_softirq=0
            time_steal=0
            time_guest=0
            time_guest_nice=0 1000000000000000000
        ! 4 trouble(s), first: strange text in odd/proc/stat: cpu  1 2 3
    "#]],
    );
}

#[test]
fn mem() {
    once(
        mem::Mem::new(MemOptions::default()),
        &odd(),
        &expect![[r#"
        mem
            host=web1 total=1024000i
            available=102400i
            used=921600i
            used_percent=90
            available_percent=10
            buffered=9223372036854775807i
            cached=102400i
            free=0i
            huge_pages_free=0i
            huge_pages_total=0i
            active=0i
            inactive=0i
            commit_limit=0i
            committed_as=0i
            dirty=0i
            high_free=0i
            high_total=0i
            huge_page_size=0i
            low_free=0i
            low_total=0i
            mapped=0i
            page_tables=0i
            shared=0i
            slab=0i
            sreclaimable=0i
            sunreclaim=0i
            swap_cached=0i
            swap_free=0i
            swap_total=0i
            vmalloc_chunk=0i
            vmalloc_total=0i
            vmalloc_used=0i
            write_back=0i
            write_back_tmp=0i 1000000000000000000
        ! 3 trouble(s), first: strange text in odd/proc/meminfo: MemFree: lots kB
    "#]],
    );
}

#[test]
fn swap() {
    once(
        swap::Swap::default(),
        &odd(),
        &expect![[r#"
        swap
            host=web1 in=0i
            out=8192i 1000000000000000000
        ! 2 trouble(s), first: strange text in odd/proc/meminfo: MemTotal:  1000 kB\nMemFree: lots kB\nno colon here\nMemAvailable:\nBuffers: 1844674
    "#]],
    );
}

#[test]
fn system() {
    once(
        system::System::default(),
        &odd(),
        &expect![[r#"
        system
            host=web1 n_cpus=3i
            n_physical_cpus=3i 1000000000000000000
        ! 2 trouble(s), first: strange text in odd/proc/loadavg: high\n
    "#]],
    );
}

#[test]
fn kernel() {
    once(
        kernel::Kernel::new(KernelOptions::default()),
        &odd(),
        &expect![[r#"
        kernel
            host=web1 boot_time=5i
            disk_pages_in=7i
            disk_pages_out=8i 1000000000000000000
        ! 3 trouble(s), first: strange text in odd/proc/sys/kernel/random/entropy_avail: \n
    "#]],
    );
}

#[test]
fn processes() {
    once(
        processes::Processes::new(),
        &odd(),
        &expect![[r#"
        processes
            host=web1 blocked=0i
            zombies=0i
            stopped=0i
            running=0i
            sleeping=1i
            total=1i
            unknown=0i
            dead=0i
            paging=0i
            total_threads=0i
            idle=0i 1000000000000000000
        ! 2 trouble(s), first: strange text in odd/proc/8/stat: 8 (short) S 1 2 3\n
    "#]],
    );
}

#[test]
fn diskio() {
    once(
        diskio::DiskIo::new(DiskIoOptions::default()),
        &odd(),
        &expect![[r#"
        diskio
            host=web1
            name=sdc reads=1i
            merged_reads=2i
            read_bytes=1536i
            read_time=4i
            writes=5i
            merged_writes=6i
            write_bytes=9223372036854775807i
            write_time=8i
            iops_in_progress=9i
            io_time=10i
            weighted_io_time=11i 1000000000000000000
        ! 3 trouble(s), first: strange text in odd/proc/diskstats:    8 0 sda 1 2 3
    "#]],
    );
}

#[test]
fn net() {
    once(
        net::Net::new(NetOptions::default()),
        &odd(),
        &expect![[r#"
        net
            host=web1
            interface=eth1 bytes_recv=1i
            packets_recv=2i
            err_in=3i
            drop_in=4i
            bytes_sent=9i
            packets_sent=10i
            err_out=11i
            drop_out=12i
            speed=-1i 1000000000000000000
        net
            host=web1
            interface=all tcp_activeopens=5i 1000000000000000000
        ! 6 trouble(s), first: strange text in odd/proc/net/dev: no colon
    "#]],
    );
}
