//! The side that calls.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{HTTP_1_1, TlsError, files, provider};

/// Whom a client trusts, and how it shows who it is. By default: the authorities of the system, the
/// name in the URL, and no certificate of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTlsConfig {
    /// PEM with the authorities to trust, in place of those of the system.
    pub ca: Option<PathBuf>,
    /// PEM with the own certificate, for servers that ask for one; goes with `private_key`.
    pub certificate: Option<PathBuf>,
    /// Its private key; may be the same file.
    pub private_key: Option<PathBuf>,
    /// The name that the server must prove to have, in place of the one in the URL.
    pub server_name: Option<String>,
    /// Talks to whoever answers: the text is encrypted, and nobody knows for whom.
    pub insecure_skip_verify: bool,
}

/// A client's TLS; clones share it, also after [`ClientTls::reload`].
#[derive(Clone)]
pub struct ClientTls(Arc<Inner>);

struct Inner {
    config: ClientTlsConfig,
    server_name: Option<ServerName<'static>>,
    /// Made at the first call over TLS where nothing had to be checked before.
    made: Mutex<Option<Arc<ClientConfig>>>,
}

impl ClientTlsConfig {
    fn make(&self) -> Result<ClientConfig, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?;
        let builder = if self.insecure_skip_verify {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anyone(provider())))
        } else {
            builder.with_root_certificates(match &self.ca {
                Some(path) => files::authorities(path)?,
                None => files::system_authorities()?,
            })
        };
        let mut config = match (&self.certificate, &self.private_key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(certificate), Some(private_key)) => {
                let files::Pair { chain, key } = files::pair(certificate, private_key)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|source| TlsError::Pair {
                        certificate: certificate.clone(),
                        private_key: private_key.clone(),
                        source,
                    })?
            }
            _ => return Err(TlsError::HalfPair),
        };
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok(config)
    }
}

impl ClientTls {
    /// Reads the files. Blocks for as long as that takes.
    ///
    /// # Errors
    /// A [`TlsError`] that names the file.
    pub fn load(config: ClientTlsConfig) -> Result<Self, TlsError> {
        let server_name = match &config.server_name {
            None => None,
            Some(name) => Some(server_name(name)?),
        };
        let made = Mutex::new(Some(Arc::new(config.make()?)));
        Ok(Self(Arc::new(Inner {
            config,
            server_name,
            made,
        })))
    }

    /// Reads the files again; connections from now on use what they say. Blocks.
    ///
    /// # Errors
    /// As [`ClientTls::load`]; what was in use stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let made = Arc::new(self.0.config.make()?);
        *self.made() = Some(made);
        Ok(())
    }

    /// Begins TLS with the server called `host`.
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        host: &str,
    ) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let name = match &self.0.server_name {
            Some(name) => name.clone(),
            None => server_name(host).map_err(io::Error::other)?,
        };
        let config = self.config().map_err(io::Error::other)?;
        TlsConnector::from(config).connect(name, stream).await
    }

    fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let mut made = self.made();
        if let Some(config) = &*made {
            return Ok(config.clone());
        }
        let config = Arc::new(self.0.config.make()?);
        *made = Some(config.clone());
        Ok(config)
    }

    fn made(&self) -> std::sync::MutexGuard<'_, Option<Arc<ClientConfig>>> {
        self.0.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ClientTls {
    fn default() -> Self {
        Self(Arc::new(Inner {
            config: ClientTlsConfig::default(),
            server_name: None,
            made: Mutex::default(),
        }))
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientTls").field(&self.0.config).finish()
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName {
        name: name.to_owned(),
    })
}

/// Takes any certificate; that its owner has the key is still checked.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
