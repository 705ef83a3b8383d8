//! Which paths there are, by which methods, and what must be known of who asks.
//!
//! Paths are those of InfluxDB 1.8, and those of 1.12 that clients of version 2 use. Who adds a route
//! that shows or changes data says so in [`Route::is_of_data`], or it is open to everybody.

use tandem_http::{Method, Params};

/// What a path stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Query,
    Write,
    WriteV2,
    DeleteV2,
    /// Flux.
    QueryV2,
    Buckets,
    /// One bucket, by its name `database/policy`.
    Bucket(String),
    /// What belongs to a bucket and is not supported: `labels`, `members`, `owners`.
    BucketPart(&'static str),
    PrometheusWrite,
    PrometheusRead,
    Ping,
    Status,
    Health,
    Metrics,
    Vars,
    Requests,
    /// For the page: this store, its relays and its peers.
    Appliance,
    PeerCounts,
}

const BUCKETS: &str = "/api/v2/buckets/";

impl Route {
    /// What a path stands for, if anything.
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/query" => Self::Query,
            "/write" => Self::Write,
            "/api/v2/write" => Self::WriteV2,
            "/api/v2/delete" => Self::DeleteV2,
            "/api/v2/query" => Self::QueryV2,
            "/api/v2/buckets" => Self::Buckets,
            "/api/v1/prom/write" => Self::PrometheusWrite,
            "/api/v1/prom/read" => Self::PrometheusRead,
            "/ping" => Self::Ping,
            "/status" => Self::Status,
            "/health" => Self::Health,
            "/metrics" => Self::Metrics,
            "/debug/vars" => Self::Vars,
            "/debug/requests" => Self::Requests,
            "/appliance" => Self::Appliance,
            "/appliance/counts" => Self::PeerCounts,
            _ => return bucket(path.strip_prefix(BUCKETS)?),
        })
    }

    /// The methods that it takes.
    pub(super) fn methods(&self) -> &'static [Method] {
        match self {
            Self::Query => &[Method::OPTIONS, Method::GET, Method::POST],
            Self::Write | Self::WriteV2 | Self::DeleteV2 | Self::QueryV2 => {
                &[Method::OPTIONS, Method::POST]
            }
            Self::PrometheusWrite | Self::PrometheusRead => &[Method::POST],
            Self::Metrics => &[Method::GET],
            // InfluxDB looks at no method here.
            Self::Vars | Self::Requests => &[
                Method::GET,
                Method::HEAD,
                Method::POST,
                Method::PUT,
                Method::DELETE,
                Method::PATCH,
                Method::OPTIONS,
            ],
            Self::Buckets => &[Method::OPTIONS, Method::GET, Method::POST],
            Self::Bucket(_) => &[Method::OPTIONS, Method::GET, Method::DELETE, Method::PATCH],
            Self::BucketPart(_) => &[Method::OPTIONS, Method::GET, Method::POST, Method::DELETE],
            Self::Health => &[Method::OPTIONS, Method::GET, Method::HEAD],
            Self::Ping | Self::Status | Self::Appliance | Self::PeerCounts => {
                &[Method::GET, Method::HEAD]
            }
        }
    }

    /// Whether it shows or changes data, so that with authentication it needs a user. The others
    /// need one only where pings do.
    pub(super) fn is_of_data(&self) -> bool {
        match self {
            Self::Query
            | Self::Write
            | Self::WriteV2
            | Self::DeleteV2
            | Self::Buckets
            | Self::Bucket(_)
            | Self::BucketPart(_)
            | Self::PrometheusWrite
            | Self::PrometheusRead
            | Self::Appliance
            | Self::PeerCounts => true,
            // Flux is refused before anybody asks who wants it, as in InfluxDB 1.8.
            Self::QueryV2
            | Self::Ping
            | Self::Status
            | Self::Health
            | Self::Metrics
            | Self::Vars
            | Self::Requests => false,
        }
    }
}

/// What comes below `/api/v2/buckets/`: the slash within a bucket's name comes encoded.
fn bucket(rest: &str) -> Option<Route> {
    let (name, part) = rest.split_once('/').unwrap_or((rest, ""));
    let part = part.split('/').next().unwrap_or_default();
    match part {
        "" => {}
        "labels" => return Some(Route::BucketPart("labels")),
        "members" => return Some(Route::BucketPart("members")),
        "owners" => return Some(Route::BucketPart("owners")),
        _ => return None,
    }
    // In a path, unlike in a form, a plus is a plus.
    let decoded = Params::parse(&format!("name={}", name.replace('+', "%2B")));
    let name = decoded.get_filled("name")?;
    Some(Route::Bucket(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_told_by_their_names() {
        for (path, route) in [
            ("/api/v2/buckets", Some(Route::Buckets)),
            (
                "/api/v2/buckets/db%2Frp",
                Some(Route::Bucket("db/rp".into())),
            ),
            (
                "/api/v2/buckets/a+b%20c%2Frp",
                Some(Route::Bucket("a+b c/rp".into())),
            ),
            (
                "/api/v2/buckets/x/labels",
                Some(Route::BucketPart("labels")),
            ),
            (
                "/api/v2/buckets/x/owners/7",
                Some(Route::BucketPart("owners")),
            ),
            ("/api/v2/buckets/", None),
            ("/api/v2/buckets/x/y", None),
            ("/api/v2/buckets/%zz", None),
            ("/api/v2", None),
            ("/query/", None),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }
}
