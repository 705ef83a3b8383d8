//! Any sequence of operations, crashes and faults against a model of what the log promised.

mod support;

use std::io::ErrorKind;

use proptest::prelude::*;
use support::{Promises, Record, recycling, small, try_open};
use tandem_seglog::{Error, Log, Options};
use tandem_testkit::{Rng, SimFs};

#[derive(Clone, Debug)]
enum Op {
    Append(usize),
    /// Makes all durable, by the ticket of an earlier record than the last.
    Commit(usize),
    Rotate,
    Release,
    /// Cuts that many records behind the durable end.
    Cut(u64),
    Read(u64),
    Reopen,
    Crash(u64),
    /// The call after so many fails.
    Fail(u64),
    /// So many bytes are left on the disk.
    Fill(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (0..200_usize).prop_map(Op::Append),
        8 => (0..4_usize).prop_map(Op::Commit),
        1 => Just(Op::Rotate),
        1 => Just(Op::Release),
        2 => (0..20_u64).prop_map(Op::Cut),
        2 => (0..30_u64).prop_map(Op::Read),
        2 => Just(Op::Reopen),
        2 => (0..1000_u64).prop_map(Op::Crash),
        2 => (0..30_u64).prop_map(Op::Fail),
        1 => (0..600_u64).prop_map(Op::Fill),
    ]
}

struct Life {
    fs: SimFs,
    options: Options,
    log: Option<Log>,
    promises: Promises,
    tickets: Vec<tandem_seglog::Ticket>,
    rng: Rng,
}

impl Life {
    fn open(&mut self) -> Result<Log, String> {
        for _ in 0..3 {
            match try_open(&self.fs, self.options.clone()) {
                Ok((log, recovery, found)) => {
                    self.promises.check(&recovery, &found)?;
                    self.tickets.clear();
                    return Ok(log);
                }
                Err(e) if e.is_storage_full() => self.fs.set_capacity(None),
                Err(Error::Io { .. }) => {}
                Err(e) => return Err(format!("open: {e}")),
            }
        }
        Err("the log does not open".to_owned())
    }

    fn apply(&mut self, op: &Op) -> Result<(), String> {
        let log = match self.log.take() {
            Some(log) if log.check().is_ok() => log,
            Some(log) => {
                let refused = log.append(&[b"x"]).map(|t| t.sequence());
                if !matches!(refused, Err(Error::Failed { .. })) {
                    return Err(format!("a stopped log took a record: {refused:?}"));
                }
                drop(log);
                self.open()?
            }
            None => self.open()?,
        };
        match op {
            Op::Append(length) => {
                let record = self.rng.bytes(*length);
                if let Ok(ticket) = log.append(&[&record[..length / 2], &record[length / 2..]]) {
                    self.promises.staged(ticket.sequence(), &record);
                    self.tickets.push(ticket);
                }
            }
            Op::Commit(back) => {
                let at = self.tickets.len().saturating_sub(1 + back);
                if let Some(ticket) = self.tickets.get(at) {
                    match log.commit(ticket) {
                        Ok(()) => {
                            // All that was staged went with it, unless it was durable before.
                            if log.durable_end() <= ticket.sequence() {
                                return Err(format!("{} is not durable", ticket.sequence()));
                            }
                        }
                        Err(Error::Io { .. } | Error::Failed { .. }) => {
                            if log.check().is_ok() && log.commit(ticket).is_ok() {
                                return Err("a failed record was acknowledged".to_owned());
                            }
                        }
                        Err(e) => return Err(format!("commit: {e}")),
                    }
                }
            }
            Op::Rotate => {
                let _ = log.rotate();
            }
            Op::Release => {
                if log.release_spares().is_ok() && log.spares() > 0 {
                    return Err("spares are left".to_owned());
                }
            }
            Op::Cut(back) => {
                let below = log.durable_end().saturating_sub(*back);
                self.promises.cut = self.promises.cut.max(below);
                let cut = log.cut_below(below);
                if cut.is_ok() && log.first_sequence() > self.promises.cut.max(1) {
                    return Err(format!(
                        "cut too much: {} for {below}",
                        log.first_sequence()
                    ));
                }
            }
            Op::Read(back) => {
                self.promises.durable_below(log.durable_end());
                self.read(&log, log.durable_end().saturating_sub(*back))?;
            }
            Op::Reopen => {}
            Op::Crash(seed) => self.fs = self.fs.crash(*seed),
            Op::Fail(after) => self.fs.fail_after(*after, ErrorKind::Other),
            Op::Fill(left) => {
                let used = self.fs.used_bytes();
                let full = self.rng.chance(70);
                self.fs.set_capacity(full.then_some(used + left));
            }
        }
        self.promises.durable_below(log.durable_end());
        if !matches!(op, Op::Reopen | Op::Crash(_)) {
            self.log = Some(log);
        }
        Ok(())
    }

    fn read(&self, log: &Log, from: u64) -> Result<(), String> {
        let mut reader = log.reader(from);
        let mut read: Vec<Record> = Vec::new();
        let mut errors = 0;
        loop {
            match reader.next() {
                Ok(Some(record)) => read.push(record),
                Ok(None) => break,
                Err(Error::Io { .. }) if errors == 0 => errors += 1,
                Err(e) => return Err(format!("read: {e}")),
            }
        }
        let from = from.max(log.first_sequence());
        let held: Vec<_> = self
            .promises
            .durable
            .iter()
            .filter(|r| r.0 >= from)
            .collect();
        if read.iter().collect::<Vec<_>>() != held {
            return Err(format!("read {read:?}, held {held:?}"));
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_life_keeps_the_promises(seed in 0..1_000_000_u64, ops in proptest::collection::vec(op(), 1..80)) {
        let mut life = Life {
            fs: SimFs::new(seed),
            options: if seed % 2 == 0 { small() } else { recycling() },
            log: None,
            promises: Promises::default(),
            tickets: Vec::new(),
            rng: Rng::new(seed),
        };
        for op in ops.iter().chain([&Op::Crash(seed), &Op::Read(100)]) {
            if let Err(e) = life.apply(op) {
                prop_assert!(false, "{op:?}: {e}");
            }
        }
    }
}
