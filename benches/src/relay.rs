//! `bench relay`: what a relay to two backends costs, beside a bare TCP tee in the same run.
//!
//! The backends are sinks in this process, so that only the relay, or the tee, is measured. The tee is
//! this program started again: it copies the bytes of each connection to both sinks and the answers of the
//! first one back, and understands nothing.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;

use crate::args::Args;
use crate::bodies::Bodies;
use crate::http::Connection;
use crate::load::load;
use crate::process::Process;
use crate::report::{Figure, Goal, Row, Unit};
use crate::servers::relay_between;
use crate::sink::Sink;
use crate::store::remove;
use tandem_benches::generate::{Numbers, Shape};

const TARGET: &str = "/write?db=telegraf";
const START_MAX: Duration = Duration::from_secs(30);
const DRAIN_MAX: Duration = Duration::from_secs(300);
const PIECE_BYTES: usize = 256 << 10;
/// Of the goal: the relay's values per CPU second against the tee's.
const RATIO_MIN: f64 = 0.75;
const REQUESTS_PER_S: u64 = 1_000;
const SMALL_BODY_BYTES: usize = 5_000;
const CONNECTIONS: usize = 4;
/// How often the tee and the relay get everything, one after the other.
const RATE_TURNS: usize = 3;
/// How often each way is asked for its latency, one after the other, so that one disturbance is not a figure.
const TURNS: u64 = 5;
/// Of writes that wait behind a backlog, while live ones are measured.
const BEHIND_PER_S: u64 = 100;
/// What 250 agents send in an hour, each every 10 s; here as fast as the relay takes it.
const OUTAGE_BATCHES: u64 = 90_000;
/// Of the memory, once the outage is a tenth old.
const OUTAGE_GROWTH_BYTES_MAX: f64 = 8.0 * 1024.0 * 1024.0;

pub(crate) const NAME: &str = "relay-tee";
pub(crate) const WHAT: &str = "values in a CPU second of a relay to two sinks, of a bare TCP tee's";

/// The row of what a relay costs beside a tee, which `bench rivals` has.
pub(crate) fn measure(args: &Args) -> anyhow::Result<Vec<Row>> {
    if !args.wants(NAME) {
        return Ok(Vec::new());
    }
    println!("{NAME}: tandem");
    let dir = args.work.join(format!("relay-tee-{}", std::process::id()));
    let measured = sinks().and_then(|to| against_tee(args, &dir, [to[0].address, to[1].address]));
    let figure = measured.map(|(tee, relay, _)| {
        println!("  {relay:.0} of {tee:.0}");
        Figure::new(relay / tee, [("relay", relay), ("tee", tee)])
    });
    remove(&dir)?;
    Ok(vec![Row {
        name: NAME,
        what: WHAT,
        unit: Unit::Part,
        goal: Goal::AtLeast(RATIO_MIN),
        figures: [("tandem", figure.map_err(|error| format!("{error:#}")))].into(),
    }])
}

