//! Sockets, counters of protocols, tables of the kernel, temperatures, interrupts, groups, and the
//! agent itself, on the tree `web1`.

use expect_test::expect;

use super::*;

#[test]
fn netstat_counts_states() {
    once(netstat::Netstat::default(), &web1().0, &expect![[r#""#]]);
}

#[test]
fn nstat_has_every_counter() {
    let mut all = nstat::Nstat::new(NstatOptions::default());
    Host::new().gather(&mut all, &web1().0, &expect![[r#""#]]);
    let mut some = nstat::Nstat::new(NstatOptions { dump_zeros: false });
    Host::new().gather(&mut some, &web1().0, &expect![[r#""#]]);
}

#[test]
fn kernel_vmstat_has_every_number() {
    once(
        kernel_vmstat::KernelVmstat::default(),
        &web1().0,
        &expect![[r#""#]],
    );
}

#[test]
fn linux_sysctl_fs_has_what_there_is() {
    once(
        linux_sysctl_fs::LinuxSysctlFs::default(),
        &web1().0,
        &expect![[r#""#]],
    );
}

#[test]
fn conntrack_counts_in_floats_and_tables_in_integers() {
    once(
        conntrack::Conntrack::new(ConntrackOptions::default()),
        &web1().0,
        &expect![[r#""#]],
    );
}

#[test]
fn temp_names_sensors_by_chip_and_label() {
    once(temp::Temp::default(), &web1().0, &expect![[r#""#]]);
}

#[test]
fn temp_falls_back_to_thermal_zones() {
    let dir = tempfile::tempdir().unwrap();
    let zone = dir.path().join("sys/class/thermal/thermal_zone0");
    std::fs::create_dir_all(&zone).unwrap();
    std::fs::write(zone.join("type"), "x86_pkg_temp\n").unwrap();
    std::fs::write(zone.join("temp"), "61000\n").unwrap();
    once(
        temp::Temp::default(),
        &Roots::under(dir.path()),
        &expect![[r#""#]],
    );
}

#[test]
fn interrupts_are_summed_up_or_shown_by_processor() {
    let mut sums = interrupts::Interrupts::new(InterruptsOptions::default());
    Host::new().gather(&mut sums, &web1().0, &expect![[r#""#]]);
    let mut all = interrupts::Interrupts::new(InterruptsOptions { per_cpu: true });
    Host::new().gather(&mut all, &web1().0, &expect![[r#""#]]);
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
    expect![[r#""#]].assert_eq(&text);
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
    let mut internal = internal::Internal::new(counters, 100_000);
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
    expect![[r#""#]].assert_eq(&text);
}
