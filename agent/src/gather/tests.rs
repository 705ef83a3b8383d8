//! Collectors that hang, panic and come back; settings that change; a budget that is passed.

use std::sync::mpsc::{SyncSender, sync_channel};

use super::*;
use crate::batch::Batch;
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

fn gatherer(collectors: Vec<Box<dyn Collector>>) -> (Gatherer, Arc<Counters>) {
    let counters = Arc::new(Counters::default());
    let roots = Roots::default();
    let gatherer = Gatherer::new(
        collectors,
        roots,
        &Tags::from([]),
        PATIENCE * 5,
        counters.clone(),
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
    let lines = gatherer.tick(at(time_ns), &mut out);
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
    assert_eq!(gatherer.idle_workers.len(), 1);
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
