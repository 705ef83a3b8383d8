//! Two stores behind a relay, and everything that can go wrong: `kill -9`, a stop, a pause, a cut or a
//! slow network, a full disk under the relay's queues; one or two at a time, to any of the three.
//! In the end both stores hold every acknowledged point, and the same ones.
//!
//! Points without a time get one from the relay; a client that repeats such a point because it got
//! no answer has written two. So of these each acknowledged number is at both stores with the same
//! time, and a difference is allowed only of numbers that were sent more than once.
//!
//! `TANDEM_TEST_RELAY_CYCLES` says how many rounds (`cargo xtask relay-soak --cycles N`),
//! `TANDEM_TEST_SEED` which ones. Without the right to mount a tmpfs the disk does not fill, aloud.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use common::{
    PATIENCE, await_true, http,
    loader::DATABASE,
    process::{Process, free_addresses},
};
use tempfile::TempDir;

const CYCLES: u64 = 3;
const WRITERS: usize = 3;
const BATCH_POINTS: usize = 10;
/// Between two batches of a writer.
const WRITE_PAUSE: Duration = Duration::from_millis(4);
const RETRY_DELAY: Duration = Duration::from_millis(20);
const FIRST_TIME_NS: u64 = 1_700_000_000_000_000_000;
/// No pause of a store is as long as the write timeout: so long a write may be under way.
const CONFIG: &str = "[relay]\nwrite-timeout = \"3s\"\nhedge-delay = \"50ms\"\n";
const FAULT_MS: std::ops::Range<u64> = 200..1500;
const CALM_MS: std::ops::Range<u64> = 100..700;
const DISK: &str = "48m";

const PASS: u8 = 0;
const CUT: u8 = 1;
const SLOW: u8 = 2;

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn sleep(&mut self, range: std::ops::Range<u64>) {
        let ms = range.start + self.below(range.end - range.start);
        thread::sleep(Duration::from_millis(ms));
    }
}

/// The network between the relay and one store.
struct Wire {
    address: SocketAddr,
    mode: Arc<AtomicU8>,
}

impl Wire {
    fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let mode = Arc::new(AtomicU8::new(PASS));
        let shared = Arc::clone(&mode);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.load(Ordering::Relaxed) == CUT {
                    continue;
                }
                let Ok(server) = TcpStream::connect(to) else {
                    continue;
                };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
                        continue;
                    };
                    let mode = Arc::clone(&shared);
                    thread::spawn(move || carry(from, to, &mode));
                }
            }
        });
        Self { address, mode }
    }

    fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::Relaxed);
    }
}

/// Carries bytes until one end closes, or the wire is cut.
fn carry(mut from: TcpStream, mut to: TcpStream, mode: &AtomicU8) {
    let mut piece = [0; 4096];
    let look = Some(Duration::from_millis(20));
    let _ = (from.set_read_timeout(look), to.set_nodelay(true));
    loop {
        if mode.load(Ordering::Relaxed) == CUT {
            break;
        }
        match from.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => {
                if mode.load(Ordering::Relaxed) == SLOW {
                    thread::sleep(Duration::from_millis(60));
                }
                if to.write_all(&piece[..length]).is_err() {
                    break;
                }
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) => {}
            Err(_) => break,
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// A tmpfs, unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).expect("a directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={DISK}"), "tmpfs"]);
        let done = mount.arg(at).output().ok()?;
        done.status.success().then(|| Self(at.to_owned()))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.filler()).expect("a file");
        let zeros = vec![0; 64 << 10];
        while file.write_all(&zeros).is_ok() {}
    }

    fn free(&self) {
        let _ = fs::remove_file(self.filler());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Kill(usize),
    Stop(usize),
    Pause(usize),
    Cut(usize),
    Slow(usize),
    Fill,
}

impl Fault {
    fn random(rng: &mut Rng, has_disk: bool) -> Self {
        let role = rng.below(3) as usize;
        let store = rng.below(2) as usize;
        match rng.below(if has_disk { 7 } else { 6 }) {
            0 | 1 => Self::Kill(role),
            2 => Self::Stop(role),
            3 => Self::Pause(role),
            4 => Self::Cut(store),
            5 => Self::Slow(store),
            _ => Self::Fill,
        }
    }

    /// Whether both may be there at a time.
    fn goes_with(self, other: Self) -> bool {
        let process = |fault| match fault {
            Self::Kill(role) | Self::Stop(role) | Self::Pause(role) => Some(role),
            _ => None,
        };
        let wire = |fault| match fault {
            Self::Cut(store) | Self::Slow(store) => Some(store),
            _ => None,
        };
        self != other
            && (process(self).is_none() || process(self) != process(other))
            && (wire(self).is_none() || wire(self) != wire(other))
    }
}

