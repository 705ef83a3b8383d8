//! TLS at both ends: who is trusted, who is let in, and what happens to those who are not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tandem_http::{
    Call, Client, ClientConfig, ClientTls, ClientTlsConfig, Limits, Listener, ListenerStats,
    ServerTls, ServerTlsConfig, StatusCode, TlsError, Url, bind, full, serve,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An authority, and a place for the files that it signs.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn ca(&self) -> Option<PathBuf> {
        Some(self.path("ca.pem"))
    }

    /// Writes `file` with certificate and key for `host`.
    fn sign(&self, host: &str, file: &str) -> PathBuf {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = self.path(file);
        std::fs::write(&path, certificate.pem() + &key.serialize_pem()).unwrap();
        path
    }
}

fn files(both: &Path, client_ca: Option<PathBuf>) -> ServerTlsConfig {
    ServerTlsConfig {
        certificate: both.into(),
        private_key: both.into(),
        client_ca,
    }
}

struct Server {
    url: Url,
    port: u16,
    stats: std::sync::Arc<ListenerStats>,
    serving: tokio::task::JoinHandle<tandem_http::Drained>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Answers every request with "hello".
async fn start(tls: ServerTls) -> Server {
    let listener = Listener::from(bind("127.0.0.1:0").await.unwrap()).with_tls(tls);
    let port = listener.tcp().local_addr().unwrap().port();
    let limits = Limits {
        handshake_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let stats = listener.stats();
    let handler = |_, _| async { full(StatusCode::OK, "text/plain", "hello") };
    let serving = tokio::spawn(serve(listener, handler, limits, std::future::pending()));
    Server {
        url: Url::parse(&format!("https://127.0.0.1:{port}")).unwrap(),
        port,
        stats,
        serving,
    }
}

/// A call by a client that trusts as `config` says; an error with all its causes.
async fn call(url: &Url, config: ClientTlsConfig) -> Result<String, String> {
    let client = Client::new(ClientConfig {
        tls: ClientTls::load(config).unwrap(),
        ..ClientConfig::default()
    });
    match client.send(url, Call::get("/")).await {
        Ok(answer) => Ok(String::from_utf8_lossy(&answer.body.into_bytes()).into_owned()),
        Err(error) => {
            assert!(!error.may_have_arrived(), "{error:?}");
            let mut text = error.to_string();
            let mut next = std::error::Error::source(&error);
            while let Some(cause) = next {
                text += &format!(": {cause}");
                next = cause.source();
            }
            Err(text)
        }
    }
}

#[tokio::test]
async fn a_client_trusts_its_own_authority_and_nobody_else() {
    let own = Authority::new();
    let pair = own.sign("127.0.0.1", "server.pem");
    let server = start(ServerTls::load(files(&pair, None)).unwrap()).await;
    let trusting = ClientTlsConfig {
        ca: own.ca(),
        ..ClientTlsConfig::default()
    };
    assert_eq!(call(&server.url, trusting.clone()).await.unwrap(), "hello");

    let other = Authority::new();
    let elsewhere = ClientTlsConfig {
        ca: other.ca(),
        ..ClientTlsConfig::default()
    };
    let error = call(&server.url, elsewhere.clone()).await.unwrap_err();
    assert!(error.contains("invalid peer certificate"), "{error}");

    // The name counts, the one in the URL or the one that is asked for.
    let error = call(
        &server.url,
        ClientTlsConfig {
            server_name: Some("store.example".into()),
            ..trusting.clone()
        },
    )
    .await
    .unwrap_err();
    assert!(error.contains("not valid for name"), "{error}");
    let named = own.sign("store.example", "named.pem");
    let named = start(ServerTls::load(files(&named, None)).unwrap()).await;
    assert!(call(&named.url, trusting.clone()).await.is_err());
    let asking = ClientTlsConfig {
        server_name: Some("store.example".into()),
        ..trusting
    };
    assert_eq!(call(&named.url, asking).await.unwrap(), "hello");

    // Only who says so talks to anyone.
    let careless = ClientTlsConfig {
        insecure_skip_verify: true,
        ..elsewhere
    };
    assert_eq!(call(&server.url, careless).await.unwrap(), "hello");
}

#[tokio::test]
async fn a_server_with_a_client_authority_lets_in_its_clients_alone() {
    let own = Authority::new();
    let pair = own.sign("127.0.0.1", "server.pem");
    let server = start(ServerTls::load(files(&pair, own.ca())).unwrap()).await;
    let with = |pair: Option<PathBuf>| ClientTlsConfig {
        ca: own.ca(),
        certificate: pair.clone(),
        private_key: pair,
        ..ClientTlsConfig::default()
    };
    let known = own.sign("agent", "agent.pem");
    assert_eq!(call(&server.url, with(Some(known))).await.unwrap(), "hello");
    let stranger = Authority::new();
    let foreign = stranger.sign("agent", "agent.pem");
    for refused in [None, Some(foreign)] {
        // With TLS 1.3 the client learns of it when it reads.
        let client = Client::new(ClientConfig {
            tls: ClientTls::load(with(refused)).unwrap(),
            ..ClientConfig::default()
        });
        client.send(&server.url, Call::get("/")).await.unwrap_err();
    }
    assert!(server.stats.handshakes_failed() >= 2);
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_while_serving_and_a_broken_one_is_not() {
    let (old, new) = (Authority::new(), Authority::new());
    let pair = old.sign("127.0.0.1", "server.pem");
    let tls = ServerTls::load(files(&pair, None)).unwrap();
    let server = start(tls.clone()).await;
    let watching = tls.clone();
    let watching = tokio::spawn(async move { watching.watch(Duration::from_millis(10)).await });
    let trusts = |authority: &Authority| ClientTlsConfig {
        ca: authority.ca(),
        ..ClientTlsConfig::default()
    };
    assert!(call(&server.url, trusts(&new)).await.is_err());

    std::fs::write(&pair, "not PEM at all, and longer").unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::NoKey { .. })));
    assert_eq!(call(&server.url, trusts(&old)).await.unwrap(), "hello");

