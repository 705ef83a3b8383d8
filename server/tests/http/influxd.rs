//! The same requests to a real InfluxDB 1.x are answered with the same status, headers and bytes.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tandem_http::{Method, percent_encode};

use crate::common::{Caller, Got, Running};

const INFLUXD: &str = "/usr/bin/influxd";

/// A real server with its own directory and port; killed when dropped.
pub(crate) struct Influxd {
    child: Child,
    pub(crate) caller: Caller,
    pub(crate) addr: std::net::SocketAddr,
    _dir: tempfile::TempDir,
}

impl Influxd {
    /// With further lines in the section `[http]`; bodies have 2,000 bytes at most if these do not say otherwise. `None`,
    /// said aloud, where the program is not installed.
    pub(crate) async fn installed(http_lines: &str) -> Option<Self> {
        if !Path::new(INFLUXD).exists() {
            println!("SKIPPED: {INFLUXD} is not installed (Debian package influxdb)");
            return None;
        }
        Some(Self::start(http_lines, "").await)
    }

    /// With further lines in the section `[data]`.
    pub(crate) async fn with_data(data_lines: &str) -> Option<Self> {
        match Path::new(INFLUXD).exists() {
            true => Some(Self::start("", data_lines).await),
            false => Self::installed("").await,
        }
    }