/// Measures everything and prints it beside the goals.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let run_dir = args.work.join("relay");
    let _ = fs::remove_dir_all(&run_dir);
    fs::create_dir_all(&run_dir)?;
    let seconds = if args.quick { 4 } else { 15 };
    let sinks = sinks()?;
    let to = [sinks[0].address, sinks[1].address];
    let mut figures = serde_json::Map::new();
    let mut tell = |name: &str, value: f64, unit: &str, goal: &str| {
        println!("{name:<44} {value:>10.2} {unit:<14} {goal}");
        figures.insert(name.to_owned(), json!(value));
    };

    let (tee_rate, relay_rate, [tee, both]) = against_tee(args, &run_dir, to)?;
    tell("tee: values per CPU-second", tee_rate / 1e6, "M", "");
    tell("relay: values per CPU-second", relay_rate / 1e6, "M", "");
    let goal = format!("goal {RATIO_MIN}");
    tell("relay against tee", relay_rate / tee_rate, "", &goal);

    let away = TcpListener::bind("127.0.0.1:0")?;
    let away_address = away.local_addr()?;
    drop(away);
    let (address, process) =
        relay_between(&args.tandem, &run_dir.join("down"), [to[0], away_address])?;
    let ways = [
        ("one backend, direct", to[0]),
        ("tee", tee.0),
        ("relay", both.0),
        ("one backend down", address),
    ];
    let (taken, fsync) = in_turn(&ways, &run_dir, seconds)?;
    for ((name, _), latency) in ways.iter().zip(&taken) {
        for (part, us) in [("p50", latency.p50_us), ("p99", latency.p99_us)] {
            let name = format!("{name}: {part} at 1,000 requests/s");
            tell(&name, us, "us", "");
        }
    }
    let [direct, _, healthy, down] = taken;
    let added = healthy.p99_us - direct.p99_us;
    tell("relay: added p99", added, "us", "goal 200");
    tell("fdatasync of 5 kB, p99", fsync, "us", "");
    let added = down.p99_us - direct.p99_us;
    let goal = format!("goal {:.0}", fsync + 1_000.0);
    tell("one backend down: added p99", added, "us", &goal);
    drop((tee, both));
    let batches = OUTAGE_BATCHES / if args.quick { 5 } else { 1 };
    at_full_speed(address, batches / 10)?;
    let before = process.usage()?.rss_bytes;
    at_full_speed(address, batches - batches / 10)?;
    let grown = process.usage()?.rss_bytes as f64 - before as f64;
    let hours = batches as f64 / OUTAGE_BATCHES as f64;
    tell("one backend down: outage of 250 agents", hours, "h", "");
    let mib = f64::from(1 << 20);
    let goal = format!("goal {:.0}", OUTAGE_GROWTH_BYTES_MAX / mib);
    tell("one backend down: memory grown", grown / mib, "MiB", &goal);

    let backlog = queued(address)?;
    let drained_by = Sink::start_at(away_address, "204 No Content")?;
    let deadline = Instant::now() + START_MAX;
    while drained_by.bytes() == 0 {
        ensure!(Instant::now() < deadline, "nothing is drained");
        thread::sleep(Duration::from_millis(1));
    }
    let begun = Instant::now();
    let drained = thread::spawn(move || -> anyhow::Result<Instant> {
        while queued(address)? > 0 {
            ensure!(begun.elapsed() < DRAIN_MAX, "it never drains");
            // Not more often: each look takes processor time from what is measured meanwhile.
            thread::sleep(Duration::from_millis(500));
        }
        Ok(Instant::now())
    });
    // First series without a backlog, which are live; then those with one, which go through the log, behind it.
    let free = hosts(lanes_of(&hosts(0)));
    let live = steadily(address, &free, REQUESTS_PER_S, REQUESTS_PER_S * seconds)?;
    let behind = steadily(address, &hosts(0), BEHIND_PER_S, BEHIND_PER_S * seconds)?;
    let panicked = |_| anyhow::anyhow!("it panicked");
    let drained = drained.join().map_err(panicked)??;
    for (name, taken, before_us) in [
        ("live writes", live, healthy.p99_us),
        ("writes behind it", behind, down.p99_us),
    ] {
        let meanwhile = taken.into_iter().filter(|taken| taken.sent < drained);
        let meanwhile = sorted(meanwhile.collect());
        ensure!(
            !meanwhile.is_empty(),
            "it was drained before there were {name}"
        );
        let goal = format!("goal {:.0}", before_us * 1.2);
        let name = format!("draining: p99 of {name}");
        tell(&name, us(&meanwhile, 0.99), "us", &goal);
    }
    let took = drained.duration_since(begun);
    let rate = backlog as f64 / took.as_secs_f64();
    let goal = format!("beside {REQUESTS_PER_S} live ones");
    tell(
        "draining: batches of the backlog",
        rate,
        "per second",
        &goal,
    );
    let text = serde_json::to_string_pretty(&figures)?;
    fs::write(args.work.join("relay.json"), text)?;
    Ok(())
}

fn sinks() -> anyhow::Result<[Sink; 2]> {
    Ok([
        Sink::start("204 No Content")?,
        Sink::start("204 No Content")?,
    ])
}

/// Where a server listens, and the server.
type Served = (SocketAddr, Process);

