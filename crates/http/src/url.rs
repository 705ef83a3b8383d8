//! Addresses of servers that are called: `http://[user:password@]host[:port][/prefix]`, or `https://…`.

use std::fmt;

use http::Uri;
use percent_encoding::percent_decode_str;
use thiserror::Error;

use crate::{Credentials, Secret};

/// Why a text is no usable address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UrlError {
    /// It cannot be taken apart.
    #[error("not a URL; give it as http://HOST:PORT")]
    Malformed,
    /// It is no `http://` or `https://` address.
    #[error("scheme {scheme:?} is not supported; use http:// or https://")]
    Scheme {
        /// What it begins with.
        scheme: String,
    },
}

/// A server's address. `Display` and `Debug` leave the password out.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    is_https: bool,
    host: String,
    port: u16,
    prefix: String,
    credentials: Option<Credentials>,
}

impl Url {
    /// Takes a text apart. A query or a fragment is refused: they belong to a call.
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Malformed)?;
        let is_https = scheme.eq_ignore_ascii_case("https");
        if !is_https && !scheme.eq_ignore_ascii_case("http") {
            return Err(UrlError::Scheme {
                scheme: scheme.to_owned(),
            });
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, server) = match authority.rsplit_once('@') {
            Some((user, server)) => (Some(user), server),
            None => (None, authority),
        };
        let uri: Uri = format!("http://{server}{path}")
            .parse()
            .map_err(|_| UrlError::Malformed)?;
        let host = uri
            .host()
            .filter(|host| !host.is_empty())
            .ok_or(UrlError::Malformed)?;
        if uri.query().is_some() || text.contains('#') {
            return Err(UrlError::Malformed);
        }
        // `Uri::port` is silent about a number that is too large.
        let port = match server.strip_prefix(host).ok_or(UrlError::Malformed)? {
            "" if is_https => 443,
            "" => 80,
            port => port
                .trim_start_matches(':')
                .parse()
                .map_err(|_| UrlError::Malformed)?,
        };
        Ok(Self {
            is_https,
            host: host.to_owned(),
            port,
            prefix: uri.path().trim_end_matches('/').to_owned(),
            credentials: user.map(user_info).transpose()?,
        })
    }

    /// Whether it is called over TLS.
    #[must_use]
    pub const fn is_https(&self) -> bool {
        self.is_https
    }

    /// `host:port`.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The host, an IPv6 address without its brackets, and the port: what a socket connects to.
    #[must_use]
    pub fn socket(&self) -> (&str, u16) {
        (
            self.host.trim_start_matches('[').trim_end_matches(']'),
            self.port,
        )
    }

    /// The path and query of a call to `path`, which begins with `/`.
    #[must_use]
    pub fn target(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// Name and password, when the text had them.
    #[must_use]
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }
}

fn user_info(text: &str) -> Result<Credentials, UrlError> {
    let decode = |part| {
        percent_decode_str(part)
            .decode_utf8()
            .map_err(|_| UrlError::Malformed)
    };
    let (name, password) = text.split_once(':').unwrap_or((text, ""));
    Ok(Credentials::User {
        name: decode(name)?.into_owned(),
        password: Secret::new(decode(password)?),
    })
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}{}", self.host, self.port, self.prefix)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "localhost:8086",
            "http://",
            "http://:80",
            "http://a b",
            "http://h:99999",
            "http://h:",
            "http://h/?q=1",
            "http://h/#f",
        ] {
            assert_eq!(Url::parse(bad), Err(UrlError::Malformed), "{bad:?}");
        }
        assert!(matches!(
            Url::parse("ftp://h"),
            Err(UrlError::Scheme { .. })
        ));
    }

    #[test]
    fn parts_are_found() {
        let url = Url::parse("http://us%40er:p%3Aw@store:8086/influx/").unwrap();
        assert_eq!(
            (url.authority().as_str(), url.socket()),
            ("store:8086", ("store", 8086))
        );
        assert_eq!(url.target("/write?db=x"), "/influx/write?db=x");
        assert_eq!(
            url.credentials(),
            Some(&Credentials::User {
                name: "us@er".into(),
                password: Secret::new("p:w")
            })
        );
        assert_eq!(
            format!("{url} {url:?}"),
            "http://store:8086/influx http://store:8086/influx"
        );
    }

    #[test]
    fn https_has_a_port_of_its_own() {
        let url = Url::parse("HTTPS://u:p@h/x").unwrap();
        assert!(url.is_https() && !Url::parse("http://h").unwrap().is_https());
        assert_eq!(url.socket(), ("h", 443));
        assert_eq!(url.to_string(), "https://h:443/x");
    }

    #[test]
    fn ipv6_loses_its_brackets_only_for_the_socket() {
        let url = Url::parse("http://[::1]:9096").unwrap();
        assert_eq!(
            (url.authority().as_str(), url.socket()),
            ("[::1]:9096", ("::1", 9096))
        );
        assert_eq!(Url::parse("http://h").unwrap().socket(), ("h", 80));
    }
}