    async fn start(http_lines: &str, data_lines: &str) -> Self {
        let body_max = match http_lines.contains("max-body-size") {
            true => "",
            false => "max-body-size = 2000\n",
        };
        // The port is free now and will be taken in a moment; influxd cannot tell which it took.
        let port = || {
            std::net::TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port()
        };
        let (http, rpc) = (port(), port());
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display();
        let config = format!(
            "reporting-disabled = true\nbind-address = \"127.0.0.1:{rpc}\"\n[meta]\ndir = \"{at}/meta\"\n[data]\n\
             dir = \"{at}/data\"\nwal-dir = \"{at}/wal\"\n{data_lines}\n[monitor]\nstore-enabled = false\n[http]\n\
             bind-address = \"127.0.0.1:{http}\"\nlog-enabled = false\n{body_max}{http_lines}\n"
        );
        std::fs::write(dir.path().join("influxd.toml"), config).unwrap();
        let child = Command::new(INFLUXD)
            .arg("-config")
            .arg(dir.path().join("influxd.toml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while tokio::net::TcpStream::connect(("127.0.0.1", http))
            .await
            .is_err()
        {
            assert!(Instant::now() < deadline, "influxd does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self {
            child,
            caller: Caller::new(([127, 0, 0, 1], http).into()),
            addr: ([127, 0, 0, 1], http).into(),
            _dir: dir,
        }
    }
}

/// The names of the differences in a section of the page that lists them, sorted.
pub(crate) fn documented(section: &str) -> Vec<&'static str> {
    let docs = include_str!("../../../docs/differences.md");
    let entries = docs.split(section).nth(1).unwrap_or_default();
    let entries = entries.split("\n## ").next().unwrap_or_default();
    let names = entries.split("\n- **").skip(1);
    let mut named: Vec<&str> = names.filter_map(|entry| entry.split("**").next()).collect();
    named.sort_unstable();
    named
}

impl Drop for Influxd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What clients look at.
fn seen(got: &Got) -> (u16, String, String, String) {
    (
        got.status,
        got.header("content-type"),
        got.header("x-influxdb-error"),
        got.text(),
    )
}

const LINES: &str = "m,h=a,r=x v=1,s=\"q\\\"<>&\u{2028}z\",b=true,i=3i 1\n\
    m,h=a,r=x v=1e21,i=9223372036854775807i 1000\n\
    m,h=b v=0.0000001,s=\"l1\nl2\" 1500000\n\
    m,h=b v=123456789.5 1600000000000000000\n\
    m,h=b v=-0 -1\n\
    n,t=c\\,d\\ e\\=f v=100000000000000000000 1\n\
    n,t=c\\,d\\ e\\=f v=-1.5e-10 2\n\
    n v=1e20 3";

const QUERIES: [&str; 14] = [
    "SELECT v FROM m",
    "SELECT * FROM m",
    "SELECT v FROM m GROUP BY *",
    "SELECT * FROM n GROUP BY t",
    "SELECT v FROM n; SELECT v, h FROM m; SHOW DATABASES",
    "SELECT none FROM m",
    "SELECT v FROM none; SHOW DATABASES",
    "SELECT v FROM m tz('America/Los_Angeles')",
    "SHOW MEASUREMENTS",
    "SHOW TAG KEYS",
    "SHOW TAG VALUES WITH KEY = h",
    "SHOW FIELD KEYS",
    "CREATE DATABASE db",
    "SELECT",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes() {
    let Some(real) = Influxd::installed("").await else {
        return;
    };
    let running = Running::with(small()).await;
    let (real, ours) = (&real.caller, running.api());
    real.post("/query?q=CREATE%20DATABASE%20db", "").await;
    let mut differences = Vec::new();
    let mut compared = 0;
    let mut compare = |what: String, real: &Got, ours: &Got| {
        compared += 1;
        if seen(real) != seen(ours) {
            differences.push(format!(
                "{what}\n  real {:?}\n  ours {:?}",
                seen(real),
                seen(ours)
            ));
        }
    };

    for (target, body) in [
        ("/write?db=db", LINES),
        ("/write?db=db", ""),
        ("/write?db=db", "# comment\n\n"),
        ("/write", "m v=1"),
        ("/write?db=none", "m v=1"),
        ("/write?db=db&rp=none", "m v=1"),
        ("/write?db=db&consistency=none", "m v=1"),
        ("/write?db=db", "m v="),
        ("/write?db=db", "m v=\nk"),
        ("/write?db=db", "m v=\nk v=1 1\nk"),
        ("/write?db=db", "m v=\"s\" 5"),
        ("/write?db=db", "m,h=a v=1 x"),
        (
            "/write?db=db",
            "m,=a v=1 1\nm,a= v=1\nm,a v=1\n,a=b v=1\nm,a=b=c v=1",
        ),
        (
            "/write?db=db",
            "m v=1i,w=tru 1\nm v=1.2.3 1\nm v=99999999999999999999i\nm v=\"x",
        ),
        ("/query", ""),
        ("/nope", ""),
        ("/ping", ""),
    ] {
        compare(
            format!("POST {target} {body:?}"),
            &real.post(target, body).await,
            &ours.post(target, body).await,
        );
    }
    let zipped = [("Content-Encoding", "gzip")];
    for body in ["m v=1", "m v=1 1234567890", ""] {
        let real = real.call(Method::POST, "/write?db=db", &zipped, body).await;
        let ours = ours.call(Method::POST, "/write?db=db", &zipped, body).await;
        compare(format!("POST gzip {body:?}"), &real, &ours);
    }
    let large = "\n".repeat(2001);
    compare(
        "large".into(),
        &real.post("/write?db=db", large.clone()).await,
        &ours.post("/write?db=db", large).await,
    );
    for target in [
        "/ping",
        "/status",
        "/query",
        "/write",
        "/nope",
        "/query?q=",
        "/query?q=SHOW%20DATABASES&params=%5B1%5D",
    ] {
        for method in [Method::GET, Method::HEAD, Method::DELETE] {
            let real = real.call(method.clone(), target, &[], "").await;
            let ours = ours.call(method.clone(), target, &[], "").await;
            compare(format!("{method} {target}"), &real, &ours);
        }
    }

    for query in QUERIES {
        for rest in [
            "&epoch=ns",
            "&epoch=ms&pretty=true",
            "&epoch=u&chunked=true&chunk_size=2",
            "&epoch=h&chunked=true&chunk_size=3&pretty=true",
            "",
        ] {
            compare(
                format!("{query} {rest}"),
                &real.query(query, rest).await,
                &ours.query(query, rest).await,
            );
        }
        for rest in ["", "&epoch=s", "&chunked=true&chunk_size=2"] {
            let target = format!("/query?db=db&q={}{rest}", percent_encode(query));
            let csv = [("Accept", "text/csv")];
            let real = real.call(Method::GET, &target, &csv, "").await;
            let ours = ours.call(Method::GET, &target, &csv, "").await;
            compare(format!("csv {query} {rest}"), &real, &ours);
        }
    }
    assert!(compared > 100);
    assert!(
        differences.is_empty(),
        "{} of {compared} differ\n{}",
        differences.len(),
        differences.join("\n")
    );
}

fn small() -> tandem_server::Config {
    tandem_server::Config {
        body_bytes_max: 2000,
        ..tandem_server::Config::default()
    }
}

/// MessagePack, for those queries whose tags come in one order: Go writes maps in any.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_messages() {
    let Some(real) = Influxd::installed("").await else {
        return;
    };
    let running = Running::with(small()).await;
    let (real, ours) = (&real.caller, running.api());
    real.post("/query?q=CREATE%20DATABASE%20db", "").await;
    for caller in [real, &ours] {
        assert_eq!(caller.post("/write?db=db", LINES).await.status, 204);
    }
    let msgpack = [("Accept", "application/x-msgpack")];
    for query in QUERIES.iter().filter(|query| !query.contains("BY *")) {
        for rest in ["", "&epoch=s", "&chunked=true&chunk_size=2"] {
            let target = format!("/query?db=db&q={}{rest}", percent_encode(query));
            let real = real.call(Method::GET, &target, &msgpack, "").await;
            let ours = ours.call(Method::GET, &target, &msgpack, "").await;
            assert_eq!(
                (real.status, real.header("content-type")),
                (ours.status, ours.header("content-type")),
                "{query} {rest}"
            );
            let shown = |got: &Got| got.body.escape_ascii().to_string();
            assert_eq!(shown(&ours), shown(&real), "{query} {rest}");
        }
    }
}

/// `max-row-limit` cuts an answer that is not chunked, and says so of the series that was cut.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_rows_at_the_limit() {
    let Some(real) = Influxd::installed("max-row-limit = 3").await else {
        return;
    };
    let config = tandem_server::Config {
        rows_max: 3,
        ..tandem_server::Config::default()
    };
    let running = Running::with(config).await;
    let ours = running.api();
    real.caller
        .post("/query?q=CREATE%20DATABASE%20db", "")
        .await;
    let lines = "m,h=a v=1 1\nm,h=a v=2 2\nm,h=a v=3 3\nm,h=b v=4 4\nm,h=b v=5 5\nn v=6 6\nn v=7 7";
    for caller in [&real.caller, &ours] {
        assert_eq!(caller.post("/write?db=db", lines).await.status, 204);
    }
    for query in [
        "SELECT v FROM m",
        "SELECT v FROM m GROUP BY h",
        "SELECT v FROM n; SELECT v FROM m; SHOW DATABASES",
        "SELECT v FROM m WHERE h = 'a'; SHOW DATABASES",
        "SELECT v FROM n",
        "SELECT none FROM m; SELECT v FROM m, n",
    ] {
        for rest in ["", "&chunked=true", "&epoch=ns&pretty=true"] {
            let theirs = real.caller.query(query, rest).await.text();
            assert_eq!(
                ours.query(query, rest).await.text(),
                theirs,
                "{query} {rest}"
            );
        }
    }
}
