//! Who a request comes from, and what that user may do.
//!
//! Follows influxdata/influxdb 1.8, `services/httpd/handler.go` and `services/meta/query_authorizer.go`, statuses and
//! texts included. What differs is tighter:
//! * An unknown user costs the same time as a wrong password.
//! * Passwords are checked a few at a time, and many that wait are refused with 503 instead of
//!   taking all processors.
//! * Of two requests that make the first admin at once, one is refused.

mod jwt;
mod password;
mod rights;

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tandem_catalog::{Catalog, CatalogError};
use tandem_http::{Credentials, HeaderMap, Params, Secret};
use tracing::info;

pub use self::password::hash_password;
pub(crate) use self::password::{Busy, HashError, Passwords};
pub(crate) use self::rights::Denied;

/// Of a name that is logged although nobody has it.
const LOGGED_CHARS_MAX: usize = 100;

/// How users are told apart.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// Whether requests must say who they come from (`auth-enabled`).
    pub enabled: bool,
    /// Whether `/ping`, `/health` and `/status` must too (`ping-auth-enabled`).
    pub ping_enabled: bool,
    /// Signs JSON Web Tokens (`shared-secret`); none are taken without it.
    pub shared_secret: Option<Secret>,
    /// Passwords that are checked at once; each takes 7 MiB and some 20 ms of a processor.
    pub checks_max: usize,
    /// Requests that wait for their password to be checked; more get 503 at once.
    pub checks_waiting_max: usize,
    /// How long the outcome of a check is remembered. A password that is changed, and a user that is
    /// dropped, are noticed at once all the same.
    pub remembered: Duration,
    /// Outcomes that are remembered.
    pub remembered_max: usize,
}

impl AuthConfig {
    /// Default of [`AuthConfig::checks_max`].
    pub const CHECKS_MAX: usize = 2;
    /// Default of [`AuthConfig::checks_waiting_max`].
    pub const CHECKS_WAITING_MAX: usize = 256;
    /// Default of [`AuthConfig::remembered`].
    pub const REMEMBERED: Duration = Duration::from_secs(60);
    /// Default of [`AuthConfig::remembered_max`].
    pub const REMEMBERED_MAX: usize = 10_000;
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            ping_enabled: false,
            shared_secret: None,
            checks_max: Self::CHECKS_MAX,
            checks_waiting_max: Self::CHECKS_WAITING_MAX,
            remembered: Self::REMEMBERED,
            remembered_max: Self::REMEMBERED_MAX,
        }
    }
}

/// Who a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Nobody asks.
    Anyone,
    /// There is no admin yet whom it could come from.
    Nobody,
    /// A user who has proved it.
    User {
        /// The name.
        name: String,
        /// May do everything.
        admin: bool,
    },
}

/// Why a request is not answered.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// 401, with this text.
    Unauthorized(String),
    /// 503: too many passwords are being checked.
    Busy,
    /// 500: users cannot be told.
    Failed(CatalogError),
}

impl From<CatalogError> for Refusal {
    fn from(error: CatalogError) -> Self {
        Self::Failed(error)
    }
}

/// Tells users apart.
#[derive(Debug)]
pub(crate) struct Auth {
    catalog: Arc<Catalog>,
    config: AuthConfig,
    passwords: Arc<Passwords>,
}

impl Auth {
    /// A request waits up to `patience` for its password to be checked.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub(crate) fn new(
        catalog: Arc<Catalog>,
        config: AuthConfig,
        patience: Duration,
    ) -> io::Result<Self> {
        Ok(Self {
            passwords: Arc::new(Passwords::new(&config, patience)?),
            catalog,
            config,
        })
    }

    pub(crate) fn passwords(&self) -> Arc<Passwords> {
        self.passwords.clone()
    }

    /// Whether requests for the state of the server must say who they come from.
    pub(crate) fn guards_pings(&self) -> bool {
        self.config.ping_enabled
    }

    /// Finds out who sends a request with these parameters of the URL and these headers.
    pub(crate) async fn identify(
        &self,
        params: &Params,
        headers: &HeaderMap,
    ) -> Result<Identity, Refusal> {
        if !self.config.enabled {
            return Ok(Identity::Anyone);
        }
        if !self.catalog.admin_exists() {
            return Ok(Identity::Nobody);
        }
        let user = match credentials(params, headers)? {
            Credentials::User { name, password } => self.by_password(&name, &password).await?,
            Credentials::Bearer(token) => self.by_token(&token)?,
        };
        Ok(Identity::User {
            name: user.name,
            admin: user.admin,
        })
    }

    async fn by_password(
        &self,
        name: &str,
        password: &Secret,
    ) -> Result<tandem_catalog::User, Refusal> {
        if name.is_empty() {
            return Err(unauthorized("username required"));
        }
        let user = self.catalog.user(name)?;
        let hash = user.as_ref().map(|user| user.hash.as_str());
        let is_right = self.passwords.check(hash, password).await;
        match user {
            Some(user) if is_right.map_err(|Busy| Refusal::Busy)? => Ok(user),
            _ => {
                // A name may be as long as a request's head.
                let user: String = name.chars().take(LOGGED_CHARS_MAX).collect();
                info!(user, "authorization failed");
                Err(unauthorized("authorization failed"))
            }
        }
    }

    fn by_token(&self, token: &Secret) -> Result<tandem_catalog::User, Refusal> {
        let Some(secret) = &self.config.shared_secret else {
            return Err(unauthorized("bearer auth disabled"));
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_s = now.unwrap_or_default().as_secs();
        let name = jwt::username(token.expose(), secret, now_s).map_err(Refusal::Unauthorized)?;
        let user = self.catalog.user(&name)?;
        user.ok_or_else(|| unauthorized("user not found"))
    }
}

fn credentials(params: &Params, headers: &HeaderMap) -> Result<Credentials, Refusal> {
    if let (Some(name), Some(password)) = (params.get_filled("u"), params.get_filled("p")) {
        return Ok(Credentials::User {
            name: name.to_owned(),
            password: Secret::new(password),
        });
    }
    match Credentials::from_headers(headers) {
        Ok(Some(credentials)) => Ok(credentials),
        Ok(None) | Err(_) => Err(unauthorized("unable to parse authentication credentials")),
    }
}

fn unauthorized(text: &str) -> Refusal {
    Refusal::Unauthorized(text.to_owned())
}