const RELAY: usize = 2;
const NAMES: [&str; 3] = ["primary", "backup", "relay"];

struct Bed {
    roles: [Process; 3],
    addresses: [SocketAddr; 3],
    wires: [Wire; 2],
    disk: Option<Disk>,
    home: TempDir,
}

impl Bed {
    fn start() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        fs::write(home.path().join("tandem.toml"), CONFIG).expect("a configuration");
        let addresses = free_addresses();
        let disk = Disk::mount(&home.path().join("relay"));
        if disk.is_none() {
            eprintln!("left out: the full disk, for a tmpfs cannot be mounted here");
        }
        let wires = [0, 1].map(|store| Wire::start(addresses[store]));
        let ports = [wires[0].address, wires[1].address];
        let roles = [0, 1, 2].map(|role| launch(role, addresses, ports, home.path()));
        Self {
            roles,
            addresses,
            wires,
            disk,
            home,
        }
    }

    fn restart(&mut self, role: usize) {
        let ports = [self.wires[0].address, self.wires[1].address];
        self.roles[role] = launch(role, self.addresses, ports, self.home.path());
    }

    fn begin(&mut self, fault: Fault) {
        match fault {
            Fault::Kill(role) => self.roles[role].kill(),
            Fault::Stop(role) => self.roles[role].signal("TERM"),
            Fault::Pause(role) => self.roles[role].signal("STOP"),
            Fault::Cut(store) => self.wires[store].set(CUT),
            Fault::Slow(store) => self.wires[store].set(SLOW),
            Fault::Fill => self.disk.iter().for_each(Disk::fill),
        }
    }

    fn end(&mut self, fault: Fault) {
        match fault {
            Fault::Kill(role) => self.restart(role),
            Fault::Stop(role) => {
                self.roles[role].ended(PATIENCE);
                self.restart(role);
            }
            Fault::Pause(role) => self.roles[role].signal("CONT"),
            Fault::Cut(store) | Fault::Slow(store) => self.wires[store].set(PASS),
            Fault::Fill => self.disk.iter().for_each(Disk::free),
        }
    }

    fn is_drained(&self) -> bool {
        let Ok((200, status)) = http::get(self.addresses[RELAY], "/status") else {
            return false;
        };
        let status: serde_json::Value = serde_json::from_str(&status).unwrap_or_default();
        let backends = status.as_array().cloned().unwrap_or_default();
        let dead: u64 = backends
            .iter()
            .filter_map(|b| b["dead_batches"].as_u64())
            .sum();
        assert_eq!(dead, 0, "{status}");
        backends.len() == 2 && backends.iter().all(|b| b["queued_batches"] == 0)
    }
}

fn launch(role: usize, addresses: [SocketAddr; 3], ports: [SocketAddr; 2], home: &Path) -> Process {
    let own = addresses[role].to_string();
    let data = home.join(NAMES[role]);
    let data = data.to_str().expect("a path of UTF-8");
    let config = home.join("tandem.toml");
    let config = config.to_str().expect("a path of UTF-8");
    let backends = [
        format!("primary=http://{}", ports[0]),
        format!("backup=http://{}", ports[1]),
    ];
    let mut arguments = vec!["--config", config, "--data-dir", data];
    if role == RELAY {
        arguments.extend(["relay", "--http", &own]);
        arguments.extend(["--backend", &backends[0], "--backend", &backends[1]]);
    } else {
        arguments.extend(["store", "--http", &own, "--admin", "off"]);
    }
    let mut process = Process::start(&arguments, home, NAMES[role]);
    process.await_ping(addresses[role]);
    process
}

/// What a writer has had acknowledged.
struct Written {
    points: usize,
    /// Numbers of untimed points that were sent more than once.
    repeated: BTreeSet<u64>,
}

fn write_on(address: SocketAddr, writer: usize, stop: &AtomicBool, count: &AtomicUsize) -> Written {
    let mut written = Written {
        points: 0,
        repeated: BTreeSet::new(),
    };
    while !stop.load(Ordering::Relaxed) {
        let first = written.points;
        let mut timed = String::new();
        for number in first..first + BATCH_POINTS {
            let time = FIRST_TIME_NS + number as u64 * 1_000_000;
            timed += &format!("numbered,writer={writer} number={number}i {time}\n");
        }
        // One point that every batch overwrites: it shows whether order was kept.
        timed += &format!("latest,writer={writer} number={first}i {FIRST_TIME_NS}\n");
        deliver(address, &timed);
        let untimed = format!("untimed,writer={writer} number={first}i\n");
        if deliver(address, &untimed) > 1 {
            written.repeated.insert(first as u64);
        }
        written.points += BATCH_POINTS;
        count.fetch_add(BATCH_POINTS, Ordering::Relaxed);
        thread::sleep(WRITE_PAUSE);
    }
    written
}

