//! Sockets, counters of protocols, tables of the kernel, temperatures, interrupts, groups, and the
//! agent itself, on the tree `web1`.

use expect_test::expect;

use super::*;

#[test]
fn netstat_counts_states() {
    once(
        netstat::Netstat::default(),
        &web1().0,
        &expect![[r#"
        netstat
            host=web1 tcp_established=3i
            tcp_syn_sent=1i
            tcp_syn_recv=0i
            tcp_fin_wait1=0i
            tcp_fin_wait2=0i
            tcp_time_wait=1i
            tcp_close=0i
            tcp_close_wait=1i
            tcp_last_ack=0i
            tcp_listen=3i
            tcp_closing=0i
            tcp_none=3i
            udp_socket=4i 1000000000000000000
    "#]],
    );
}

#[test]
fn nstat_has_every_counter() {
    let mut all = nstat::Nstat::new(NstatOptions::default());
    Host::new().gather(
        &mut all,
        &web1().0,
        &expect![[r#"
        nstat
            host=web1
            name=netstat TcpExtSyncookiesSent=0i
            TcpExtSyncookiesRecv=1i
            TcpExtTCPTimeouts=22i
            TcpExtTCPAutoCorking=333i
            IpExtInNoRoutes=0i
            IpExtInOctets=224251666i
            IpExtOutOctets=244934i 1000000000000000000
        nstat
            host=web1
            name=snmp IpForwarding=2i
            IpDefaultTTL=64i
            IpInReceives=5839i
            IpInHdrErrors=0i
            IcmpInMsgs=1i
            IcmpOutMsgs=2i
            IcmpMsgInType3=1i
            TcpRtoAlgorithm=1i
            TcpRtoMin=200i
            TcpRtoMax=120000i
            TcpMaxConn=-1i
            TcpActiveOpens=22i
            TcpPassiveOpens=2i
            TcpAttemptFails=1i
            TcpEstabResets=6i
            TcpCurrEstab=3i
            TcpInSegs=5797i
            TcpOutSegs=2527i
            TcpRetransSegs=4i
            TcpInErrs=5i
            TcpOutRsts=17i
            TcpInCsumErrors=0i
            UdpInDatagrams=41i
            UdpNoPorts=0i
            UdpInErrors=0i
            UdpOutDatagrams=42i
            UdpRcvbufErrors=0i
            UdpSndbufErrors=0i
            UdpLiteInDatagrams=0i
            UdpLiteNoPorts=7i
            MptcpSomething=1i 1000000000000000000
        nstat
            host=web1
            name=snmp6 Ip6InReceives=27i
            Ip6InHdrErrors=0i
            Udp6InErrors=3i 1000000000000000000
    "#]],
    );
    let mut some = nstat::Nstat::new(NstatOptions { dump_zeros: false });
    Host::new().gather(
        &mut some,
        &web1().0,
        &expect![[r#"
        nstat
            host=web1
            name=netstat TcpExtSyncookiesRecv=1i
            TcpExtTCPTimeouts=22i
            TcpExtTCPAutoCorking=333i
            IpExtInOctets=224251666i
            IpExtOutOctets=244934i 1000000000000000000
        nstat
            host=web1
            name=snmp IpForwarding=2i
            IpDefaultTTL=64i
            IpInReceives=5839i
            IcmpInMsgs=1i
            IcmpOutMsgs=2i
            IcmpMsgInType3=1i
            TcpRtoAlgorithm=1i
            TcpRtoMin=200i
            TcpRtoMax=120000i
            TcpMaxConn=-1i
            TcpActiveOpens=22i
            TcpPassiveOpens=2i
            TcpAttemptFails=1i
            TcpEstabResets=6i
            TcpCurrEstab=3i
            TcpInSegs=5797i
            TcpOutSegs=2527i
            TcpRetransSegs=4i
            TcpInErrs=5i
            TcpOutRsts=17i
            UdpInDatagrams=41i
            UdpOutDatagrams=42i
            UdpLiteNoPorts=7i
            MptcpSomething=1i 1000000000000000000
        nstat
            host=web1
            name=snmp6 Ip6InReceives=27i
            Udp6InErrors=3i 1000000000000000000
    "#]],
    );
}

#[test]
fn kernel_vmstat_has_every_number() {
    once(
        kernel_vmstat::KernelVmstat::default(),
        &web1().0,
        &expect![[r#"
        kernel_vmstat
            host=web1 nr_free_pages=1042127i
            pgpgin=2682737i
            pswpin=3i
            pswpout=70000i
            pgfault=5152746i 1000000000000000000
    "#]],
    );
}

#[test]
fn linux_sysctl_fs_has_what_there_is() {
    once(
        linux_sysctl_fs::LinuxSysctlFs::default(),
        &web1().0,
        &expect![[r#"
        linux_sysctl_fs
            host=web1 aio-nr=0i
            aio-max-nr=65536i
            inode-nr=43264i
            inode-free-nr=310i
            inode-preshrink-nr=0i
            dentry-nr=70123i
            dentry-unused-nr=50211i
            dentry-age-limit=45i
            dentry-want-pages=0i
            file-nr=1504i
            file-max=9223372036854775807i 1000000000000000000
    "#]],
    );
}

#[test]
fn conntrack_counts_in_floats_and_tables_in_integers() {
    once(
        conntrack::Conntrack::new(ConntrackOptions::default()),
        &web1().0,
        &expect![[r#"
        conntrack
            host=web1 ip_conntrack_count=42
            ip_conntrack_max=262144 1000000000000000000
        conntrack
            cpu=all
            host=web1 entries=84i
            searched=1i
            found=23i
            new=0i
            invalid=33i
            ignore=65i
            delete=0i
            delete_list=7i
            insert=0i
            insert_failed=2i
            drop=2i
            early_drop=0i
            icmp_error=1i
            expect_new=0i
            expect_create=0i
            expect_delete=0i
            search_restart=15i 1000000000000000000
        conntrack
            cpu=cpu0
            host=web1 entries=42i
            searched=0i
            found=11i
            new=0i
            invalid=16i
            ignore=32i
            delete=0i
            delete_list=3i
            insert=0i
            insert_failed=0i
            drop=0i
            early_drop=0i
            icmp_error=1i
            expect_new=0i
            expect_create=0i
            expect_delete=0i
            search_restart=7i 1000000000000000000
        conntrack
            cpu=cpu1
            host=web1 entries=42i
            searched=1i
            found=12i
            new=0i
            invalid=17i
            ignore=33i
            delete=0i
            delete_list=4i
            insert=0i
            insert_failed=2i
            drop=2i
            early_drop=0i
            icmp_error=0i
            expect_new=0i
            expect_create=0i
            expect_delete=0i
            search_restart=8i 1000000000000000000
    "#]],
    );
}

#[test]
fn temp_names_sensors_by_chip_and_label() {
    once(
        temp::Temp::new(TempOptions::default()),
        &web1().0,
        &expect![[r#"
        temp
            host=web1
            sensor=coretemp_package_id_0 temp=45 1000000000000000000
        temp
            host=web1
            sensor=coretemp_core_0 temp=43.5 1000000000000000000
        temp
            host=web1
            sensor=acpitz temp=-5.5 1000000000000000000
    "#]],
    );
}

#[test]
fn temp_falls_back_to_thermal_zones() {
    let dir = tempfile::tempdir().unwrap();
    let zone = dir.path().join("sys/class/thermal/thermal_zone0");
    std::fs::create_dir_all(&zone).unwrap();
    std::fs::write(zone.join("type"), "x86_pkg_temp\n").unwrap();
    std::fs::write(zone.join("temp"), "61000\n").unwrap();
    once(
        temp::Temp::new(TempOptions::default()),
        &Roots::under(dir.path()),
        &expect![[r#"
        temp
            host=web1
            sensor=x86_pkg_temp temp=61 1000000000000000000
    "#]],
    );
}

#[test]
fn interrupts_are_summed_up_or_shown_by_processor() {
    let mut sums = interrupts::Interrupts::new(InterruptsOptions::default());
    Host::new().gather(
        &mut sums,
        &web1().0,
        &expect![[r#"
        interrupts
            device=2-edge\ timer
            host=web1
            irq=0
            type=IO-APIC total=9i 1000000000000000000
        interrupts
            device=65536-edge\ virtio0-config\
            \ ahci[0000:00:1f.2]
            host=web1
            irq=24
            type=PCI-MSI total=1234i 1000000000000000000
        interrupts
            host=web1
            irq=27
            type=IO-APIC total=11i 1000000000000000000
        interrupts
            host=web1
            irq=NMI
            type=Non-maskable\ interrupts total=7i 1000000000000000000
        interrupts
            host=web1
            irq=ERR total=7i 1000000000000000000
        soft_interrupts
            host=web1
            irq=HI total=1i 1000000000000000000
        soft_interrupts
            host=web1
            irq=TIMER total=89000i 1000000000000000000
    "#]],
    );
    let mut all = interrupts::Interrupts::new(InterruptsOptions {
        per_cpu: true,
        cpu_as_tag: false,
    });
    Host::new().gather(
        &mut all,
        &web1().0,
        &expect![[r#"
        interrupts
            device=2-edge\ timer
            host=web1
            irq=0
            type=IO-APIC CPU0=9i
            CPU1=0i
            total=9i 1000000000000000000
        interrupts
            device=65536-edge\ virtio0-config\
            \ ahci[0000:00:1f.2]
            host=web1
            irq=24
            type=PCI-MSI CPU0=1200i
            CPU1=34i
            total=1234i 1000000000000000000
        interrupts
            device=65537-edge\ virtio0-input
            host=web1
            irq=25
            type=PCI-MSI CPU0=0i
            CPU1=0i
            total=0i 1000000000000000000
        interrupts
            host=web1
            irq=27
            type=IO-APIC CPU0=11i
            CPU1=0i
            total=11i 1000000000000000000
        interrupts
            host=web1
            irq=NMI
            type=Non-maskable\ interrupts CPU0=3i
            CPU1=4i
            total=7i 1000000000000000000
        interrupts
            host=web1
            irq=ERR CPU0=7i
            total=7i 1000000000000000000
        interrupts
            host=web1
            irq=MIS CPU0=0i
            total=0i 1000000000000000000
        soft_interrupts
            host=web1
            irq=HI CPU0=1i
            CPU1=0i
            total=1i 1000000000000000000
        soft_interrupts
            host=web1
            irq=TIMER CPU0=45000i
            CPU1=44000i
            total=89000i 1000000000000000000
        soft_interrupts
            host=web1
            irq=HRTIMER CPU0=0i
            CPU1=0i
            total=0i 1000000000000000000
    "#]],
    );
}

#[test]
fn cgroup_reads_the_files_that_are_asked_for() {
    let top = tree("docker-v2/first/sys/fs/cgroup");
    let options = CgroupOptions {
        paths: vec![format!("{}/docker/*", top.display())],
        files: ["memory.max", "memory.events", "cpu.*", "cgroup.procs"]
            .map(str::to_owned)
            .into(),
    };
    let mut batch = Batch::new(Tags::from([]));
    let at = Moment::default();
    let mut cgroup = cgroup::Cgroup::new(options);
    assert!(cgroup.gather(&Roots::default(), at, &mut batch).is_ok());
    let text = String::from_utf8(batch.as_bytes().to_vec()).unwrap();
    let text = text
        .replace(&top.display().to_string(), "TOP")
        .replace(',', "\n    ");
    expect![[r#"
        cgroup
            path=TOP/docker/b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2 memory.max=9223372036854775807i
            memory.events.oom=0i
            memory.events.oom_kill=0i
            cpu.stat.usage_usec=1i
            cpu.stat.user_usec=1i
            cpu.stat.system_usec=0i
            cgroup.procs=77i 0
    "#]].assert_eq(&text);
}

#[test]
fn the_agent_tells_of_itself_and_its_books_balance() {
    let counters = Arc::new(Counters::default());
    counters.gathered(10, 1000);
    counters.settle(6, crate::counters::Fate::Written);
    counters.settle(1, crate::counters::Fate::Rejected);
    counters.time_write(Duration::from_micros(5));
    let cpu = counters.collector("cpu");
    cpu.time(Duration::from_micros(7));
    cpu.change(|figures| figures.lines = 3);
    let mut internal = internal::Internal::new(InternalOptions::default(), counters, 100_000);
    let mut batch = Batch::new(Tags::from([]));
    let roots = Roots::default();
    assert!(
        internal
            .gather(&roots, Moment::default(), &mut batch)
            .is_ok()
    );
    let text = String::from_utf8(batch.as_bytes().to_vec()).unwrap();
    // What this process takes differs from run to run.
    let changing =
        |field: &&str| field.starts_with("cpu_time_ns=") || field.starts_with("rss_bytes=");
    let fields: Vec<&str> = text.split(',').filter(|field| !changing(field)).collect();
    let text = fields
        .join("\n    ")
        .replace(env!("CARGO_PKG_VERSION"), "VERSION");
    expect![[r#"
        internal_agent
            go_version=none
            version=VERSION metrics_gathered=10i
            metrics_recovered=0i
            metrics_written=6i
            metrics_buffered=3i
            metrics_dropped=0i
            metrics_rejected=1i
            gather_errors=0i
            gather_timeouts=0i
            gathers_skipped=0i
            write_errors=0i
            input=cpu
            version=VERSION metrics_gathered=3i
            gather_time_ns=7000i
            gather_errors=0i
            gather_timeouts=0i
            errors=0i
            startup_errors=0i
            series_refused=0i
            slowdown=1i 0
        internal_write
            output=influxdb
            version=VERSION buffer_size=3i
            buffer_limit=1000i
            metrics_added=10i
            metrics_written=6i
            metrics_rejected=1i
            metrics_dropped=0i
            metrics_filtered=0i
            write_time_ns=5000i
            write_errors=0i
            errors=0i
            startup_errors=0i
            bytes_written=0i 0
    "#]]
    .assert_eq(&text);
}
