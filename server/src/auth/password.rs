//! Passwords: hashed with Argon2id, checked a few at a time, and the outcome remembered for a short
//! while.
//!
//! A check is slow on purpose. Clients send their password with every request, so its outcome is kept for
//! [`AuthConfig::remembered`], under a keyed hash of the stored hash and the password: without the key,
//! which is made at the start and never leaves this process's memory, it says nothing, and a
//! changed password is another entry. Wrong passwords are remembered too, so that an agent that was
//! configured badly costs little.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tandem_http::Secret;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::AuthConfig;

/// Memory of one check in KiB, passes over it, and threads: one of the choices that OWASP calls equally strong.
const COST: (u32, u32, u32) = (7 << 10, 5, 1);
/// What a password is compared with when there is no such user: a hash of nothing, with [`COST`].
const DECOY: &str = "$argon2id$v=19$m=7168,t=5,p=1$dGFuZGVtLWRlY295LWE$\
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Too many passwords are being checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

/// Hashes passwords and compares them with hashes.
pub(crate) struct Passwords {
    argon: Argon2<'static>,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
    patience: Duration,
    memory: Mutex<Memory>,
    /// With the key that outcomes are remembered under.
    mac: Hmac<Sha256>,
}

/// Outcomes by keyed hash.
#[derive(Default)]
struct Memory {
    outcomes: HashMap<[u8; 32], (bool, Instant)>,
    remembered: Duration,
    remembered_max: usize,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
    }
}

/// Hashes a password as the server does; for users that are made without it. Takes some 20 ms.
///
/// # Errors
/// When the system gives no randomness, or the password is longer than 4 GiB.
pub fn hash_password(password: &Secret) -> io::Result<String> {
    let hashed = argon().hash_password(password.expose().as_bytes());
    Ok(hashed.map_err(io::Error::other)?.to_string())
}

