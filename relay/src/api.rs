//! The ways in which clients write, brought to one: database, retention policy and unit as the
//! parameters of InfluxDB 1.x's `/write`, which every backend understands.
//!
//! A query string that is of that form already goes on as it came.

use tandem_http::{Params, percent_encode};

use crate::batch::Target;

/// A path that takes writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// `/write`
    V1,
    /// `/api/v2/write`: a bucket is a database, or `database/policy`.
    V2,
    /// `/api/v3/write_lp`
    V3,
    /// `/api/v1/prom/write`
    Prom,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) target: Target,
    /// For the backends.
    pub(crate) query: String,
    pub(crate) database: String,
    /// As `precision` in the query; `None` when it is to be found out from the first line.
    pub(crate) precision: Option<String>,
}

impl Api {
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        Some(match path {
            "/write" => Self::V1,
            "/api/v2/write" => Self::V2,
            "/api/v3/write_lp" => Self::V3,
            "/api/v1/prom/write" => Self::Prom,
            _ => return None,
        })
    }

    /// Reads the query string. An error is InfluxDB's, for a 400. `policy` goes to writes that name
    /// no retention policy.
    pub(crate) fn ask(self, query: &str, policy: &str) -> Result<Ask, String> {
        let params = Params::parse(query);
        let target = match self {
            Self::Prom => Target::PromWrite,
            _ => Target::Write,
        };
        match self {
            Self::V1 | Self::Prom => {
                let database = params.get_filled("db").ok_or("database is required")?;
                let mut query = query.to_owned();
                if !policy.is_empty() && params.get_filled("rp").is_none() {
                    // The first of two parameters counts, and that may be an empty one.
                    query = format!("rp={}&{query}", percent_encode(policy));
                }
                Ok(Ask {
                    target,
                    query,
                    database: database.to_owned(),
                    precision: Some(params.get("precision").unwrap_or_default().to_owned()),
                })
            }
            Self::V2 => {
                let bucket = params.get_filled("bucket").ok_or("bucket is required")?;
                let (database, rp) = bucket.split_once('/').unwrap_or((bucket, policy));
                let precision = match params.get("precision").unwrap_or_default() {
                    "" | "ns" | "n" => "n",
                    "us" | "u" => "u",
                    known @ ("ms" | "s") => known,
                    other => {
                        return Err(format!("invalid precision {other:?} (use ns, us, ms or s)"));
                    }
                };
                Ok(made(&params, database, rp, Some(precision)))
            }
            Self::V3 => {
                let database = params.get_filled("db").ok_or("database is required")?;
                let precision = match params.get("precision").unwrap_or_default() {
                    "" | "auto" => None,
                    "nanosecond" | "ns" => Some("n"),
                    "microsecond" | "us" => Some("u"),
                    "millisecond" | "ms" => Some("ms"),
                    "second" | "s" => Some("s"),
                    other => {
                        return Err(format!(
                            "invalid precision {other:?} (use auto, second, millisecond, microsecond or nanosecond)"
                        ));
                    }
                };
                Ok(made(&params, database, policy, precision))
            }
        }
    }
}

fn made(params: &Params, database: &str, rp: &str, precision: Option<&str>) -> Ask {
    let mut query = format!("db={}", percent_encode(database));
    let mut set = |key: &str, value: &str| {
        if !value.is_empty() {
            query.push_str(&format!("&{key}={}", percent_encode(value)));
        }
    };
    set("rp", rp);
    for key in ["u", "p", "consistency"] {
        set(key, params.get(key).unwrap_or_default());
    }
    set("precision", precision.unwrap_or_default());
    Ask {
        target: Target::Write,
        query,
        database: database.to_owned(),
        precision: precision.map(str::to_owned),
    }
}

/// The unit that the first time in a body is most likely in, as the parameter `precision`. All
/// backends must take the same one, so it is not left to them.
pub(crate) fn guess_precision(body: &[u8]) -> &'static str {
    let first = tandem_line::lines(body).find_map(|line| {
        let last = line.trim_ascii_end().rsplit(|byte| *byte == b' ').next()?;
        std::str::from_utf8(last).ok()?.parse::<i64>().ok()
    });
    match first.map_or(u64::MAX, i64::unsigned_abs) {
        0..5_000_000_000 => "s",
        5_000_000_000..5_000_000_000_000 => "ms",
        5_000_000_000_000..5_000_000_000_000_000 => "u",
        _ => "n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_become_one() {
        let ask = |api: Api, query| api.ask(query, "").unwrap();
        let query = "precision=s&x=%zz&db=d";
        assert_eq!(ask(Api::V1, query).query, query, "verbatim");
        let v2 = ask(Api::V2, "org=o&bucket=a%20b/week&precision=ns");
        assert_eq!(v2.query, "db=a%20b&rp=week&precision=n");
        assert_eq!(v2.database, "a b");
        let v3 = ask(
            Api::V3,
            "db=d&precision=second&no_sync=true&consistency=one",
        );
        assert_eq!(v3.query, "db=d&consistency=one&precision=s");
        assert_eq!(ask(Api::V3, "db=d").precision, None);
        assert_eq!(ask(Api::Prom, "db=p").target, Target::PromWrite);
    }

    #[test]
    fn what_is_missing_or_unknown_is_told() {
        for (api, query, word) in [
            (Api::V1, "db=", "database is required"),
            (Api::V2, "db=d", "bucket is required"),
            (Api::V2, "bucket=b&precision=h", "\"h\""),
            (Api::V3, "db=d&precision=n0", "\"n0\""),
        ] {
            let error = api.ask(query, "").unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_policy_goes_to_writes_that_name_none() {
        let ask = |api: Api, query| api.ask(query, "week").unwrap().query;
        assert_eq!(ask(Api::V1, "db=d&rp="), "rp=week&db=d&rp=");
        assert_eq!(ask(Api::V1, "db=d&rp=x"), "db=d&rp=x");
        assert_eq!(ask(Api::V2, "bucket=d"), "db=d&rp=week&precision=n");
        assert_eq!(ask(Api::V2, "bucket=d/x"), "db=d&rp=x&precision=n");
    }

    #[test]
    fn a_unit_is_guessed_from_the_first_time() {
        for (body, want) in [
            ("m v=1 1700000000", "s"),
            ("# c\nm v=1\nm v=1 1700000000123\n", "ms"),
            ("m v=1 1700000000123456", "u"),
            ("m v=1 1700000000123456789", "n"),
            ("m v=1", "n"),
            ("", "n"),
        ] {
            assert_eq!(guess_precision(body.as_bytes()), want, "{body}");
        }
    }
}
