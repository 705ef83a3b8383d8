//! One request, as it goes to every backend.
//!
//! The bytes that came in go out: the body is a few slices of the one buffer it was read into,
//! with times as further slices where lines lacked them. All backends share the same `Bytes`.

use std::sync::Arc;

use bytes::Bytes;
use tandem_http::{Call, Credentials, HeaderMap, HeaderName, HeaderValue, Params, header};
use tokio::sync::OwnedSemaphorePermit;

use crate::scope::Scope;

/// Prometheus wants to be told the version of its protocol.
const X_PROMETHEUS_VERSION: HeaderName =
    HeaderName::from_static("x-prometheus-remote-write-version");

/// Where a request goes at a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Target {
    /// Line protocol.
    #[default]
    Write,
    /// Prometheus' remote write: snappy, not looked into.
    PromWrite,
    /// A statement; the body is the form that holds it.
    Query,
}

impl Target {
    const fn path(self) -> &'static str {
        match self {
            Self::Write => "/write",
            Self::PromWrite => "/api/v1/prom/write",
            Self::Query => "/query",
        }
    }
}

/// What is sent beside the body, and what the relay knows of it. It is what a hint keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) target: Target,
    /// The query string, verbatim. May hold a password: never to be logged.
    pub(crate) query: String,
    /// The `Authorization` header, verbatim.
    pub(crate) authorization: Option<Vec<u8>>,
    /// The `Content-Type` header, verbatim.
    pub(crate) content_type: Option<Vec<u8>>,
    /// The body is gzip.
    pub(crate) gzip: bool,
    /// What it touches.
    pub(crate) scope: Scope,
    /// Lines in the body.
    pub(crate) lines: u64,
    /// When it was received, in nanoseconds since 1970.
    pub(crate) received_ns: i64,
}

/// A request with its body.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) head: Head,
    pub(crate) body: Vec<Bytes>,
    /// The body's share of the memory budget; given back with the last use of the batch.
    pub(crate) memory: Option<Arc<OwnedSemaphorePermit>>,
}

impl Batch {
    /// Bytes of the body.
    pub(crate) fn bytes(&self) -> u64 {
        self.body.iter().map(|slice| slice.len() as u64).sum()
    }
}

