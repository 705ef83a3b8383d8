//! Two real InfluxDB behind a relay: one is killed and comes back, and both answer the same.
//! Needs Debian's package `influxdb`; says so where it is missing.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{Running, text};
use tandem_http::{Call, Client, ClientConfig, Url};
use tandem_relay::Condition;

const INFLUXD: &str = "/usr/bin/influxd";

struct Influxd {
    config: PathBuf,
    url: Url,
    child: Child,
    client: Client,
}

impl Influxd {
    async fn start(dir: &Path) -> Self {
        let free = || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        };
        let (http, rpc) = (free(), free());
        let at = |name: &str| dir.join(name).display().to_string();
        let config = format!(
            "bind-address = \"{rpc}\"\nreporting-disabled = true\n\
             [meta]\ndir = \"{}\"\n[data]\ndir = \"{}\"\nwal-dir = \"{}\"\n\
             [http]\nbind-address = \"{http}\"\nlog-enabled = false\n",
            at("meta"),
            at("data"),
            at("wal"),
        );
        let path = dir.join("config.toml");
        fs::write(&path, config).unwrap();
        let influxd = Self {
            child: Self::launch(&path),
            config: path,
            url: Url::parse(&format!("http://{http}")).unwrap(),
            client: Client::new(ClientConfig::default()),
        };
        influxd.is_up().await;
        influxd
    }

    fn launch(config: &Path) -> Child {
        let mut command = Command::new(INFLUXD);
        command.arg("-config").arg(config);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    async fn is_up(&self) {
        for _ in 0..2000 {
            let ping = self.client.send(&self.url, Call::get("/ping")).await;
            if ping.is_ok_and(|answer| answer.status == 204) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("influxd does not start");
    }

    async fn query(&self, q: &str) -> String {
        let q = tandem_http::percent_encode(q);
        let call = Call::post(format!("/query?db=d&epoch=ns&q={q}"), Vec::new(), true);
        text(&self.client.send(&self.url, call).await.unwrap())
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn restart(&mut self) {
        self.child = Self::launch(&self.config);
        self.is_up().await;
    }
}

impl Drop for Influxd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_real_stores_hold_the_same_after_one_was_killed() {
    if !Path::new(INFLUXD).exists() {
        eprintln!("SKIPPED: {INFLUXD} is missing; install Debian's package influxdb");
        return;
    }
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let a = Influxd::start(dirs[0].path()).await;
    let mut b = Influxd::start(dirs[1].path()).await;
    let urls = [a.url.clone(), b.url.clone()];
    let relay = Running::start_with_urls(dirs[2].path(), &urls).await;

    // No database anywhere: InfluxDB's own answer. Only on one: the other's copy waits.
    let missing = relay.write_to("db=d", "m v=1").await;
    assert_eq!(missing.status, 404);
    assert_eq!(
        text(&missing),
        "{\"error\":\"database not found: \\\"d\\\"\"}\n"
    );
    a.query("CREATE DATABASE d").await;
    assert_eq!(
        relay.write("m,host=a v=1,s=\"x\ny\"\nm,host=b v=2").await,
        204
    );
    crate::support::until("the copy waits for the database", || {
        relay.condition(1) == Condition::Holding
    })
    .await;
    b.query("CREATE DATABASE d").await;
    relay.is_live(1).await;

    let partial = relay.write_to("db=d", "m,host=a v=3\nm,host=a\n").await;
    assert_eq!(partial.status, 400);
    assert!(text(&partial).contains("partial write: unable to parse 'm,host=a': missing fields"));

    b.kill();
    for n in 0..50 {
        // No time: both stores have to get the relay's. One time: the order has to stay.
        let body = format!("n,host=a v={n}i\no v={n}i 7\n");
        assert_eq!(relay.write(&body).await, 204);
    }
    b.restart().await;
    relay.is_live(1).await;
    for q in [
        "SELECT * FROM m",
        "SELECT * FROM n",
        "SELECT * FROM o",
        "SHOW SERIES",
    ] {
        let (one, other) = (a.query(q).await, b.query(q).await);
        assert_eq!(one, other, "{q}");
        assert!(one.contains("series"), "{q}: {one}");
    }
    assert!(b.query("SELECT * FROM o").await.contains("[7,49]"));
    assert!(b.query("SELECT count(v) FROM n").await.contains(",50]"));
    relay.stop().await;
}

/// A hole in one store, as an outage without a relay leaves it, and values that differ.
#[tokio::test(flavor = "multi_thread")]
async fn a_hole_in_one_of_two_real_stores_is_found_and_mended() {
    use tandem_relay::repair::{Extent, Way, repair};
    if !Path::new(INFLUXD).exists() {
        eprintln!("SKIPPED: {INFLUXD} is missing; install Debian's package influxdb");
        return;
    }
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let a = Influxd::start(dirs[0].path()).await;
    let b = Influxd::start(dirs[1].path()).await;
    let urls = [a.url.clone(), b.url.clone()];
    let relay = Running::start_with_urls(dirs[2].path(), &urls).await;
    let create = tandem_http::percent_encode("CREATE DATABASE d");
    let call = Call::post(format!("/query?q={create}"), Vec::new(), true);
    assert_eq!(relay.send(call).await.status, 200);
    let second = 1_000_000_000_i64;
    let mut body = String::new();
    for n in 0..600 {
        let time = (1_700_000_000 + n * 60) * second;
        // With all the digits that a float can have.
        let f = (n as f64 + 0.5).sqrt() / 7.0;
        body += &format!(
            "m\\ x,host=a\\ b,k=v{} i={n}i,f={f},s=\"q \\\" {n}\",t=true {time}\n",
            n % 3
        );
    }
    assert_eq!(relay.write(&body).await, 204);
    // A hole made on purpose, and one value changed.
    let hole = format!(
        "DELETE FROM \"m x\" WHERE time >= {} AND time < {}",
        (1_700_000_000 + 6_000) * second,
        (1_700_000_000 + 12_000) * second
    );
    b.query(&hole).await;
    let changed = format!("m\\ x,host=a\\ b,k=v0 i=99i {}", 1_700_000_000 * second);
    let call = Call::post("/write?db=d", vec![changed.into()], true);
    b.client.send(&b.url, call).await.unwrap();
    let all = "SELECT * FROM \"m x\"";
    assert_ne!(a.query(all).await, b.query(all).await);
    let way = Way {
        window: Duration::from_secs(3600),
        deep: false,
        mend: false,
        pause: Duration::ZERO,
    };
    let extent = Extent {
        databases: vec!["d".into()],
        ..Extent::default()
    };
    let found = repair(&a.url, &b.url, &extent, way, &mut |_| {})
        .await
        .unwrap();
    let lacking: u64 = found.differences.iter().map(|window| window.lacking).sum();
    assert_eq!(
        (lacking, found.copied),
        (100, 0),
        "counts show the hole, nothing is written"
    );
    assert!(found.windows > 9 && found.differences.len() < 5);
    let way = Way {
        deep: true,
        mend: true,
        ..way
    };
    let found = repair(&a.url, &b.url, &extent, way, &mut |_| {})
        .await
        .unwrap();
    assert_eq!(found.copied, 101, "values are compared, too");
    assert_eq!(a.query(all).await, b.query(all).await);
    let found = repair(&a.url, &b.url, &extent, way, &mut |_| {})
        .await
        .unwrap();
    assert!(found.differences.is_empty());
    relay.stop().await;
}

/// A store that answers 204 and loses what it took: nobody tells the relay, so it has to look.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_store_lost_in_silence_is_found_told_and_mended() {
    if !Path::new(INFLUXD).exists() {
        eprintln!("SKIPPED: {INFLUXD} is missing; install Debian's package influxdb");
        return;
    }
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let a = Influxd::start(dirs[0].path()).await;
    let b = Influxd::start(dirs[1].path()).await;
    let urls = [a.url.clone(), b.url.clone()];
    let relay = Running::start_with(dirs[2].path(), &urls, |config| {
        config.compare.interval = Duration::from_millis(20);
        config.compare.window = Duration::from_secs(60);
        config.compare.settle = Duration::ZERO;
        config.compare.mend = true;
    })
    .await;
    for store in [&a, &b] {
        store.query("CREATE DATABASE d").await;
    }
    let now = std::time::SystemTime::now();
    let now_s = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut body = String::new();
    for n in 0..120 {
        let time = (now_s - 7_200 + n * 10) * 1_000_000_000;
        body += &format!("m,host=a f={n}.5,i={n}i,s=\"x\" {time}\n");
    }
    assert_eq!(relay.write(&body).await, 204);
    let lost = format!(
        "DELETE FROM m WHERE time >= {} AND time < {}",
        (now_s - 6_900) * 1_000_000_000,
        (now_s - 6_600) * 1_000_000_000
    );
    b.query(&lost).await;
    // And one value that the first store has not got as the second has it.
    let own = format!("m,host=b f=7 {}", (now_s - 6_000) * 1_000_000_000);
    let call = Call::post("/write?db=d", vec![own.into()], true);
    b.client.send(&b.url, call).await.unwrap();
    let all = "SELECT * FROM m";
    assert_ne!(a.query(all).await, b.query(all).await);
    let begun = std::time::Instant::now();
    while a.query(all).await != b.query(all).await {
        assert!(begun.elapsed() < crate::support::SOON, "it is not mended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(relay.relay.status()[1].divergences >= 2);
    let listed = text(&relay.send(Call::get("/differences")).await);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        (&listed[0]["backend"], &listed[0]["measurement"]),
        (&"b".into(), &"m".into())
    );
    let metrics = text(&relay.send(Call::get("/metrics")).await);
    assert!(
        metrics.contains("tandem_relay_compare_mended_points_total 31\n"),
        "{metrics}"
    );
    relay.stop().await;
}
