//! Runs a life against a store and a model at once.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tandem_model::FieldType;
use tandem_store::{Options, PolicySpec, Store, StoreError};
use tandem_testkit::{Lie, ManualClock, SimFs};
use tandem_vfs::Vfs;

use crate::generate::{HOUR_NS, START_NS};
use crate::history::{Answer, History};
use crate::model::{Database, Effect};
use crate::observe::{Listed, observe, observe_range, text};
use crate::op::{Cut, Op, Step, Target};

mod delete;
mod write;

const DIR: &str = "/machine/store";

/// What was done in a life that went well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Power cuts.
    pub cuts: u64,
    /// Power cuts that came while something was being done.
    pub cuts_inside: u64,
    /// Operations.
    pub operations: u64,
    /// Points acknowledged.
    pub points: u64,
    /// Failing calls that came.
    pub faults: u64,
    /// Operations that failed or were cut off, so that they may be found done or not.
    pub unknown: u64,
    /// Times that everything was read and compared.
    pub looks: u64,
    /// Rows read and compared.
    pub rows: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.cuts += other.cuts;
        self.cuts_inside += other.cuts_inside;
        self.operations += other.operations;
        self.points += other.points;
        self.faults += other.faults;
        self.unknown += other.unknown;
        self.looks += other.looks;
        self.rows += other.rows;
    }
}

/// Where a life went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its place in the life.
    pub step: usize,
    /// What is wrong, for people.
    pub what: String,
}

/// Runs a life to its end. With a lie, syncs are not what they say, and a failure is to be
/// expected.
///
/// # Errors
/// The first thing that is wrong.
pub fn run(steps: &[Step], lie: Option<Lie>) -> Result<Tally, Failure> {
    let mut at = 0;
    let lived = catch_unwind(AssertUnwindSafe(|| {
        let mut life = Life::begin(lie)?;
        for (step_at, step) in steps.iter().enumerate() {
            at = step_at;
            life.step(step)?;
        }
        Ok(life.tally)
    }));
    let outcome = lived.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    });
    outcome.map_err(|what| Failure { step: at, what })
}

/// Types that were ever given to the field whose type changes, by database, policy, measurement
/// and beginning of the shard.
type GivenTypes = BTreeMap<(String, String, String, i64), BTreeSet<FieldType>>;

struct Life {
    fs: SimFs,
    clock: Arc<ManualClock>,
    /// `None` only while it is opened again.
    store: Option<Store>,
    history: History,
    given_types: GivenTypes,
    /// A call failed since the store was opened, or the disk is full, or the power is off: errors
    /// are no surprise.
    troubled: bool,
    has_little_room: bool,
    tally: Tally,
}

impl Life {
    fn begin(lie: Option<Lie>) -> Result<Self, String> {
        let fs = SimFs::new(1);
        let parent = Path::new(DIR).parent().unwrap_or(Path::new("/"));
        fs.create_dir_all(parent).map_err(text)?;
        fs.sync_dir(Path::new("/")).map_err(text)?;
        if let Some(lie) = lie {
            fs.lie(lie);
        }
        let mut life = Self {
            fs,
            clock: Arc::new(ManualClock::new(START_NS)),
            store: None,
            history: History::default(),
            given_types: BTreeMap::new(),
            troubled: false,
            has_little_room: false,
            tally: Tally::default(),
        };
        life.open()?;
        Ok(life)
    }

    fn options(&self) -> Options {
        Options {
            clock: Arc::<ManualClock>::clone(&self.clock),
            background: false,
            memtable_bytes_max: 512 << 10,
            block_cache_bytes_max: 64 << 10,
            overload_wait: Duration::from_secs(10),
            free_bytes_min: 4_096,
            ..Options::default()
        }
    }

    fn try_open(&self) -> Result<Store, StoreError> {
        let fs: Arc<dyn Vfs> = Arc::new(self.fs.clone());
        Store::open(fs, Path::new(DIR), self.options())
    }

