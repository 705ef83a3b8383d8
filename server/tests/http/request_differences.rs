//! Where other requests than writes end differently from InfluxDB 1.6.7, on purpose: both sides, one after another. The
//! reasons are in docs/differences.md.

use std::net::SocketAddr;
use std::time::Duration;

use tandem_http::{Method, percent_encode};
use tandem_server::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::common::{Caller, Running};
use crate::influxd::{Influxd, documented};
use crate::prometheus::{query, series, snap, unsnap};

/// Who is asked.
struct Side {
    caller: Caller,
    addr: SocketAddr,
    is_ours: bool,
}

const NAMES: [&str; 11] = [
    "bad-heads",
    "content-types",
    "datagrams",
    "msgpack-size",
    // Of which store/tests/precreation.rs shows ours: in InfluxDB it takes longer than a test.
    "precreation",
    "prometheus-labels",
    "prometheus-regex",
    "semicolons",
    "slow-bodies",
    "version-2",
    "zstd",
];

impl Side {
    /// All of them; the database `db` is there.
    async fn play(&self) {
        self.content_types().await;
        self.semicolons().await;
        self.zstd().await;
        self.bad_heads().await;
        self.prometheus().await;
        self.version_2().await;
        self.slow_bodies().await;
        self.msgpack_size().await;
    }

    async fn content_types(&self) {
        let asked = [("Accept", "application/csv")];
        let target = "/query?q=SHOW%20DATABASES";
        let got = self.caller.call(Method::GET, target, &asked, "").await;
        let name = if self.is_ours {
            "application/csv"
        } else {
            "text/csv"
        };
        assert_eq!(got.header("content-type"), name);
    }

    async fn semicolons(&self) {
        let target = "/query?q=SHOW%20DATABASES;SHOW%20DATABASES";
        let got = self.caller.get(target).await.text();
        // Its Go takes it for the end of the value, or refuses the parameter.
        let results = got.matches("statement_id").count();
        assert_eq!(results == 2, self.is_ours, "{got}");
    }

