//! A store in a temporary directory, served on free ports, and short ways to call it.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use tandem_catalog::Catalog;
use tandem_http::{
    Call, Client, ClientConfig, Credentials, HeaderMap, HeaderName, HeaderValue, Method, Secret,
    Url, bind, percent_encode,
};
use tandem_server::{Config, Input, Listeners, Server};
use tandem_store::{Options, Store};
use tandem_vfs::RealFs;

/// A running server; its data go with it.
pub(crate) struct Running {
    pub(crate) server: Server,
    pub(crate) store: Arc<Store>,
    _dir: tempfile::TempDir,
}

/// The catalog in `dir`.
pub(crate) fn open_catalog(dir: &Path) -> Arc<Catalog> {
    let view = Catalog::view_dir(dir);
    let options = tandem_catalog::Options::default();
    Arc::new(Catalog::open(Arc::new(RealFs), dir, &view, options).unwrap())
}

impl Running {
    /// Serves a new store with the database `db`.
    pub(crate) async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let running = Self::bare(config).await;
        let made = running
            .api()
            .post("/query?q=CREATE%20DATABASE%20db", "")
            .await;
        assert_eq!(made.text(), "{\"results\":[{\"statement_id\":0}]}\n");
        running
    }

    /// Serves a new store without a database.
    pub(crate) async fn bare(config: Config) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let catalog = open_catalog(&dir.path().join("catalog"));
        Self::over(dir, catalog, config).await
    }

    /// Serves a new store without a database, with these listeners beside the API's.
    pub(crate) async fn with_inputs(config: Config, inputs: Vec<Input>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let catalog = open_catalog(&dir.path().join("catalog"));
        Self::serving(dir, catalog, config, inputs, Options::default()).await
    }

    /// Serves a new store without a database that is run with these options.
    pub(crate) async fn with_options(config: Config, options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let catalog = open_catalog(&dir.path().join("catalog"));
        Self::serving(dir, catalog, config, Vec::new(), options).await
    }

    /// Serves the store in `dir` with this catalog.
    pub(crate) async fn over(
        dir: tempfile::TempDir,
        catalog: Arc<Catalog>,
        config: Config,
    ) -> Self {
        Self::serving(dir, catalog, config, Vec::new(), Options::default()).await
    }

    async fn serving(
        dir: tempfile::TempDir,
        catalog: Arc<Catalog>,
        config: Config,
        inputs: Vec<Input>,
        options: Options,
    ) -> Self {
        let store = Arc::new(Store::open(Arc::new(RealFs), dir.path(), options).unwrap());
        let listeners = Listeners {
            api: bind("127.0.0.1:0").await.unwrap().into(),
            page: Some(bind("127.0.0.1:0").await.unwrap().into()),
            inputs,
        };
        let server = Server::start(listeners, store.clone(), catalog, config).unwrap();
        Self {
            server,
            store,
            _dir: dir,
        }
    }

    /// The API's listener.
    pub(crate) fn api(&self) -> Caller {
        Caller::new(self.server.api_addr())
    }

    /// The page's listener.
    pub(crate) fn page(&self) -> Caller {
        Caller::new(self.server.page_addr().unwrap())
    }
}

/// Calls one listener.
#[derive(Clone)]
pub(crate) struct Caller {
    client: Client,
    url: Url,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Caller {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        let config = ClientConfig {
            answer_bytes_max: 1 << 28,
            request_timeout: Duration::from_secs(30),
            ..ClientConfig::default()
        };
        Self {
            client: Client::new(config),
            url: Url::parse(&format!("http://{addr}")).unwrap(),
        }
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Got {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect();
        let call = Call {
            method,
            headers,
            body: vec![body.into()],
            ..Call::get(target)
        };
        let answer = self.client.send(&self.url, call).await.unwrap();
        Got {
            status: answer.status.as_u16(),
            headers: answer.headers,
            body: answer.body.into_bytes(),
        }
    }

    pub(crate) async fn get(&self, target: &str) -> Got {
        self.call(Method::GET, target, &[], "").await
    }

    pub(crate) async fn post(&self, target: &str, body: impl Into<Bytes>) -> Got {
        self.call(Method::POST, target, &[], body).await
    }

    /// Writes into `db`.
    pub(crate) async fn write(&self, lines: impl Into<Bytes>) {
        let got = self.post("/write?db=db", lines).await;
        assert_eq!((got.status, got.text().as_str()), (204, ""));
    }

    /// Asks `db` by GET; `rest` are further parameters, such as `&epoch=ms`.
    pub(crate) async fn query(&self, q: &str, rest: &str) -> Got {
        self.get(&format!("/query?db=db&q={}{rest}", percent_encode(q)))
            .await
    }
}

/// The header of Basic credentials; `user` is `name:password`.
pub(crate) fn basic(user: &str) -> String {
    let (name, password) = user.split_once(':').unwrap();
    let credentials = Credentials::User {
        name: name.to_owned(),
        password: Secret::new(password),
    };
    credentials
        .to_header()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

impl Got {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value, empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> String {
        self.headers.get(name).map_or_else(String::new, |value| {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        })
    }
}