    /// Opens the store on a machine that works.
    fn open(&mut self) -> Result<(), String> {
        self.fs.calm();
        self.fs.set_capacity(None);
        self.has_little_room = false;
        self.troubled = false;
        let store = self.try_open().map_err(|e| format!("open: {}", text(e)))?;
        if !store.report().quarantined.is_empty() {
            return Err(format!("quarantined: {:?}", store.report().quarantined));
        }
        self.store = Some(store);
        Ok(())
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("open between steps")
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        if self.history.is_full() && step.cut.is_none() {
            self.reopen(false)?;
        }
        if let Some(fault) = step.fault {
            self.fs.fail_after(fault.calls, fault.kind);
        }
        if let Some(cut) = step.cut {
            self.fs.power_off_after(cut.calls);
            self.troubled = true;
        }
        self.tally.operations += 1;
        self.run(&step.op, step.fault.is_some())?;
        if step.fault.is_some() && !self.fs.fault_is_pending() {
            self.tally.faults += 1;
            self.troubled = true;
        }
        match step.cut {
            Some(cut) => self.cut(cut),
            None => {
                self.fs.calm();
                if step.look {
                    self.look()?;
                }
                Ok(())
            }
        }
    }

    fn run(&mut self, op: &Op, has_fault: bool) -> Result<(), String> {
        let was_troubled = self.troubled;
        // The fault may come in the middle of it.
        self.troubled |= has_fault;
        match op {
            Op::Write(write) => self.write(write)?,
            Op::Together(writes) => self.write_together(writes)?,
            Op::CreateDatabase(target) => self.create_database(*target)?,
            Op::DropDatabase(target) => {
                let name = target.database();
                let dropped = self.store().drop_database(&name);
                self.note(dropped, Effect::DropDatabase(name))?;
            }
            Op::CreatePolicy(target, hours) => self.create_policy(*target, *hours)?,
            Op::DropPolicy(target) => {
                let (database, policy) = (target.database(), target.policy());
                let dropped = self.store().drop_policy(&database, &policy);
                self.note(dropped, Effect::DropPolicy(database, policy))?;
            }
            Op::Delete {
                target,
                part,
                range,
            } => self.delete(*target, part, *range)?,
            Op::DropSeries(target, part) => self.drop_series(*target, part)?,
            Op::DropMeasurement(target, name) => self.drop_measurement(*target, name)?,
            Op::DropShard(nth) => self.drop_shard(usize::from(*nth))?,
            Op::Retention => self.enforce_retention()?,
            Op::Hours(hours) => {
                self.clock
                    .advance(Duration::from_secs(3_600 * u64::from(*hours)));
            }
            Op::Flush => self.must_work("flush", self.store().flush())?,
            Op::Compact => self.compact()?,
            Op::Read(target, range) => {
                let (database, policy) = (target.database(), target.policy());
                let live = self.history.live();
                let read = observe_range(self.store(), live, &database, &policy, *range);
                if !self.troubled {
                    read?;
                }
            }
            Op::Reopen { clean } => self.reopen(*clean)?,
            Op::Room(bytes) => {
                let used = self.fs.used_bytes();
                self.fs.set_capacity(bytes.map(|b| used + u64::from(b)));
                self.has_little_room = bytes.is_some();
            }
        }
        // A store that was opened again has left its troubles behind.
        if has_fault && self.troubled {
            self.troubled = was_troubled;
        }
        Ok(())
    }

    fn must_work<T>(&self, what: &str, outcome: Result<T, StoreError>) -> Result<(), String> {
        match outcome {
            Err(error) if !self.may_fail() => Err(format!("{what}: {}", text(error))),
            _ => Ok(()),
        }
    }

    fn may_fail(&self) -> bool {
        self.troubled || self.has_little_room
    }

    /// Notes what became of an operation on the manifest.
    fn note(&mut self, outcome: Result<(), StoreError>, effect: Effect) -> Result<(), String> {
        match outcome {
            Ok(()) => self.history.add(effect, Answer::Done),
            Err(error) if !self.may_fail() => return Err(format!("{effect:?}: {}", text(error))),
            Err(_) => {
                self.tally.unknown += 1;
                self.history.add(effect, Answer::Unknown);
            }
        }
        Ok(())
    }

