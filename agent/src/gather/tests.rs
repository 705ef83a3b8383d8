//! Collectors that hang, panic and come back; settings that change; a budget that is passed.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::*;
use crate::batch::Batch;
use crate::collect::Troubles;
use crate::collect::{Collector, Timing};

/// Gathers one line, after a signal where it is given a channel for them.
#[derive(Debug)]
struct Fake {
    name: &'static str,
    gate: Option<Receiver<()>>,
}

impl Collector for Fake {
    fn name(&self) -> &'static str {
        self.name
    }

    fn gather(&mut self, _: &Roots, _: Moment, out: &mut Batch) -> Result<(), Troubles> {
        if let Some(gate) = &self.gate {
            let _ = gate.recv();
        }
        out.line(self.name).unsigned("v", 1).finish();
        Ok(())
    }
}

fn gated(name: &'static str) -> (Box<dyn Collector>, SyncSender<()>) {
    let (open, gate) = sync_channel(1);
    let gate = Some(gate);
    (Box::new(Fake { name, gate }), open)
}

fn plain(name: &'static str) -> Box<dyn Collector> {
    Box::new(Fake { name, gate: None })
}

fn chosen(collectors: Vec<Box<dyn Collector>>) -> Vec<Chosen> {
    let choose = |collector| Chosen {
        collector,
        options: String::new(),
        timing: Timing::default(),
        shape: Shape::default(),
    };
    collectors.into_iter().map(choose).collect()
}

fn plan() -> Plan {
    Plan {
        tags: Tags::from([]),
        rhythm: Rhythm::every(Duration::from_nanos(10)),
        precision: Some(Duration::from_nanos(1)),
        sampling: None,
        series_max: 10,
        budget: Budget::default(),
        shape: Shape::default(),
    }
}

fn gatherer(collectors: Vec<Box<dyn Collector>>) -> (Gatherer, Arc<Counters>) {
    let counters = Arc::new(Counters::default());
    let gatherer = Gatherer::new(
        chosen(collectors),
        Roots::default(),
        &plan(),
        PATIENCE * 5,
        counters.clone(),
        0,
    );
    (gatherer, counters)
}

fn at(time_ns: i64) -> Moment {
    Moment {
        time_ns,
        monotonic_ns: 0,
    }
}

fn tick(gatherer: &mut Gatherer, time_ns: i64) -> (String, u64) {
    let mut out = Vec::new();
    let lines = gatherer.run_all(at(time_ns), &mut out);
    (String::from_utf8(out).unwrap(), lines)
}

#[test]
fn one_that_hangs_delays_nothing_and_comes_back() {
    let (stuck, open) = gated("stuck");
    let (mut gatherer, counters) = gatherer(vec![plain("a"), stuck, plain("b")]);
    assert_eq!(tick(&mut gatherer, 1), ("a v=1i 1\nb v=1i 1\n".into(), 2));
    assert_eq!(tick(&mut gatherer, 2), ("a v=1i 2\nb v=1i 2\n".into(), 2));
    assert_eq!(counters.read().gather_timeouts, 1);
    open.send(()).unwrap();
    let mut out = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    assert_eq!(gatherer.settle(deadline, &mut out), 1);
    assert_eq!(out, b"stuck v=1i 1\n", "the time is that of its own tick");
    open.send(()).unwrap();
    let (text, lines) = tick(&mut gatherer, 3);
    assert_eq!(lines, 3, "{text}");
    assert_eq!(counters.read().gather_timeouts, 1);
}

#[test]
fn settling_ends_at_its_deadline() {
    let (stuck, _open) = gated("stuck");
    let (mut gatherer, _) = gatherer(vec![stuck]);
    assert_eq!(tick(&mut gatherer, 1).1, 0);
    assert_eq!(gatherer.settle(Instant::now(), &mut Vec::new()), 0);
}

