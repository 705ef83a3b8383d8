//! Who has signed or encrypted a datagram: users and passwords out of a file as collectd's own `AuthFile`.
//!
//! Signing is HMAC-SHA-256 with the password; encryption is AES-256 in OFB mode under the SHA-256 of the password,
//! with a SHA-1 inside. So says the protocol, of 2009; nothing else here uses such.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tandem_http::Secret;
use thiserror::Error;

/// Why the file of users cannot be used.
#[derive(Debug, Error)]
pub enum CollectdAuthError {
    /// It cannot be read.
    #[error("read the users of collectd in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A line is none.
    #[error("line {line} of {} is not `user: password`", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// Packets must be signed or encrypted, and nobody's password is known.
    #[error("security-level sign or encrypt needs an auth-file")]
    NoFile,
}

/// Users and their passwords.
#[derive(Default)]
pub(super) struct Users(HashMap<Vec<u8>, Secret>);

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({})", self.0.len())
    }
}

impl Users {
    pub(super) fn read(path: &Path) -> Result<Self, CollectdAuthError> {
        let text = std::fs::read_to_string(path).map_err(|source| CollectdAuthError::Read {
            path: path.into(),
            source,
        })?;
        Self::parse(&text).map_err(|line| CollectdAuthError::Line {
            path: path.into(),
            line,
        })
    }

    /// Reads lines `user: password`; an error is the number of the line that is none.
    pub(super) fn parse(text: &str) -> Result<Self, usize> {
        let mut users = HashMap::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (user, password) = line.split_once(':').ok_or(at + 1)?;
            let (user, password) = (user.trim(), password.trim());
            if user.is_empty() || password.is_empty() {
                return Err(at + 1);
            }
            users.insert(user.as_bytes().to_vec(), Secret::new(password));
        }
        Ok(Self(users))
    }

    pub(super) fn are_known(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether `mac` is this user's for all that follows it.
    pub(super) fn has_signed(&self, user: &[u8], mac: &[u8], rest: &[u8]) -> bool {
        let Some(password) = self.0.get(user) else {
            return false;
        };
        let Ok(mut computed) = Hmac::<Sha256>::new_from_slice(password.expose().as_bytes()) else {
            return false;
        };
        computed.update(user);
        computed.update(rest);
        computed.verify_slice(mac).is_ok()
    }

    /// The parts inside an encrypted one; none when it was not encrypted by a user that is known.
    pub(super) fn decrypt(&self, part: &[u8]) -> Option<Vec<u8>> {
        let (length, rest) = part.split_first_chunk::<2>()?;
        let (user, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let (iv, encrypted) = rest.split_first_chunk::<16>()?;
        let password = self.0.get(user)?;
        let mut text = encrypted.to_vec();
        ofb(password.expose().as_bytes(), *iv, &mut text);
        let (sum, inner) = text.split_first_chunk::<20>()?;
        let computed: [u8; 20] = Sha1::digest(inner).into();
        // Who could make use of the time that this takes can also see the datagrams.
        (computed == *sum).then(|| inner.to_vec())
    }
}

/// Encrypts or decrypts, which is the same.
pub(super) fn ofb(password: &[u8], iv: [u8; 16], text: &mut [u8]) {
    let cipher = Aes256::new(&Sha256::digest(password));
    let mut block = iv.into();
    for piece in text.chunks_mut(16) {
        cipher.encrypt_block(&mut block);
        for (byte, key) in piece.iter_mut().zip(&block) {
            *byte ^= key;
        }
    }
}
