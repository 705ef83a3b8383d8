//! Clients that mean harm, or do it without meaning to: a store stays within a bound of memory that is told, and serves
//! others meanwhile.

mod common;

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use common::{
    http,
    process::{Process, free_addresses},
};
use flate2::{Compression, write::GzEncoder};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const MEMORY_BYTES_MAX: u64 = 64 << 20;
/// Beside what is accounted for: the program, stacks, buffers of connections, and what the allocator keeps.
const SLACK_BYTES: u64 = 112 << 20;
/// Of an open connection that says nothing: its buffers and its place in tables.
const CONNECTION_BYTES: u64 = 16 << 10;
/// Another client's round, on a machine that runs other tests too.
const ANSWER_MAX: Duration = Duration::from_secs(20);

struct Store {
    process: Process,
    address: SocketAddr,
    /// More of them are not open at once.
    connections_max: u64,
    _home: tempfile::TempDir,
}

impl Store {
    fn start(connections_max: u64) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let config = home.path().join("tandem.toml");
        let text = format!(
            "[store]\nmemory-bytes-max = {MEMORY_BYTES_MAX}\nmax-connection-limit = {connections_max}\n"
        );
        fs::write(&config, text).expect("a configuration");
        let [address] = free_addresses();
        let (config, data) = (config.display().to_string(), home.path().join("data"));
        let (data, http) = (data.display().to_string(), address.to_string());
        let arguments = [
            "store",
            "--config",
            &config,
            "--data-dir",
            &data,
            "--http",
            &http,
            "--admin",
            "off",
        ];
        let mut process = Process::start(&arguments, home.path(), "store");
        process.await_ping(address);
        Self {
            process,
            address,
            connections_max,
            _home: home,
        }
    }

    /// Does harm while another client pings, writes and asks; both must be well.
    fn endures(&mut self, what: &str, harm: impl FnOnce(SocketAddr)) {
        let over = AtomicBool::new(false);
        let (served, slowest_ms) = (AtomicU64::new(0), AtomicU64::new(0));
        let address = self.address;
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    visit(address, served.load(Ordering::Relaxed));
                    let took = begun.elapsed();
                    assert!(took < ANSWER_MAX, "another client waited for {took:?}");
                    slowest_ms.fetch_max(took.as_millis() as u64, Ordering::Relaxed);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
            let ends = EndsVisits(&over);
            harm(address);
            // Some visits fall into the time of the harm, however short it was.
            let at_least = served.load(Ordering::Relaxed) + 2;
            let deadline = Instant::now() + ANSWER_MAX * 2;
            while served.load(Ordering::Relaxed) < at_least && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(5));
            }
            drop(ends);
        });
        self.process.assert_alive();
        let (rss, served) = (self.process.rss_bytes_max(), served.into_inner());
        println!(
            "{what}: {} MiB at most; {served} visits meanwhile, the slowest took {} ms",
            rss >> 20,
            slowest_ms.into_inner()
        );
        assert!(served >= 2, "nobody else was served");
        let bound = MEMORY_BYTES_MAX + SLACK_BYTES + self.connections_max * CONNECTION_BYTES;
        assert!(
            rss <= bound,
            "{what}: {rss} bytes of memory, more than {bound}"
        );
    }
}

/// Ends the other client's visits, also when the harm panics.
struct EndsVisits<'a>(&'a AtomicBool);

impl Drop for EndsVisits<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A well-behaved client's round.
fn visit(address: SocketAddr, round: u64) {
    let ping = http::get(address, "/ping").expect("an answer to a ping");
    assert_eq!(ping.0, 204);
    let line = format!("visits v={round}i {}\n", 1_000_000_000 + round);
    // Where all memory is in use, 503 asks for another try.
    common::await_true("a write is taken", ANSWER_MAX, || {
        let (status, text) = http::write(address, "telegraf", &line).expect("an answer to a write");
        assert!(matches!(status, 204 | 503), "{status}: {text}");
        status == 204
    });
    let rows = http::rows(address, "telegraf", "SELECT last(v) FROM visits").expect("rows");
    assert_eq!(rows[0][1].as_u64(), Some(round));
}