#[test]
fn collectors_share_one_worker() {
    let (mut gatherer, _) = gatherer(vec![plain("a"), plain("b"), plain("c")]);
    for time_ns in 0..3 {
        assert_eq!(tick(&mut gatherer, time_ns).1, 3);
    }
    assert_eq!(gatherer.workers.started(), 1);
}

#[test]
fn each_that_hangs_costs_one_worker_and_its_own_lines() {
    let (first, open_first) = gated("first");
    let (second, open_second) = gated("second");
    let (mut gatherer, _) = gatherer(vec![plain("a"), first, plain("b"), second, plain("c")]);
    let expected = "a v=1i 1\nb v=1i 1\nc v=1i 1\n";
    assert_eq!(tick(&mut gatherer, 1), (expected.to_owned(), 3));
    assert_eq!(gatherer.workers.started(), 3);
    open_first.send(()).unwrap();
    open_second.send(()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    assert_eq!(gatherer.settle(deadline, &mut Vec::new()), 2);
    gatherer.workers.rest();
    assert_eq!(gatherer.settle(deadline, &mut Vec::new()), 0);
    open_first.send(()).unwrap();
    open_second.send(()).unwrap();
    assert_eq!(tick(&mut gatherer, 2).1, 5, "with a new worker");
    assert_eq!(gatherer.workers.started(), 4);
}

#[test]
#[should_panic(expected = "a collector panicked")]
fn a_panic_is_loud() {
    #[derive(Debug)]
    struct Broken;
    impl Collector for Broken {
        fn name(&self) -> &'static str {
            "broken"
        }
        fn gather(&mut self, _: &Roots, _: Moment, _: &mut Batch) -> Result<(), Troubles> {
            panic!("on purpose");
        }
    }
    let (mut gatherer, _) = gatherer(vec![Box::new(Broken)]);
    let deadline = Instant::now() + Duration::from_secs(60);
    tick(&mut gatherer, 1);
    gatherer.settle(deadline, &mut Vec::new());
}

/// Counts its gathers, so that it shows when it was made anew.
#[derive(Debug)]
struct Counting {
    name: &'static str,
    gathers: u64,
}

impl Collector for Counting {
    fn name(&self) -> &'static str {
        self.name
    }

    fn gather(&mut self, _: &Roots, _: Moment, out: &mut Batch) -> Result<(), Troubles> {
        self.gathers += 1;
        out.line(self.name)
            .unsigned("v", self.gathers)
            .float("f", self.gathers as f64)
            .finish();
        Ok(())
    }
}

fn counting(name: &'static str) -> Box<dyn Collector> {
    Box::new(Counting { name, gathers: 0 })
}

fn due(gatherer: &mut Gatherer, now_ns: i64) -> (String, Duration) {
    let mut out = Vec::new();
    let round = gatherer.run_due(now_ns, 0, &mut out);
    (String::from_utf8(out).unwrap(), round.wait)
}

#[test]
fn each_collector_has_its_own_ticks() {
    let mut all = chosen(vec![counting("fast"), counting("slow")]);
    all[1].timing = Timing {
        interval: Some(Duration::from_nanos(30)),
        offset: Some(Duration::from_nanos(5)),
        ..Timing::default()
    };
    let counters = Arc::new(Counters::default());
    let roots = Roots::default();
    let mut gatherer = Gatherer::new(all, roots, &plan(), PATIENCE * 5, counters.clone(), 0);
    assert_eq!(
        due(&mut gatherer, 3),
        (String::new(), Duration::from_nanos(2))
    );
    assert_eq!(due(&mut gatherer, 6).0, "slow v=1i,f=1 6\n");
    assert_eq!(
        due(&mut gatherer, 7),
        (String::new(), Duration::from_nanos(3))
    );
    assert_eq!(due(&mut gatherer, 10).0, "fast v=1i,f=1 10\n");
    assert_eq!(due(&mut gatherer, 34).0, "fast v=2i,f=2 34\n");
    assert_eq!(counters.read().gathers_skipped, 1, "at 20");
    assert_eq!(due(&mut gatherer, 35).0, "slow v=2i,f=2 35\n");
}