fn argon() -> Argon2<'static> {
    let (memory_kib, passes, threads) = COST;
    let params = Params::new(memory_kib, passes, threads, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

impl Passwords {
    /// Whoever waits longer than `patience` for a check is refused.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub(crate) fn new(config: &AuthConfig, patience: Duration) -> io::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self {
            argon: argon(),
            places: Arc::new(Semaphore::new(config.checks_max)),
            waiting: AtomicUsize::new(0),
            waiting_max: config.checks_waiting_max,
            patience,
            memory: Mutex::new(Memory {
                remembered: config.remembered,
                remembered_max: config.remembered_max,
                ..Memory::default()
            }),
            mac: Hmac::new_from_slice(&key).map_err(io::Error::other)?,
        })
    }

    /// Whether `password` is the one that `hash` was made of; never without a hash, and then after
    /// the same time.
    ///
    /// # Errors
    /// [`Busy`]: nothing was compared.
    pub(crate) async fn check(
        self: &Arc<Self>,
        hash: Option<&str>,
        password: &Secret,
    ) -> Result<bool, Busy> {
        let hash = hash.unwrap_or(DECOY);
        let key = self.key_of(hash, password);
        if let Some(outcome) = self.remembered(&key) {
            return Ok(outcome);
        }
        let place = self.place().await?;
        // Another request of the same user may have been checked meanwhile.
        if let Some(outcome) = self.remembered(&key) {
            return Ok(outcome);
        }
        let (own, hash, password) = (Arc::clone(self), hash.to_owned(), password.clone());
        let compare = move || {
            let _place = place;
            own.compare(&hash, &password, key)
        };
        // It ends without an outcome only when the runtime goes down.
        tokio::task::spawn_blocking(compare)
            .await
            .map_err(|_ended| Busy)
    }

    /// As [`Passwords::check`], on a thread of the current runtime that may block.
    pub(crate) fn check_blocking(
        self: &Arc<Self>,
        hash: &str,
        password: &Secret,
    ) -> Result<bool, Busy> {
        let key = self.key_of(hash, password);
        if let Some(outcome) = self.remembered(&key) {
            return Ok(outcome);
        }
        let _place = Handle::current().block_on(self.place())?;
        Ok(self.compare(hash, password, key))
    }

    /// Hashes a password with a new salt, on a thread of the current runtime that may block.
    ///
    /// # Errors
    /// Why it cannot be done, as text for the client.
    pub(crate) fn hash_blocking(self: &Arc<Self>, password: &Secret) -> Result<String, HashError> {
        let _place = Handle::current()
            .block_on(self.place())
            .map_err(|Busy| HashError::Busy)?;
        let hashed = self.argon.hash_password(password.expose().as_bytes());
        Ok(hashed.map_err(HashError::Hash)?.to_string())
    }

    fn compare(&self, hash: &str, password: &Secret, key: [u8; 32]) -> bool {
        let is_right = PasswordHash::new(hash).is_ok_and(|hash| {
            self.argon
                .verify_password(password.expose().as_bytes(), &hash)
                .is_ok()
        });
        self.memory().put(key, is_right, Instant::now());
        is_right
    }

    async fn place(self: &Arc<Self>) -> Result<OwnedSemaphorePermit, Busy> {
        let _waiting = Waiting::among(&self.waiting, self.waiting_max)?;
        let place = Arc::clone(&self.places).acquire_owned();
        match tokio::time::timeout(self.patience, place).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(Busy),
        }
    }

    fn key_of(&self, hash: &str, password: &Secret) -> [u8; 32] {
        let mut mac = self.mac.clone();
        // A hash has no zero byte, so the two cannot run into one another.
        mac.update(hash.as_bytes());
        mac.update(&[0]);
        mac.update(password.expose().as_bytes());
        mac.finalize().into_bytes().into()
    }

    fn remembered(&self, key: &[u8; 32]) -> Option<bool> {
        self.memory().get(key, Instant::now())
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a password was not hashed. `Display` is what a client is told.
#[derive(Debug, Error)]
pub(crate) enum HashError {
    /// Too many passwords are being checked.
    #[error("request throttled, exceeds timeout")]
    Busy,
    /// The password is too long, or the system gives no randomness.
    #[error("cannot hash the password: {0}")]
    Hash(argon2::password_hash::Error),
}

/// One of those that wait; counted down when dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn among(count: &'a AtomicUsize, count_max: usize) -> Result<Self, Busy> {
        let own = Self(count);
        if count.fetch_add(1, Ordering::Relaxed) >= count_max {
            return Err(Busy);
        }
        Ok(own)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Memory {
    fn get(&self, key: &[u8; 32], now: Instant) -> Option<bool> {
        let (outcome, at) = self.outcomes.get(key)?;
        (now.duration_since(*at) < self.remembered).then_some(*outcome)
    }

    fn put(&mut self, key: [u8; 32], outcome: bool, now: Instant) {
        if self.outcomes.len() >= self.remembered_max {
            let remembered = self.remembered;
            self.outcomes
                .retain(|_, (_, at)| now.duration_since(*at) < remembered);
            if self.outcomes.len() >= self.remembered_max {
                self.outcomes.clear();
            }
        }
        self.outcomes.insert(key, (outcome, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords(config: &AuthConfig) -> Arc<Passwords> {
        Arc::new(Passwords::new(config, Duration::from_secs(10)).unwrap())
    }

    async fn hash(passwords: &Arc<Passwords>, password: &str) -> String {
        let (own, password) = (passwords.clone(), Secret::new(password));
        let hashing = tokio::task::spawn_blocking(move || own.hash_blocking(&password));
        hashing.await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn only_the_right_password_is_right() {
        let passwords = passwords(&AuthConfig::default());
        let hashed = hash(&passwords, "hunter2").await;
        assert!(
            hashed.starts_with("$argon2id$v=19$m=7168,t=5,p=1$"),
            "{hashed}"
        );
        assert_ne!(hash(&passwords, "hunter2").await, hashed);
        for _remembered in 0..2 {
            for (password, want) in [("hunter2", true), ("hunter3", false), ("", false)] {
                let given = Secret::new(password);
                let outcome = passwords.check(Some(&hashed), &given).await;
                assert_eq!(outcome, Ok(want), "{password}");
            }
        }
        let outcome = passwords.check(Some("not a hash"), &Secret::new("")).await;
        assert_eq!(outcome, Ok(false));
    }

    /// The decoy must cost what a real one costs.
    #[tokio::test]
    async fn nobody_has_the_password_of_nobody() {
        let decoy = PasswordHash::new(DECOY).unwrap();
        let passwords = passwords(&AuthConfig::default());
        let real = hash(&passwords, "x").await;
        let real = PasswordHash::new(&real).unwrap();
        assert_eq!(decoy.algorithm, real.algorithm);
        assert_eq!(decoy.params.to_string(), real.params.to_string());
        assert!(decoy.hash.is_some() && decoy.salt.is_some());
        assert_eq!(passwords.check(None, &Secret::new("")).await, Ok(false));
    }

    #[tokio::test]
    async fn checks_beyond_the_maximum_are_refused() {
        let config = AuthConfig {
            checks_max: 1,
            checks_waiting_max: 1,
            ..AuthConfig::default()
        };
        let passwords = passwords(&config);
        let hashed = hash(&passwords, "hunter2").await;
        let held = passwords.place().await.unwrap();
        let (right, wrong) = (Secret::new("hunter2"), Secret::new("x"));
        let (one, other) = tokio::join!(passwords.check(Some(&hashed), &right), async {
            let outcome = passwords.check(Some(&hashed), &wrong).await;
            drop(held);
            outcome
        });
        assert_eq!((one, other), (Ok(true), Err(Busy)));
        assert_eq!(passwords.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn outcomes_are_forgotten_and_bounded() {
        let mut memory = Memory {
            remembered: Duration::from_secs(60),
            remembered_max: 2,
            ..Memory::default()
        };
        let start = Instant::now();
        memory.put([1; 32], true, start);
        memory.put([2; 32], false, start + Duration::from_secs(30));
        assert_eq!(
            memory.get(&[1; 32], start + Duration::from_secs(59)),
            Some(true)
        );
        assert_eq!(memory.get(&[1; 32], start + Duration::from_secs(60)), None);
        memory.put([3; 32], true, start + Duration::from_secs(61));
        assert_eq!(
            memory.get(&[2; 32], start + Duration::from_secs(61)),
            Some(false)
        );
        memory.put([4; 32], true, start + Duration::from_secs(62));
        assert_eq!(memory.outcomes.len(), 1);
    }
}