    let renewed = new.sign("127.0.0.1", "renewed.pem");
    std::fs::rename(renewed, &pair).unwrap();
    let taken = async {
        while call(&server.url, trusts(&new)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), taken)
        .await
        .unwrap();
    watching.abort();
}

#[tokio::test]
async fn who_does_not_speak_tls_is_told_or_left() {
    let own = Authority::new();
    let pair = own.sign("127.0.0.1", "server.pem");
    let server = start(ServerTls::load(files(&pair, None)).unwrap()).await;
    let mut plain = TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    plain
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut text = Vec::new();
    // The connection may be reset after the text, because the request was not read.
    let _ = plain.read_to_end(&mut text).await;
    assert!(
        text.ends_with(b"Client sent an HTTP request to an HTTPS server.\n"),
        "{text:?}"
    );
    // Silence ends with the time for handshakes.
    let mut silent = TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    let mut nothing = [0];
    let closed = tokio::time::timeout(Duration::from_secs(10), silent.read(&mut nothing));
    assert_eq!(closed.await.unwrap().unwrap(), 0);
    assert_eq!(server.stats.handshakes_failed(), 2);
    // A server without TLS is an error, not a plain request.
    let tcp = bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("https://{}", tcp.local_addr().unwrap())).unwrap();
    let handler = |_, _| async { full(StatusCode::OK, "text/plain", "hello") };
    let plain = tokio::spawn(serve(
        tcp,
        handler,
        Limits::default(),
        std::future::pending(),
    ));
    let trusting = ClientTlsConfig {
        ca: own.ca(),
        ..ClientTlsConfig::default()
    };
    call(&url, trusting).await.unwrap_err();
    plain.abort();
}

#[test]
fn what_is_wrong_with_a_file_is_said_by_its_name() {
    let own = Authority::new();
    let other = Authority::new();
    let pair = own.sign("127.0.0.1", "server.pem");
    let missing = own.path("missing.pem");
    let error = ServerTls::load(files(&missing, None)).unwrap_err();
    assert!(error.to_string().contains("missing.pem"), "{error}");
    let ca = own.path("ca.pem");
    assert!(matches!(
        ServerTls::load(files(&ca, None)),
        Err(TlsError::NoKey { .. })
    ));
    let key = own.path("key.pem");
    std::fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(matches!(
        ServerTls::load(files(&key, None)),
        Err(TlsError::NoCertificate { .. })
    ));
    let mixed = ServerTlsConfig {
        private_key: other.sign("127.0.0.1", "server.pem"),
        ..files(&pair, None)
    };
    assert!(matches!(ServerTls::load(mixed), Err(TlsError::Pair { .. })));
    let half = ClientTlsConfig {
        certificate: Some(pair),
        ca: own.ca(),
        ..ClientTlsConfig::default()
    };
    assert!(matches!(ClientTls::load(half), Err(TlsError::HalfPair)));
    let nameless = ClientTlsConfig {
        server_name: Some("not a name".into()),
        ca: own.ca(),
        ..ClientTlsConfig::default()
    };
    assert!(matches!(
        ClientTls::load(nameless),
        Err(TlsError::ServerName { .. })
    ));
}
