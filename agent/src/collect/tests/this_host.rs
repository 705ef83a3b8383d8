//! The real files of the host that runs the test.

use super::*;

#[test]
fn this_host_gives_all_nine_measurements() {
    let mut all = Collectors::default().build();
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
    ] {
        let found = text.lines().any(|line| line.starts_with(measurement));
        assert!(found, "{measurement} is missing:\n{text}");
    }
}