/// Sends until it is acknowledged; says how often that was.
fn deliver(address: SocketAddr, lines: &str) -> u32 {
    for attempt in 1..10_000 {
        if let Ok((204, _)) = http::write(address, DATABASE, lines) {
            return attempt;
        }
        thread::sleep(RETRY_DELAY);
    }
    panic!("never acknowledged: {lines}");
}

/// Times and numbers of the untimed points of a writer.
fn untimed(address: SocketAddr, writer: usize) -> BTreeSet<(u64, u64)> {
    let query = format!("SELECT number FROM untimed WHERE writer = '{writer}'");
    let rows = http::rows(address, DATABASE, &query).expect("an answer");
    let pair = |row: &serde_json::Value| Some((row[0].as_u64()?, row[1].as_u64()?));
    rows.iter().filter_map(pair).collect()
}

fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}: a number")),
    )
}

#[test]
fn both_stores_end_equal_and_whole_whatever_happens_to_any_of_the_three() {
    let cycles = number_of("TANDEM_TEST_RELAY_CYCLES").unwrap_or(CYCLES);
    let seed = number_of("TANDEM_TEST_SEED").unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_nanos() as u64)
    });
    println!("seed {seed}");
    let mut rng = Rng(seed);
    let mut bed = Bed::start();
    let relay = bed.addresses[RELAY];
    let (stop, count) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
            thread::spawn(move || write_on(relay, writer, &stop, &count))
        })
        .collect();
    for cycle in 0..cycles {
        let first = Fault::random(&mut rng, bed.disk.is_some());
        let mut faults = vec![first];
        let second = Fault::random(&mut rng, bed.disk.is_some());
        if second.goes_with(first) {
            faults.push(second);
        }
        println!(
            "cycle {cycle}: {faults:?}, {} acknowledged",
            count.load(Ordering::Relaxed)
        );
        for fault in &faults {
            bed.begin(*fault);
            rng.sleep(0..200);
        }
        rng.sleep(FAULT_MS);
        // A relay does not start on a full disk, and a store behind a cut wire answers nobody.
        faults.sort_by_key(|fault| matches!(fault, Fault::Kill(_) | Fault::Stop(_)));
        for fault in &faults {
            bed.end(*fault);
        }
        rng.sleep(CALM_MS);
    }
    stop.store(true, Ordering::Relaxed);
    let written: Vec<Written> = writers
        .into_iter()
        .map(|writer| writer.join().expect("a writer that got through"))
        .collect();
    await_true("both queues are empty", PATIENCE, || bed.is_drained());
    let stores = [bed.addresses[0], bed.addresses[1]];
    for (writer, written) in written.iter().enumerate() {
        for (name, store) in NAMES.iter().zip(stores) {
            let query = format!("SELECT number FROM numbered WHERE writer = '{writer}'");
            let rows = http::rows(store, DATABASE, &query).expect("an answer");
            let held: BTreeSet<u64> = rows.iter().filter_map(|row| row[1].as_u64()).collect();
            let missing: Vec<u64> = (0..written.points as u64)
                .filter(|n| !held.contains(n))
                .collect();
            assert!(
                missing.is_empty(),
                "seed {seed}: {name} lacks {missing:?} of writer {writer}"
            );
            assert_eq!(
                rows.len(),
                written.points,
                "seed {seed}: {name}, writer {writer}"
            );
            let query = format!("SELECT number FROM latest WHERE writer = '{writer}'");
            let rows = http::rows(store, DATABASE, &query).expect("an answer");
            let last = written.points - BATCH_POINTS;
            assert_eq!(
                rows,
                [serde_json::json!([FIRST_TIME_NS, last])],
                "seed {seed}: {name}: order was not kept"
            );
        }
        let [one, other] = stores.map(|store| untimed(store, writer));
        let mut common: BTreeMap<u64, u64> = BTreeMap::new();
        for (time, number) in one.intersection(&other) {
            common.insert(*number, *time);
        }
        for number in (0..written.points as u64).step_by(BATCH_POINTS) {
            assert!(
                common.contains_key(&number),
                "seed {seed}: untimed {number} of writer {writer} is not at both"
            );
        }
        for (time, number) in one.symmetric_difference(&other) {
            assert!(
                written.repeated.contains(number),
                "seed {seed}: {number} at {time} is at one store and was sent once"
            );
        }
    }
    println!(
        "{cycles} cycles, {} points acknowledged, 0 lost, 0 different",
        count.load(Ordering::Relaxed)
    );
}
