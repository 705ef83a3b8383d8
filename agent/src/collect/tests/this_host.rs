//! The real files of the host that runs the test.

use super::*;

#[test]
fn this_host_gives_all_measurements() {
    let collectors = Collectors {
        kernel_vmstat: true,
        docker: None,
        ..Collectors::default()
    };
    let chosen = collectors.choose(&Arc::default(), 0);
    let mut all: Vec<_> = chosen.into_iter().map(|chosen| chosen.collector).collect();
    let mut batch = Batch::new(Tags::from([("host".to_owned(), "this".to_owned())]));
    let roots = Roots::default();
    let started = std::time::Instant::now();
    let mut gather = || {
        batch.start(1);
        for collector in &mut all {
            let at = Moment {
                time_ns: 1,
                monotonic_ns: u64::try_from(started.elapsed().as_nanos()).unwrap(),
            };
            // Troubles are allowed: a container may hide files.
            let _ = collector.gather(&roots, at, &mut batch);
        }
        String::from_utf8_lossy(batch.as_bytes()).into_owned()
    };
    let mut text = gather();
    // Shares of the processors need some ticks of 10 ms to pass.
    while !text.contains("cpu,cpu=cpu-total,host=this usage_user=") {
        assert!(started.elapsed().as_secs() < 10, "no cpu line: {text}");
        text = gather();
    }
    for measurement in [
        "cpu,",
        "mem,",
        "swap,",
        "disk,",
        "diskio,",
        "net,",
        "system,",
        "processes,",
        "kernel,",
        "kernel_vmstat,",
        "linux_sysctl_fs,",
        "netstat,",
        "nstat,",
        "interrupts,",
        "soft_interrupts,",
        "internal_agent,",
        "internal_write,",
    ] {
        let found = text.lines().any(|line| line.starts_with(measurement));
        assert!(found, "{measurement} is missing:\n{text}");
    }
}