/// Values in a CPU second of the tee and of the relay, medians of turns, and both, to be asked for more.
fn against_tee(
    args: &Args,
    dir: &Path,
    to: [SocketAddr; 2],
) -> anyhow::Result<(f64, f64, [Served; 2])> {
    let values = if args.quick { 20_000_000 } else { 200_000_000 };
    let shape = Shape::Cpu {
        hosts: 100,
        numbers: Numbers::Integers,
    };
    let bodies = Bodies::prepare(&args.work.join("bodies"), shape, values, false)?;
    fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    let tee = tee(dir, to)?;
    let relay = relay_between(&args.tandem, &dir.join("both"), to)?;
    let (mut tee_rates, mut relay_rates) = (Vec::new(), Vec::new());
    for _ in 0..RATE_TURNS {
        tee_rates.push(rate(tee.0, &tee.1, &bodies)?);
        relay_rates.push(rate(relay.0, &relay.1, &bodies)?);
    }
    Ok((median(tee_rates), median(relay_rates), [tee, relay]))
}

/// Values that pass in a second of the process' CPU time.
fn rate(address: SocketAddr, process: &Process, bodies: &Bodies) -> anyhow::Result<f64> {
    let before = process.usage()?.cpu_s;
    let loaded = load(address, TARGET, bodies)?;
    let used = process.usage()?.cpu_s - before;
    Ok(loaded.values as f64 / used.max(1e-3))
}

/// When a request was sent, and what it took in microseconds.
#[derive(Clone, Copy, Debug)]
struct Taken {
    sent: Instant,
    us: f64,
}

/// What a request took, in microseconds: medians of the turns.
#[derive(Clone, Copy, Debug)]
struct Latency {
    p50_us: f64,
    p99_us: f64,
}

/// The latency of each way, sent to at a steady rate whatever the answers take, for `seconds` in all; and the
/// 99th percentile of a plain fdatasync between them.
fn in_turn<const WAYS: usize>(
    ways: &[(&str, SocketAddr); WAYS],
    dir: &Path,
    seconds: u64,
) -> anyhow::Result<([Latency; WAYS], f64)> {
    let count = REQUESTS_PER_S * seconds / TURNS;
    let mut taken = [const { (Vec::new(), Vec::new()) }; WAYS];
    let mut fsync = Vec::new();
    for _ in 0..TURNS {
        for ((_, address), (p50, p99)) in ways.iter().zip(&mut taken) {
            let turn = sorted(steadily(*address, &hosts(0), REQUESTS_PER_S, count)?);
            p50.push(us(&turn, 0.5));
            p99.push(us(&turn, 0.99));
        }
        fsync.push(fsync_us(dir)?);
    }
    let latency = |(p50, p99)| Latency {
        p50_us: median(p50),
        p99_us: median(p99),
    };
    Ok((taken.map(latency), median(fsync)))
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    us(&all, 0.5)
}

fn sorted(taken: Vec<Taken>) -> Vec<f64> {
    let mut all: Vec<f64> = taken.into_iter().map(|taken| taken.us).collect();
    all.sort_by(f64::total_cmp);
    all
}

/// Sends `count` small batches, `per_s` in a second.
fn steadily(
    address: SocketAddr,
    hosts: &[String],
    per_s: u64,
    count: u64,
) -> anyhow::Result<Vec<Taken>> {
    let begun = Instant::now() + Duration::from_millis(50);
    send(address, hosts, count, |number| {
        let due = begun + Duration::from_secs_f64(number as f64 / per_s as f64);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    })
}

/// Sends so many small batches, each connection one after the other.
fn at_full_speed(address: SocketAddr, count: u64) -> anyhow::Result<()> {
    send(address, &hosts(0), count, |_| {}).map(drop)
}

/// A line of a host.
fn line(host: &str) -> String {
    format!("cpu,host={host} usage_user=58i,usage_system=2i,usage_idle=24i 1451606400000000000\n")
}

/// The lanes of what these hosts send (`tandem_line::scan`).
fn lanes_of(hosts: &[String]) -> u64 {
    let lanes = |host: &String| tandem_line::scan(line(host).as_bytes()).lanes;
    hosts.iter().map(lanes).fold(0, |all, lanes| all | lanes)
}