    async fn zstd(&self) {
        let body = zstd::encode_all(&b"m v=1 1"[..], 1).unwrap();
        // InfluxDB repeats the bytes in a header, so that no ordinary client reads its answer.
        let head = format!(
            "POST /write?db=db HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Encoding: zstd\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let status = if self.is_ours { "204" } else { "400" };
        let begin = format!("HTTP/1.1 {status} ");
        assert!(
            answer.starts_with(begin.as_bytes()),
            "{}",
            answer.escape_ascii()
        );
    }

    async fn bad_heads(&self) {
        let unknown = if self.is_ours { "400" } else { "501" };
        for (line, status) in [
            ("Content-Length: x", "400"),
            ("Content-Length: 1\r\nContent-Length: 2", "400"),
            ("Transfer-Encoding: foo", unknown),
        ] {
            let head = format!("POST /write?db=db HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n");
            let mut stream = TcpStream::connect(self.addr).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            let begin = format!("HTTP/1.1 {status} ");
            assert!(answer.starts_with(&begin), "{line}: {answer}");
            assert_eq!(answer.ends_with("\r\n\r\n"), self.is_ours, "{answer}");
        }
    }

    async fn prometheus(&self) {
        let labels = |job| [("__name__", "up"), ("job", job)];
        let sample = [(1.5, 1000)];
        let written = snap(&series(&labels("ab"), &sample));
        let target = "/api/v1/prom/write?db=db";
        assert_eq!(self.caller.post(target, written).await.status, 204);
        let asked = snap(&query(0, 5000, &[(0, "__name__", "up"), (2, "job", "a")]));
        let got = self.caller.post("/api/v1/prom/read?db=db", asked).await;
        assert_eq!(got.status, 200, "{}", got.text());
        let is_found = unsnap(&got.body).windows(2).any(|two| two == b"ab");
        assert_eq!(is_found, !self.is_ours, "regular expressions");

        let written = snap(&series(&labels("l1\nl2\\"), &sample));
        let got = self.caller.post(target, written).await;
        let asked = percent_encode("SHOW TAG VALUES FROM up WITH KEY = job");
        let found = self
            .caller
            .get(&format!("/query?db=db&q={asked}"))
            .await
            .text();
        let kept = match self.is_ours {
            true => "\"l1\\\\nl2\"",
            false => "\"l1\\nl2\\\\\"",
        };
        assert_eq!(got.status, 204, "{}", got.text());
        assert!(found.contains(kept), "{found}");
    }

    async fn version_2(&self) {
        let body = "{\"start\":\"1970-01-01T00:00:00Z\",\"stop\":\"1970-01-01T00:00:01Z\"}";
        let deleted = self.caller.post("/api/v2/delete?bucket=db", body).await;
        let buckets = self.caller.get("/api/v2/buckets").await;
        let wanted = if self.is_ours { (200, 200) } else { (404, 404) };
        assert_eq!(
            (deleted.status, buckets.status),
            wanted,
            "{}",
            deleted.text()
        );
    }

    async fn slow_bodies(&self) {
        let mut slow = TcpStream::connect(self.addr).await.unwrap();
        let head = "POST /write?db=db HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 999\r\n\r\n";
        slow.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let reading = slow.read_to_string(&mut answer);
        // Before it answers, a server waits a moment for the rest.
        let ended = tokio::time::timeout(Duration::from_secs(6), reading).await;
        assert_eq!(ended.is_ok(), self.is_ours, "{answer}");
        assert_eq!(answer.starts_with("HTTP/1.1 408"), self.is_ours, "{answer}");
    }

    async fn msgpack_size(&self) {
        let text = "x".repeat(1 << 20);
        for at in 0..65 {
            let line = format!("large s=\"{text}\" {at}");
            assert_eq!(self.caller.post("/write?db=db", line).await.status, 204);
        }
        let asked = [("Accept", "application/x-msgpack")];
        let target = "/query?db=db&q=SELECT%20s%20FROM%20large";
        let got = self.caller.call(Method::GET, target, &asked, "").await;
        let is_whole = got.body.len() > 65 << 20;
        assert_eq!(is_whole, !self.is_ours, "{}", got.body.len());
        let is_refused = got.text().contains("ask with chunked=true");
        assert_eq!(is_refused, self.is_ours);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn here() {
    let running = Running::with(Config {
        body_stall_max: Duration::from_millis(300),
        ..Config::default()
    })
    .await;
    let side = Side {
        caller: running.api(),
        addr: running.server.api_addr(),
        is_ours: true,
    };
    side.play().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_influxdb() {
    let Some(real) = Influxd::installed("max-body-size = 0").await else {
        return;
    };
    let made = real
        .caller
        .post("/query?q=CREATE%20DATABASE%20db", "")
        .await;
    assert_eq!(made.status, 200);
    let side = Side {
        caller: real.caller.clone(),
        addr: real.addr,
        is_ours: false,
    };
    side.play().await;
}

/// Here they are kept: `line_protocol_in_datagrams` shows it.
#[tokio::test(flavor = "multi_thread")]
async fn in_influxdb_a_datagram_with_a_bad_line_is_dropped() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let taken = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap();
    drop(taken);
    let udp = format!(
        "[[udp]]\nenabled = true\nbind-address = \"{addr}\"\ndatabase = \"db\"\nbatch-timeout = \"50ms\""
    );
    let Some(real) = Influxd::installed(&udp).await else {
        return;
    };
    let asked = "/query?db=db&q=SELECT%20v%20FROM%20m";
    let mut found = String::new();
    for _ in 0..500 {
        for datagram in ["bad\nm v=1 1", "m v=2 2"] {
            socket.send_to(datagram.as_bytes(), addr).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        found = real.caller.get(asked).await.text();
        if found.contains("values") {
            break;
        }
    }
    let rows = "\"values\":[[\"1970-01-01T00:00:00.000000002Z\",2]]";
    assert!(found.contains(rows), "{found}");
}

/// Every difference has its entry, and every entry its difference.
#[test]
fn the_docs_name_them() {
    assert_eq!(documented("## Other requests"), NAMES);
}
