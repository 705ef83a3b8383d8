//! What can be wrong with the files that TLS is made of.

use std::io;
use std::path::PathBuf;

use rustls::pki_types::pem;
use thiserror::Error;

/// Why TLS cannot begin.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is no PEM.
    #[error("{} is not PEM", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Where it breaks off.
        source: pem::Error,
    },
    /// A file has no `CERTIFICATE` section.
    #[error("{} holds no certificate; give PEM with the own certificate first, then those that signed it", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A file has no private key.
    #[error("{} holds no private key; give PEM without a passphrase", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key do not belong together, or cannot be used.
    #[error("the certificate in {} and the private key in {} cannot be used together", certificate.display(), private_key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        private_key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// A certificate of those that are to be trusted cannot be.
    #[error("the certificate authority in {} cannot be used", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// Clients cannot be verified with these authorities.
    #[error("clients cannot be verified with {}", path.display())]
    Verifier {
        /// The authorities' file.
        path: PathBuf,
        /// What is wrong.
        source: rustls::server::VerifierBuilderError,
    },
    /// The system has no file of authorities where such files are.
    #[error(
        "this system has no certificate authorities; install ca-certificates, or name a CA file"
    )]
    NoAuthorities,
    /// A certificate without its key, or a key without its certificate.
    #[error("a client certificate and its private key belong together; give both or none")]
    HalfPair,
    /// It is neither a name nor an address.
    #[error("{name:?} is no name of a server")]
    ServerName {
        /// The text.
        name: String,
    },
    /// The versions of TLS and the algorithms do not fit; never with those that are built in.
    #[error("set up TLS")]
    Setup(#[source] rustls::Error),
}