/// Sends a request of which the body comes in pieces; the status of the answer, if one came.
fn send(address: SocketAddr, head: &str, pieces: impl Iterator<Item = Vec<u8>>) -> Option<u16> {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream
        .set_read_timeout(Some(ANSWER_MAX))
        .expect("a timeout");
    stream
        .set_write_timeout(Some(ANSWER_MAX))
        .expect("a timeout");
    stream.write_all(head.as_bytes()).expect("a head");
    for piece in pieces {
        // The server may have answered and closed.
        if stream.write_all(&piece).is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    let _ = stream.take(4096).read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.split_whitespace().nth(1)?.parse().ok()
}

/// Raises the number of files that this process, and those it starts, may have open; says what can be.
fn allow_files(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    let raised = Rlimit {
        current: Some(wanted.min(most)),
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => wanted.min(most),
        Err(_) => limit.current.unwrap_or(u64::MAX),
    }
}

#[test]
fn slow_heads_do_not_keep_others_out() {
    let connections = 1500.min(allow_files(4096).saturating_sub(300)) as usize;
    let mut store = Store::start(300);
    store.endures("slow-loris", |address| {
        let mut slow: Vec<TcpStream> = Vec::new();
        for _ in 0..connections {
            let mut stream = TcpStream::connect(address).expect("a connection");
            stream.set_nodelay(true).expect("no delay");
            let _ = stream.write_all(b"POST /write?db=telegraf HTTP/1.1\r\nX-");
            slow.push(stream);
        }
        for _ in 0..10 {
            // Those that were closed to make room are past caring.
            slow.retain_mut(|stream| stream.write_all(b"a").is_ok());
            thread::sleep(Duration::from_millis(100));
        }
    });
}

/// More of them than connections may be open, and then fewer than that, and more than requests are handled at once.
#[test]
fn slow_bodies_do_not_keep_others_out() {
    let files = allow_files(4096).saturating_sub(300);
    for (connections_max, connections) in [(300, 900), (2000, 1200)] {
        let connections = files.min(connections) as usize;
        let mut store = Store::start(connections_max);
        store.endures("slow bodies", |address| {
            let head = b"POST /write?db=telegraf HTTP/1.1\r\nHost: x\r\nContent-Length: 25000000\r\n\r\nm v=";
            let mut slow: Vec<TcpStream> = Vec::new();
            for _ in 0..connections {
                let mut stream = TcpStream::connect(address).expect("a connection");
                stream.set_nodelay(true).expect("no delay");
                let _ = stream.write_all(head);
                slow.push(stream);
            }
            for _ in 0..10 {
                slow.retain_mut(|stream| stream.write_all(b"1").is_ok());
                thread::sleep(Duration::from_millis(100));
            }
        });
    }
}

#[test]
fn a_gzip_bomb_is_stopped_at_its_bound() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let zeros = vec![b'0'; 16 << 20];
    encoder.write_all(&zeros).expect("gzip");
    // Members one after another inflate to one text: 1 GiB.
    let bomb = encoder.finish().expect("gzip").repeat(64);
    assert!(bomb.len() < 2 << 20, "{} bytes", bomb.len());
    let mut store = Store::start(1024);
    store.endures("gzip bombs of 1 GiB", |address| {
        let head = format!(
            "POST /write?db=telegraf HTTP/1.0\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            bomb.len()
        );
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let status = send(address, &head, std::iter::once(bomb.clone()));
                    // 503 while others hold the memory there is.
                    assert!(matches!(status, Some(413 | 503)), "{status:?}");
                });
            }
        });
    });
}

#[test]
fn ten_thousand_idle_connections_leave_room_for_others() {
    let wanted = 10_000;
    let allowed = allow_files(wanted as u64 + 2000);
    if allowed < wanted as u64 + 500 {
        println!("skipped: only {allowed} files may be open; raise `ulimit -n` to 12000");
        return;
    }
    let mut store = Store::start(11_000);
    store.endures("10,000 idle connections", |address| {
        let idle: Vec<TcpStream> = (0..wanted)
            .map(|_| TcpStream::connect(address).expect("a connection"))
            .collect();
        let (_, metrics) = http::get(address, "/metrics").expect("metrics");
        let open = metrics
            .lines()
            .find(|line| line.starts_with("tandem_http_connections_active{"))
            .and_then(|line| line.rsplit(' ').next()?.parse::<usize>().ok())
            .expect("a count");
        assert!(open > idle.len() * 9 / 10, "{open} are open");
    });
}

#[test]
fn a_line_of_a_hundred_megabytes_is_refused() {
    let mut store = Store::start(1024);
    store.endures("100 MB line", |address| {
        let told = "POST /write?db=telegraf HTTP/1.0\r\nContent-Length: 100000000\r\n\r\nm v=\"";
        let piece = || std::iter::repeat_n(vec![b'x'; 1 << 20], 100);
        assert_eq!(send(address, told, piece()), Some(413));
        let chunked =
            "POST /write?db=telegraf HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunks = piece().map(|piece| {
            let head = format!("{:x}\r\n", piece.len());
            [head.as_bytes(), &piece, b"\r\n"].concat()
        });
        let status = send(address, chunked, chunks);
        // The answer may be lost where the server gives up reading.
        assert!(matches!(status, Some(413) | None), "{status:?}");
    });
}

#[test]
fn a_million_tags_are_refused() {
    let mut store = Store::start(1024);
    let mut line = String::from("m");
    for at in 0..1_000_000 {
        line += &format!(",t{at}=v");
    }
    line += " v=1 1\n";
    store.endures("1 M tags", |address| {
        let (status, text) = http::write(address, "telegraf", &line).expect("an answer");
        assert_eq!(status, 400);
        assert!(text.contains("max key length exceeded"), "{}", &text[..200]);
        // As InfluxDB it repeats the line, and no more.
        assert!(text.len() < line.len() + 500, "{} bytes", text.len());
    });
}