    fn create_database(&mut self, target: Target) -> Result<(), String> {
        let name = target.database();
        let spec = PolicySpec {
            name: Some("rp0".into()),
            shard_duration_ns: Some(HOUR_NS),
            ..PolicySpec::default()
        };
        let exists = self.history.live().databases.get(&name);
        let is_as_made = |database: &Database| {
            let policy = database.policies.get("rp0");
            database.default_policy.as_deref() == Some("rp0")
                && policy.is_some_and(|policy| policy.duration_ns == 0)
        };
        if exists.is_some_and(|database| !is_as_made(database)) {
            // With another default policy, it would be refused.
            return Ok(());
        }
        let made = self.store().create_database(&name, Some(&spec));
        let effect = Effect::CreateDatabase {
            name,
            policy: "rp0".into(),
            shard_duration_ns: HOUR_NS,
        };
        self.note(made, effect)
    }

    fn create_policy(&mut self, target: Target, hours: u16) -> Result<(), String> {
        let (database, name) = (target.database(), target.policy());
        let duration_ns = i64::from(hours) * HOUR_NS;
        let live = self.history.live();
        if !live.databases.contains_key(&database) {
            return Ok(());
        }
        if let Some(policy) = live.policy(&database, &name)
            && policy.duration_ns != duration_ns
        {
            // Another of this name is refused.
            return Ok(());
        }
        let spec = PolicySpec {
            name: Some(name.clone()),
            duration_ns: Some(duration_ns),
            shard_duration_ns: Some(HOUR_NS),
            ..PolicySpec::default()
        };
        let made = self.store().create_policy(&database, &spec, false);
        let effect = Effect::PutPolicy {
            database,
            name,
            duration_ns,
            shard_duration_ns: HOUR_NS,
            default: false,
        };
        self.note(made, effect)
    }

    /// Opens the store again while the machine runs on.
    fn reopen(&mut self, clean: bool) -> Result<(), String> {
        if clean && let Err(error) = self.store().close() {
            self.must_work("close", Err::<(), _>(error))?;
        }
        self.store = None;
        // The call that fails, or the power cut, may come in here.
        match self.try_open() {
            Ok(store) => drop(store),
            Err(error) if !self.may_fail() => return Err(format!("open: {}", text(error))),
            Err(_) => {}
        }
        if self.fs.is_off() {
            // What is found is seen after the power is back.
            return Ok(());
        }
        self.open()?;
        self.recovered()
    }

    /// Takes the power away, and opens what is left.
    fn cut(&mut self, cut: Cut) -> Result<(), String> {
        self.tally.cuts += 1;
        self.tally.cuts_inside += u64::from(self.fs.is_off());
        let fs = self.fs.crash(cut.seed);
        self.store = None;
        self.fs = fs;
        if let Some(calls) = cut.again {
            self.fs.set_capacity(None);
            self.fs.power_off_after(calls);
            drop(self.try_open());
            self.fs = self.fs.crash(!cut.seed);
        }
        self.open()?;
        self.recovered()
    }

    /// What is found after a start must be what may be there; from then on it is certain.
    fn recovered(&mut self) -> Result<(), String> {
        let found = observe(self.store(), Listed::Exact)?;
        self.tally.looks += 1;
        self.tally.rows += found.rows() as u64;
        if !self.history.allows(&found) {
            let least = self.history.least().differences(&found);
            return Err(format!(
                "after the start; acknowledged against found:\n{least}"
            ));
        }
        self.history = History::of(found);
        Ok(())
    }

    /// What to expect of the lists.
    pub(crate) const fn listed(&self) -> Listed {
        if self.troubled {
            Listed::MayBeMore
        } else {
            Listed::Exact
        }
    }

    /// Compares everything that a reader sees with what was acknowledged.
    fn look(&mut self) -> Result<(), String> {
        let found = observe(self.store(), self.listed())?;
        self.tally.looks += 1;
        self.tally.rows += found.rows() as u64;
        let live = self.history.live();
        if found == *live {
            return Ok(());
        }
        Err(format!(
            "while running; acknowledged against found:\n{}",
            live.differences(&found)
        ))
    }
}
