//! The side that listens.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tracing::{error, info};

use super::files::{self, Stamp};
use super::{HTTP_1_1, TlsError, provider};

/// The files that a listener's TLS is made of, all PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTlsConfig {
    /// The own certificate, then those that signed it.
    pub certificate: PathBuf,
    /// Its private key; may be the same file.
    pub private_key: PathBuf,
    /// When given, only clients with a certificate that one of these authorities signed are let in.
    pub client_ca: Option<PathBuf>,
}

/// A listener's TLS; clones share it, also after [`ServerTls::reload`].
#[derive(Clone)]
pub struct ServerTls(Arc<Inner>);

struct Inner {
    files: ServerTlsConfig,
    made: Mutex<Made>,
}

struct Made {
    stamp: Stamp,
    config: Arc<ServerConfig>,
}

impl ServerTlsConfig {
    fn stamp(&self) -> Stamp {
        Stamp::of(
            [&self.certificate, &self.private_key]
                .into_iter()
                .chain(&self.client_ca),
        )
    }

    fn make(&self) -> Result<Made, TlsError> {
        // Before the files are read: one that changes in between is read once more.
        let stamp = self.stamp();
        let files::Pair { chain, key } = files::pair(&self.certificate, &self.private_key)?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(files::authorities(path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
                    .build()
                    .map_err(|source| TlsError::Verifier {
                        path: path.clone(),
                        source,
                    })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|source| TlsError::Pair {
                certificate: self.certificate.clone(),
                private_key: self.private_key.clone(),
                source,
            })?;
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok(Made {
            stamp,
            config: Arc::new(config),
        })
    }
}

impl ServerTls {
    /// Reads the files. Blocks for as long as reading them takes.
    ///
    /// # Errors
    /// A [`TlsError`] that names the file.
    pub fn load(files: ServerTlsConfig) -> Result<Self, TlsError> {
        let made = Mutex::new(files.make()?);
        Ok(Self(Arc::new(Inner { files, made })))
    }

    /// Reads the files again; connections from now on get what they say. Blocks like
    /// [`ServerTls::load`].
    ///
    /// # Errors
    /// As [`ServerTls::load`]; what was in use stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let made = self.0.files.make()?;
        *self.made() = made;
        Ok(())
    }

    /// Looks every `interval` whether a file has changed, and reads them again then. What is wrong
    /// is logged once for each change, and what was in use stays in use. Never completes: to be dropped.
    pub async fn watch(&self, interval: Duration) -> std::convert::Infallible {
        let mut seen = self.made().stamp.clone();
        loop {
            tokio::time::sleep(interval).await;
            let tls = self.clone();
            let last = seen.clone();
            let looked = tokio::task::spawn_blocking(move || {
                let now = tls.0.files.stamp();
                (now != last).then(|| (now, tls.reload()))
            });
            let Ok(Some((now, reloaded))) = looked.await else {
                continue;
            };
            seen = now;
            let certificate = self.0.files.certificate.display();
            match reloaded {
                Ok(()) => info!(%certificate, "the certificate was read again"),
                Err(error) => error!(
                    %certificate,
                    error = &error as &dyn std::error::Error,
                    "the changed certificate was not taken; the one before stays in use"
                ),
            }
        }
    }

    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> std::io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
        let config = self.made().config.clone();
        TlsAcceptor::from(config).accept(stream).await
    }

    fn made(&self) -> std::sync::MutexGuard<'_, Made> {
        self.0.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerTls").field(&self.0.files).finish()
    }
}
