//! Certificates, keys and authorities out of PEM files, and how to tell that a file has changed.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;

/// Where systems keep the authorities that they trust.
const SYSTEM_AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A certificate with those that signed it, and its key.
pub(super) struct Pair {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

/// What a set of files looked like; differs once one of them was written or replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<(SystemTime, u64)>>);

impl Stamp {
    /// A file that cannot be asked has a stamp too.
    pub(super) fn of<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let stamp = |path: &PathBuf| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        Self(paths.into_iter().map(stamp).collect())
    }
}

/// Reads a pair; both may lie in one file.
pub(super) fn pair(certificate: &Path, private_key: &Path) -> Result<Pair, TlsError> {
    let text = read(private_key)?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|source| match source {
        pem::Error::NoItemsFound => TlsError::NoKey {
            path: private_key.into(),
        },
        source => TlsError::Pem {
            path: private_key.into(),
            source,
        },
    })?;
    Ok(Pair {
        chain: certificates(certificate)?,
        key,
    })
}

/// Reads the authorities in a file; all of them must be usable.
pub(super) fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|source| TlsError::Authority {
                path: path.into(),
                source,
            })?;
    }
    Ok(roots)
}

/// Reads the authorities that the system trusts: those in `SSL_CERT_FILE`, or where systems keep them. One that
/// cannot be used is left out, as everybody does.
pub(super) fn system_authorities() -> Result<RootCertStore, TlsError> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let known = SYSTEM_AUTHORITIES.iter().map(PathBuf::from);
    let path = named
        .into_iter()
        .chain(known)
        .find(|path| path.is_file())
        .ok_or(TlsError::NoAuthorities)?;
    let mut roots = RootCertStore::empty();
    let (added, _left_out) = roots.add_parsable_certificates(certificates(&path)?);
    if added == 0 {
        return Err(TlsError::NoAuthorities);
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let chain = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| TlsError::Pem {
            path: path.into(),
            source,
        })?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: path.into() });
    }
    Ok(chain)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read {
        path: path.into(),
        source,
    })
}