#[test]
fn other_settings_keep_what_did_not_change() {
    let (mut gatherer, _) = gatherer(vec![counting("a"), counting("b")]);
    assert_eq!(tick(&mut gatherer, 1).0, "a v=1i,f=1 1\nb v=1i,f=1 1\n");
    let mut all = chosen(vec![counting("b"), counting("c"), counting("a")]);
    all[2].options = "other".to_owned();
    let mut plan = plan();
    plan.tags = Tags::from([("dc".to_owned(), "x".to_owned())]);
    gatherer.apply(all, &plan, 1);
    let expected = "b,dc=x v=2i,f=2 2\nc,dc=x v=1i,f=1 2\na,dc=x v=1i,f=1 2\n";
    assert_eq!(tick(&mut gatherer, 2).0, expected, "only `b` goes on");
}

#[test]
fn samples_between_lines_go_out_with_the_next() {
    let mut plan = plan();
    plan.sampling = Some((Duration::from_nanos(2), vec!["a".to_owned()]));
    let counters = Arc::new(Counters::default());
    let all = chosen(vec![counting("a")]);
    let mut gatherer = Gatherer::new(all, Roots::default(), &plan, PATIENCE * 5, counters, 0);
    for now_ns in [2, 4, 6, 8] {
        assert_eq!(due(&mut gatherer, now_ns).0, "");
    }
    let expected = "a v=5i,f=3,f_min=1,f_max=5,f_p95=5 10\n";
    assert_eq!(due(&mut gatherer, 10).0, expected);
    assert_eq!(due(&mut gatherer, 12).0, "");
}

#[test]
fn too_many_series_are_dropped_and_in_the_books() {
    let mut plan = plan();
    plan.series_max = 0;
    let counters = Arc::new(Counters::default());
    let all = chosen(vec![counting("a")]);
    let roots = Roots::default();
    let mut gatherer = Gatherer::new(all, roots, &plan, PATIENCE * 5, counters.clone(), 0);
    assert_eq!(tick(&mut gatherer, 1), (String::new(), 0));
    let read = counters.read();
    assert_eq!((read.gathered, read.dropped), (1, 1));
    assert!(read.is_balanced(), "{read}");
}

#[test]
fn times_are_rounded_as_the_collector_is_told() {
    let mut all = chosen(vec![plain("fine"), plain("coarse")]);
    all[1].timing.precision = Some(Duration::from_nanos(100));
    let counters = Arc::new(Counters::default());
    let mut gatherer = Gatherer::new(all, Roots::default(), &plan(), PATIENCE * 5, counters, 0);
    let expected = ("fine v=1i 161\ncoarse v=1i 200\n".to_owned(), 2);
    assert_eq!(tick(&mut gatherer, 161), expected);
}

#[test]
fn lines_are_as_settings_ask_and_other_settings_lose_no_difference() {
    let mut all = chosen(vec![counting("a"), counting("b")]);
    all[0].shape.name_suffix = "_x".into();
    let counters = Arc::new(Counters::default());
    let mut gatherer = Gatherer::new(
        all,
        Roots::default(),
        &plan(),
        PATIENCE * 5,
        counters.clone(),
        0,
    );
    assert_eq!(tick(&mut gatherer, 1).0, "a_x v=1i,f=1 1\nb v=1i,f=1 1\n");
    let mut all = chosen(vec![counting("a"), counting("b")]);
    all[0].shape.fields.exclude = vec!["v".into()];
    let mut plan = plan();
    plan.shape.names.include = vec!["a".into()];
    gatherer.apply(all, &plan, 5);
    // It is the second gather of both, and what is not wanted is not counted.
    assert_eq!(tick(&mut gatherer, 6), ("a f=2 6\n".to_owned(), 1));
    assert!(counters.read().is_balanced());
    assert_eq!(counters.read().dropped, 0);
}
