//! Who a request says it comes from: `Basic`, `Token user:pass`, `Bearer`.
//!
//! A password is a [`Secret`]: it never shows in `Debug`, so it cannot reach a log by accident.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use thiserror::Error;

/// Text that `Debug` masks.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; for checking and sending only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// What an `Authorization` header carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password, from `Basic`, `Token` or a URL.
    User {
        /// The name.
        name: String,
        /// The password.
        password: Secret,
    },
    /// A signed token.
    Bearer(Secret),
}

/// The header is there and cannot be read; the text is InfluxDB's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("unable to parse authentication credentials")]
pub struct CredentialsError;

impl Credentials {
    /// Reads the `Authorization` header; `None` when there is none.
    ///
    /// # Errors
    /// [`CredentialsError`] for a header of another form.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, CredentialsError> {
        let Some(value) = headers.get(AUTHORIZATION) else {
            return Ok(None);
        };
        let text = value.to_str().map_err(|_| CredentialsError)?;
        let (scheme, rest) = text.trim().split_once(' ').ok_or(CredentialsError)?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("basic") {
            let bytes = STANDARD.decode(rest).map_err(|_| CredentialsError)?;
            let pair = String::from_utf8(bytes).map_err(|_| CredentialsError)?;
            return Self::user(&pair).map(Some);
        }
        if scheme.eq_ignore_ascii_case("token") {
            return Self::user(rest).map(Some);
        }
        if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
            return Ok(Some(Self::Bearer(Secret::new(rest))));
        }
        Err(CredentialsError)
    }

    fn user(pair: &str) -> Result<Self, CredentialsError> {
        let (name, password) = pair.split_once(':').ok_or(CredentialsError)?;
        Ok(Self::User {
            name: name.to_owned(),
            password: Secret::new(password),
        })
    }

    /// The header value to send, marked as sensitive; `None` if it cannot stand in a header.
    #[must_use]
    pub fn to_header(&self) -> Option<HeaderValue> {
        let text = match self {
            Self::User { name, password } => {
                format!(
                    "Basic {}",
                    STANDARD.encode(format!("{name}:{}", password.expose()))
                )
            }
            Self::Bearer(token) => format!("Bearer {}", token.expose()),
        };
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Result<Option<Credentials>, CredentialsError> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        Credentials::from_headers(&headers)
    }

    #[test]
    fn unreadable_headers_are_errors() {
        for bad in [
            "",
            "Basic",
            "Basic !!",
            "Basic cm9vdA==",
            "Token root",
            "Digest a=b",
            "Bearer ",
        ] {
            assert_eq!(parse(bad), Err(CredentialsError), "{bad:?}");
        }
        assert_eq!(Credentials::from_headers(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn three_forms_are_read() {
        let user = Credentials::User {
            name: "root".into(),
            password: Secret::new("a:b"),
        };
        assert_eq!(parse("Basic cm9vdDphOmI="), Ok(Some(user.clone())));
        assert_eq!(parse("token root:a:b"), Ok(Some(user.clone())));
        assert_eq!(
            parse("Bearer x.y.z"),
            Ok(Some(Credentials::Bearer(Secret::new("x.y.z"))))
        );
        assert_eq!(user.to_header().unwrap(), "Basic cm9vdDphOmI=");
    }

    #[test]
    fn debug_masks_the_password() {
        let user = Credentials::User {
            name: "root".into(),
            password: Secret::new("hunter2"),
        };
        let shown = format!("{user:?} {:?}", user.to_header());
        assert!(shown.contains("root") && !shown.contains("hunter2") && !shown.contains("Basic"));
    }
}