/// A host for each connection, none of which shares a lane with `taken`.
fn hosts(taken: u64) -> Vec<String> {
    let all = (0..).map(|number| format!("host_{number:03}"));
    all.filter(|host| lanes_of(std::slice::from_ref(host)) & taken == 0)
        .take(CONNECTIONS)
        .collect()
}

/// Sends so many small batches, each after `wait`, on a connection for each host.
fn send(
    address: SocketAddr,
    hosts: &[String],
    count: u64,
    wait: impl Fn(u64) + Sync,
) -> anyhow::Result<Vec<Taken>> {
    let next = AtomicUsize::new(0);
    let (next, wait) = (&next, &wait);
    let work = move |host: &str| -> anyhow::Result<Vec<Taken>> {
        let mut connection = Connection::open(address).context("connect")?;
        let mut taken = Vec::new();
        // Each connection has series of its own, as agents have.
        let line = line(host);
        let body = line.repeat(SMALL_BODY_BYTES / line.len());
        let request = format!(
            "POST {TARGET} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed) as u64;
            if number >= count {
                return Ok(taken);
            }
            wait(number);
            let sent = Instant::now();
            let answer = connection.exchange(request.as_bytes())?;
            ensure!(answer.status == 204, "answered with {}", answer.status);
            let us = sent.elapsed().as_secs_f64() * 1e6;
            taken.push(Taken { sent, us });
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = hosts
            .iter()
            .map(|host| scope.spawn(move || work(host)))
            .collect();
        let mut all = Vec::new();
        for worker in workers {
            let taken = worker
                .join()
                .map_err(|_| anyhow::anyhow!("a client panicked"))?;
            all.extend(taken?);
        }
        anyhow::Ok(all)
    })
}

/// Batches that wait for the backend that is away.
fn queued(address: SocketAddr) -> anyhow::Result<u64> {
    let request = format!("GET /status HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let answer = Connection::open(address)?.exchange(request.as_bytes())?;
    let status: serde_json::Value = serde_json::from_slice(&answer.body)?;
    let queued = status[1]["queued_batches"].as_u64();
    queued.context("no figures of the second backend")
}

fn us(sorted: &[f64], part: f64) -> f64 {
    let at = (sorted.len() as f64 * part) as usize;
    sorted
        .get(at.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0.0)
}

fn fsync_us(dir: &Path) -> anyhow::Result<f64> {
    let mut file = fs::File::create(dir.join("probe"))?;
    let mut taken = Vec::new();
    for _ in 0..500 {
        file.write_all(&[7; SMALL_BODY_BYTES])?;
        let begun = Instant::now();
        file.sync_data()?;
        taken.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    taken.sort_by(f64::total_cmp);
    Ok(us(&taken, 0.99))
}

/// Starts the tee in a process of its own.
fn tee(dir: &Path, to: [SocketAddr; 2]) -> anyhow::Result<Served> {
    let mut command = Command::new(std::env::current_exe().context("find this program")?);
    command.args(["tee", &to[0].to_string(), &to[1].to_string()]);
    let mut process = Process::start(command, &dir.join("tee.log"))?;
    let address = process.await_some(START_MAX, |log| log.lines().next()?.parse().ok())?;
    Ok((address, process))
}

/// The tee itself: prints where it listens, and runs until it is killed.
pub(crate) fn be_tee(to: &[String]) -> anyhow::Result<()> {
    let to: Vec<SocketAddr> = to
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    ensure!(to.len() == 2, "a tee has two ends");
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    for client in listener.incoming() {
        let client = client?;
        let (first, second) = (TcpStream::connect(to[0])?, TcpStream::connect(to[1])?);
        for stream in [&client, &first, &second] {
            stream.set_nodelay(true)?;
        }
        let (back, rest) = (first.try_clone()?, second.try_clone()?);
        let answers = client.try_clone()?;
        thread::spawn(move || copy(back, &[answers]));
        thread::spawn(move || copy(rest, &[]));
        thread::spawn(move || copy(client, &[first, second]));
    }
    Ok(())
}

fn copy(mut from: TcpStream, to: &[TcpStream]) {
    let mut piece = vec![0; PIECE_BYTES];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        for mut end in to {
            if end.write_all(&piece[..length]).is_err() {
                return;
            }
        }
    }
    for end in to {
        let _ = end.shutdown(Shutdown::Write);
    }
}
