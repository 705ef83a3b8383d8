//! Writes reach their destinations, in full and with their times; what cannot be delivered is counted.

use std::time::Duration;

use tandem_http::{
    BodyError, Incoming, Limits, Request, StatusCode, bind, empty, read_body, serve,
};
use tandem_model::Precision;
use tandem_store::Options;
use tandem_vfs::RealFs;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::*;

struct World {
    feed: Feed,
    catalog: Arc<Catalog>,
    _dir: tempfile::TempDir,
}

impl World {
    fn new(config: &SubscriptionConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(
            Arc::new(RealFs),
            &dir.path().join("store"),
            Options::default(),
        );
        let store = Arc::new(store.unwrap());
        store.create_database("db", None).unwrap();
        let path = dir.path().join("catalog");
        let options = tandem_catalog::Options::default();
        let view = Catalog::view_dir(&path);
        let catalog = Catalog::open(Arc::new(RealFs), &path, &view, options).unwrap();
        let catalog = Arc::new(catalog);
        let feed = Feed::new(store, catalog.clone(), config).unwrap();
        Self {
            feed,
            catalog,
            _dir: dir,
        }
    }

    fn subscribe(&self, name: &str, mode: Mode, urls: &[&str]) {
        let urls: Vec<String> = urls.iter().map(|&url| url.to_owned()).collect();
        self.catalog
            .create_subscription("db", "autogen", name, mode, &urls)
            .unwrap();
        self.feed.refresh();
    }

    fn write(&self, policy: Option<&str>, body: &str) {
        let request = WriteRequest {
            database: "db",
            retention_policy: policy,
            precision: Precision::Second,
            now_ns: 7_500_000_000,
        };
        self.feed.offer(&request, body.as_bytes());
    }

    /// Points, failures and drops of all destinations.
    fn totals(&self) -> (u64, u64, u64) {
        let stats = self.feed.stats();
        let sum = |of: fn(&DestinationCounters) -> &Counter| {
            stats.iter().map(|one| of(&one.counters).get()).sum()
        };
        (
            sum(|counters| &counters.points),
            sum(|counters| &counters.failures),
            sum(|counters| &counters.writes_dropped),
        )
    }

    async fn until(&self, totals: (u64, u64, u64)) {
        let reached = async {
            while self.totals() != totals {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), reached).await;
        assert!(waited.is_ok(), "{:?} is not {totals:?}", self.totals());
    }
}

use crate::counters::Counter;

/// A server that answers with `status` and tells target and body of each request.
async fn server(status: StatusCode) -> (String, mpsc::UnboundedReceiver<(String, String)>) {
    let listener = bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (told, requests) = mpsc::unbounded_channel();
    let handler = move |request: Request<Incoming>, _| {
        let told = told.clone();
        async move {
            let target = request.uri().to_string();
            let body: Result<_, BodyError> =
                read_body(request.into_body(), 1 << 20, Duration::from_secs(5)).await;
            let body = String::from_utf8(body.unwrap().into_bytes().to_vec()).unwrap();
            told.send((target, body)).unwrap();
            empty(status)
        }
    };
    tokio::spawn(serve(
        listener,
        handler,
        Limits::default(),
        std::future::pending(),
    ));
    (addr.to_string(), requests)
}

#[tokio::test]
async fn all_get_every_write_with_its_times() {
    let world = World::new(&SubscriptionConfig::default());
    let (first, mut at_first) = server(StatusCode::NO_CONTENT).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let second = socket.local_addr().unwrap();
    world.write(None, "early v=1\n");
    world.subscribe(
        "s",
        Mode::All,
        &[
            &format!("http://u:pw@{first}/x?y=z"),
            &format!("udp://{second}"),
        ],
    );
    world.write(None, "a v=1 3\nbad\nb v=2\n");
    world.write(Some("other"), "c v=3\n");
    world.write(Some("autogen"), "d v=4i 4\n");
    let target = "/x/write?consistency=&db=db&precision=ns&rp=autogen";
    for expected in [
        "a v=1 3000000000\nb v=2 7000000000\n",
        "d v=4i 4000000000\n",
    ] {
        let (found, body) = at_first.recv().await.unwrap();
        assert_eq!((found.as_str(), body.as_str()), (target, expected));
        let mut datagram = [0; 2000];
        let length = socket.recv(&mut datagram).await.unwrap();
        assert_eq!(&datagram[..length], expected.as_bytes());
    }
    world.until((6, 0, 0)).await;
    let names: Vec<String> = world
        .feed
        .stats()
        .into_iter()
        .map(|one| one.destination)
        .collect();
    assert_eq!(
        names,
        [format!("http://{first}/x"), format!("udp://{second}")]
    );

    // Once it is dropped, nothing is sent.
    world
        .catalog
        .drop_subscription("db", "autogen", "s")
        .unwrap();
    world.feed.refresh();
    world.write(None, "late v=1\n");
    assert!(!world.feed.0.has_any.load(Ordering::Relaxed));
}

#[tokio::test]
async fn any_goes_round_and_past_who_fails() {
    let world = World::new(&SubscriptionConfig::default());
    let (first, mut at_first) = server(StatusCode::NO_CONTENT).await;
    let (second, mut at_second) = server(StatusCode::NO_CONTENT).await;
    let (failing, mut at_failing) = server(StatusCode::INTERNAL_SERVER_ERROR).await;
    let urls = [&first, &failing, &second].map(|addr| format!("http://{addr}"));
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    world.subscribe("s", Mode::Any, &urls);
    for at in 1..=4 {
        world.write(None, &format!("m v={at} 1\n"));
    }
    world.until((4, 2, 0)).await;
    for (place, values) in [
        (&mut at_first, vec![1, 3]),
        (&mut at_failing, vec![2, 4]),
        (&mut at_second, vec![2, 4]),
    ] {
        for value in values {
            let (_, body) = place.recv().await.unwrap();
            assert_eq!(body, format!("m v={value} 1000000000\n"));
        }
        assert!(place.try_recv().is_err());
    }
}

#[tokio::test]
async fn what_does_not_fit_is_dropped_at_once_and_counted() {
    let world = World::new(&SubscriptionConfig {
        queue_bytes_max: 64 << 10,
        timeout: Duration::from_millis(200),
        ..SubscriptionConfig::default()
    });
    // Accepts connections and never answers.
    let silent = bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    world.subscribe("s", Mode::All, &[&url, "http://nowhere.invalid:99999"]);
    let body = format!("m v=\"{}\" 1\n", "x".repeat(30 << 10));
    let begun = std::time::Instant::now();
    for _ in 0..100 {
        world.write(None, &body);
    }
    assert!(begun.elapsed() < Duration::from_secs(2));
    let (points, _, dropped) = world.totals();
    assert!(points == 0 && dropped >= 190, "{dropped}");
    drop(silent);
}