impl Head {
    /// The request to a backend. It is not repeated on another connection when a kept one breaks: the first
    /// may be applied late, behind what comes after the second.
    pub(crate) fn call(&self, body: Vec<Bytes>) -> Call {
        let path = self.target.path();
        let target = if self.query.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{}", self.query)
        };
        let mut call = Call::post(target, body, false);
        let mut set = |name: HeaderName, value: &[u8], secret: bool| {
            if let Ok(mut value) = HeaderValue::from_bytes(value) {
                value.set_sensitive(secret);
                call.headers.insert(name, value);
            }
        };
        if let Some(value) = &self.authorization {
            set(header::AUTHORIZATION, value, true);
        }
        if let Some(value) = &self.content_type {
            set(header::CONTENT_TYPE, value, false);
        }
        if self.target == Target::PromWrite {
            set(header::CONTENT_ENCODING, b"snappy", false);
            set(X_PROMETHEUS_VERSION, b"0.1.0", false);
        } else if self.gzip {
            set(header::CONTENT_ENCODING, b"gzip", false);
        }
        call
    }

    /// Takes over the headers that are passed on.
    pub(crate) fn take_headers(&mut self, headers: &HeaderMap) {
        let bytes = |name| {
            headers
                .get(name)
                .map(|value: &HeaderValue| value.as_bytes().to_vec())
        };
        self.authorization = bytes(header::AUTHORIZATION);
        self.content_type = bytes(header::CONTENT_TYPE);
    }

    /// Database and retention policy as the request names them; empty where it does not.
    pub(crate) fn place(&self) -> (String, String) {
        let params = Params::parse(&self.query);
        let named = |key| params.get(key).unwrap_or_default().to_owned();
        (named("db"), named("rp"))
    }

    /// Who sends it, as the credentials name them, those of the query first; `None` where they name nobody.
    pub(crate) fn user(&self) -> Option<String> {
        let params = Params::parse(&self.query);
        if let Some(name) = params.get("u").filter(|name| !name.is_empty()) {
            return Some(name.to_owned());
        }
        let value = HeaderValue::from_bytes(self.authorization.as_deref()?).ok()?;
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        match Credentials::from_headers(&headers) {
            Ok(Some(Credentials::User { name, .. })) => Some(name),
            Ok(Some(Credentials::Bearer(_)) | None) | Err(_) => None,
        }
    }

    /// Takes the client's credentials out: another's are sent in their place, and none are kept.
    pub(crate) fn forget_credentials(&mut self) {
        self.authorization = None;
        let is_secret = |pair: &str| {
            let key = pair.split('=').next().unwrap_or_default();
            // Whoever writes `%75=name` means `u` as well.
            let key = Params::parse(&format!("{key}=x"));
            key.get("u").is_some() || key.get("p").is_some()
        };
        if self.query.split('&').any(is_secret) {
            let kept: Vec<&str> = self
                .query
                .split('&')
                .filter(|pair| !is_secret(pair))
                .collect();
            self.query = kept.join("&");
        }
    }

    /// Puts another database in the place of the one that is named.
    pub(crate) fn rename_database(&mut self, to: &str) {
        let named = |pair: &&str| {
            let key = pair.split('=').next().unwrap_or_default();
            Params::parse(&format!("{key}=x")).get("db").is_some()
        };
        let mut kept: Vec<String> = vec![format!("db={}", tandem_http::percent_encode(to))];
        let others = self
            .query
            .split('&')
            .filter(|pair| !pair.is_empty() && !named(pair));
        kept.extend(others.map(str::to_owned));
        self.query = kept.join("&");
        self.scope.domain = Some(crate::scope::domain(to));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_forgotten_wherever_they_stand() {
        let mut head = Head {
            query: "u=me&db=d&p=secret&%70=x&precision=s".into(),
            authorization: Some(b"Token a:b".to_vec()),
            ..Head::default()
        };
        head.forget_credentials();
        assert_eq!(head.query, "db=d&precision=s");
        assert_eq!(head.authorization, None);
        let mut plain = Head {
            query: "db=d&&rp=x".into(),
            ..Head::default()
        };
        plain.forget_credentials();
        assert_eq!(
            plain.query, "db=d&&rp=x",
            "verbatim where there is nothing to hide"
        );
    }

    #[test]
    fn who_sends_it_is_named_by_the_credentials_without_the_password() {
        let user = |query: &str, authorization: Option<&str>| {
            let head = Head {
                query: query.into(),
                authorization: authorization.map(|text| text.as_bytes().to_vec()),
                ..Head::default()
            };
            head.user()
        };
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(user("db=d", None), None);
        assert_eq!(user("db=d&u=a%20b&p=x", Some("Token c:d")), named("a b"));
        assert_eq!(user("db=d&u=", Some("Token c:d")), named("c"));
        assert_eq!(user("", Some("Basic cm9vdDphOmI=")), named("root"));
        for nobody in ["Bearer x", "Basic !!", "what"] {
            assert_eq!(user("", Some(nobody)), None, "{nobody}");
        }
    }

    #[test]
    fn a_database_gets_another_name_and_the_rest_stays() {
        let mut head = Head {
            query: "precision=s&db=old&rp=x".into(),
            ..Head::default()
        };
        head.rename_database("a b");
        assert_eq!(head.query, "db=a%20b&precision=s&rp=x");
        assert_eq!(head.place(), ("a b".into(), "x".into()));
        assert_eq!(head.scope.domain, Some(crate::scope::domain("a b")));
    }

    #[test]
    fn nothing_is_repeated_by_itself() {
        let mut head = Head::default();
        assert!(!head.call(Vec::new()).replayable);
        head.target = Target::Query;
        let call = head.call(Vec::new());
        assert!(!call.replayable);
        assert_eq!(call.target, "/query");
    }
}
