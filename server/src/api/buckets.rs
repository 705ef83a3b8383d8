//! `/api/v2/buckets`: databases and retention policies under the names that clients of version 2
//! have for them, as InfluxDB 1.12 shows them. A bucket is `database/policy`.

#![expect(
    clippy::result_large_err,
    reason = "an error is the answer, and goes out as it is"
)]

use serde_json::{Map, Value as Json};
use tandem_http::{
    Body, Incoming, Method, Response, StatusCode, empty, full, read_body, write_json_string,
};
use tandem_influxql::Privilege;
use tandem_influxql::ast::{DropRetentionPolicy, Statement};
use tandem_query::Context;
use tandem_store::{PolicyChange, PolicySpec, RetentionPolicy, StoreError};

use super::encoding::body_answer;
use super::query::Unheard;
use super::write::bucket_place;
use super::{Api, Ask, finished, now_ns};
use crate::auth::Identity;

const BODY_BYTES_MAX: usize = 1 << 20;
/// Buckets of a list when the request does not say.
const LIMIT: usize = 100;
const SECOND_NS: i64 = 1_000_000_000;

type Answered = Result<Response<Body>, Response<Body>>;

impl Api {
    /// `GET /api/v2/buckets`.
    pub(super) async fn buckets(&self, ask: &Ask, identity: &Identity) -> Response<Body> {
        let (Ok(response) | Err(response)) = self.list(ask, identity);
        response
    }

    fn list(&self, ask: &Ask, identity: &Identity) -> Answered {
        if *identity == Identity::Nobody {
            let text = "list buckets - user is required";
            return Err(ask.error(StatusCode::FORBIDDEN, text));
        }
        let param = |name| ask.params.get_filled(name);
        if let Some(name) = param("name").or(param("id")) {
            if let Some(id) = param("id").filter(|id| *id != name) {
                return Err(ask.bad(&format!(
                    "list buckets: name: {name:?} and id: {id:?} do not match"
                )));
            }
            let (database, policy) = self.find(ask, name)?;
            self.may_read(ask, identity, &database)?;
            return Ok(shown(&[bucket(&database, &policy)]));
        }
        let number = |name| match param(name).map(str::parse::<i64>) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => {
                let text = param(name).unwrap_or_default();
                Err(ask.bad(&format!(
                    "list buckets parameter is not an integer - {name}={text:?}: strconv.ParseInt: parsing {text:?}: invalid syntax"
                )))
            }
        };
        let limit = match number("limit")? {
            None => LIMIT,
            Some(limit) if limit <= 0 => usize::MAX,
            Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        let mut offset = number("offset")?.map_or(0, |offset| usize::try_from(offset).unwrap_or(0));
        let mut all: Vec<(String, RetentionPolicy)> = Vec::new();
        for database in self.store.databases() {
            // One that is dropped meanwhile has none.
            let policies = self.store.retention_policies(&database).unwrap_or_default();
            all.extend(
                policies
                    .into_iter()
                    .map(|policy| (database.clone(), policy)),
            );
        }
        if let Some(after) = param("after") {
            if param("offset").is_some() {
                return Err(
                    ask.bad("list buckets cannot have both \"offset\" and \"after\" arguments")
                );
            }
            let at = all
                .iter()
                .position(|(database, policy)| format!("{database}/{}", policy.name) == after);
            offset = match at {
                Some(at) => at + 1,
                None => {
                    let text = format!("list buckets \"after\" parameter not found: {after:?}");
                    return Err(ask.error(StatusCode::NOT_FOUND, &text));
                }
            };
        }
        let mut found = Vec::new();
        for (database, policy) in all.into_iter().skip(offset) {
            if found.len() >= limit {
                break;
            }
            let reads = identity.reads(&self.catalog, &database);
            if reads.map_err(|error| self.rights_unknown(ask, error))? {
                found.push(bucket(&database, &policy));
            }
        }
        Ok(shown(&found))
    }

    /// `POST /api/v2/buckets`.
    pub(super) async fn create_bucket(
        &self,
        ask: &Ask,
        identity: &Identity,
        body: &mut Incoming,
    ) -> Response<Body> {
        let (Ok(response) | Err(response)) = self.create(ask, identity, body).await;
        response
    }

    async fn create(&self, ask: &Ask, identity: &Identity, body: &mut Incoming) -> Answered {
        let sent = self.object(ask, body, "buckets").await?;
        let text = |name: &str| sent.get(name).and_then(Json::as_str).unwrap_or_default();
        let name = text("name");
        let illegal = |why: &str| ask.bad(&format!("buckets - illegal bucket name: {why}"));
        let (database, policy) = bucket_place(name).map_err(|why| illegal(&why))?;
        let policy = policy.ok_or_else(|| illegal(&format!("{name:?}")))?;
        let other = text("rp");
        if !other.is_empty() && other != policy {
            return Err(ask.bad(&format!(
                "buckets - two retention policies specified: {policy:?} differs from {other:?}"
            )));
        }
        identity
            .authorize_bucket(&self.catalog, &Privilege::Admin, "create", name)
            .map_err(|denied| self.denied(ask, denied))?;
        let (duration_ns, shard_duration_ns) = durations(&sent);
        let spec = PolicySpec {
            name: Some(policy.to_owned()),
            duration_ns: Some(duration_ns),
            shard_duration_ns: Some(shard_duration_ns),
            replicas: None,
        };
        let (store, place) = (self.store.clone(), database.to_owned());
        let making = tokio::task::spawn_blocking(move || {
            if store.retention_policies(&place).is_ok() {
                store.create_policy(&place, &spec, false)
            } else {
                store.create_database(&place, Some(&spec))
            }
        });
        finished(making).await.map_err(|error| {
            ask.bad(&format!("buckets - cannot create bucket {name:?}: {error}"))
        })?;
        let (database, policy) = self.find(ask, name)?;
        let mut response = json(bucket(&database, &policy));
        *response.status_mut() = StatusCode::CREATED;
        Ok(response)
    }

    /// `GET`, `DELETE` and `PATCH` of one bucket.
    pub(super) async fn bucket(
        &self,
        ask: &Ask,
        identity: Identity,
        name: &str,
        body: &mut Incoming,
    ) -> Response<Body> {
        let answered = match ask.method {
            Method::DELETE => self.drop_bucket(ask, identity, name).await,
            Method::PATCH => self.update_bucket(ask, &identity, name, body).await,
            _ => self.show_bucket(ask, &identity, name),
        };
        let (Ok(response) | Err(response)) = answered;
        response
    }

    fn show_bucket(&self, ask: &Ask, identity: &Identity, name: &str) -> Answered {
        let (database, _) = place(ask, name)?;
        self.may_read(ask, identity, database)?;
        let (database, policy) = self.find(ask, name)?;
        Ok(json(bucket(&database, &policy)))
    }

    async fn drop_bucket(&self, ask: &Ask, identity: Identity, name: &str) -> Answered {
        place(ask, name)?;
        identity
            .authorize_bucket(&self.catalog, &Privilege::Admin, "delete", name)
            .map_err(|denied| self.denied(ask, denied))?;
        let (database, policy) = self.find(ask, name).map_err(|_| {
            let text = format!("delete bucket - not found: {name:?}");
            ask.error(StatusCode::NOT_FOUND, &text)
        })?;
        let context = Context {
            database: Some(database.clone()),
            now_ns: now_ns(),
            ..Context::default()
        };
        // With it goes what the catalog has of it.
        let statement = Statement::DropRetentionPolicy(DropRetentionPolicy {
            name: policy.name,
            database,
        });
        let runner = self.runner.clone();
        let dropping = tokio::task::spawn_blocking(move || {
            runner.execute(&statement, &context, &identity, &mut Unheard)
        });
        match finished(dropping).await {
            Ok(()) => Ok(empty(StatusCode::OK)),
            Err(error) => Err(ask.bad(&format!("delete bucket {name:?}: {error}"))),
        }
    }

    async fn update_bucket(
        &self,
        ask: &Ask,
        identity: &Identity,
        name: &str,
        body: &mut Incoming,
    ) -> Answered {
        place(ask, name)?;
        identity
            .authorize_bucket(&self.catalog, &Privilege::Admin, "modify", name)
            .map_err(|denied| self.denied(ask, denied))?;
        let sent = self.object(ask, body, "update bucket").await?;
        let (database, policy) = self.find(ask, name)?;
        let (duration_ns, shard_duration_ns) = durations(&sent);
        let change = PolicyChange {
            duration_ns: Some(duration_ns),
            shard_duration_ns: Some(shard_duration_ns),
            ..PolicyChange::default()
        };
        let store = self.store.clone();
        let changing = tokio::task::spawn_blocking(move || {
            store.alter_policy(&database, &policy.name, &change)
        });
        let changed = finished(changing).await;
        changed.map_err(|error| ask.bad(&format!("update bucket {name:?}: {error}")))?;
        let (database, policy) = self.find(ask, name)?;
        Ok(json(bucket(&database, &policy)))
    }

    fn may_read(
        &self,
        ask: &Ask,
        identity: &Identity,
        database: &str,
    ) -> Result<(), Response<Body>> {
        let privilege = Privilege::Read(Some(database.to_owned()));
        identity
            .authorize_bucket(&self.catalog, &privilege, "read", database)
            .map_err(|denied| self.denied(ask, denied))
    }

    /// The bucket of this name; an error is the answer.
    fn find(&self, ask: &Ask, name: &str) -> Result<(String, RetentionPolicy), Response<Body>> {
        let missing = |text: &str| ask.error(StatusCode::NOT_FOUND, text);
        let (database, policy) =
            bucket_place(name).map_err(|why| missing(&format!("bucket {name:?}: {why}")))?;
        let policies = match self.store.retention_policies(database) {
            Ok(policies) => policies,
            Err(StoreError::DatabaseNotFound(_)) => Vec::new(),
            Err(error) => {
                return Err(ask.error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()));
            }
        };
        let mut found = policies.into_iter().filter(|found| match policy {
            Some(policy) => found.name == policy,
            None => found.is_default,
        });
        match found.next() {
            Some(policy) => Ok((database.to_owned(), policy)),
            None => Err(missing(&format!("bucket not found: {name:?}"))),
        }
    }

    /// Reads a body, a JSON object.
    async fn object(
        &self,
        ask: &Ask,
        body: &mut Incoming,
        what: &str,
    ) -> Result<Map<String, Json>, Response<Body>> {
        let bytes_max = BODY_BYTES_MAX.min(self.config.body_bytes_max);
        let sent = read_body(body, bytes_max, self.config.pace()).await;
        let sent = sent.map_err(|error| {
            let (status, text) = body_answer(&error);
            ask.error(status, &text)
        })?;
        serde_json::from_slice(&sent.into_bytes())
            .map_err(|error| ask.bad(&format!("{what} - cannot parse request body: {error}")))
    }
}

/// The place that a path names; it has to name the policy too.
fn place<'a>(ask: &Ask, name: &'a str) -> Result<(&'a str, &'a str), Response<Body>> {
    let bad = |why: &str| ask.bad(&format!("bucket {name:?}: {why}"));
    let (database, policy) = bucket_place(name).map_err(|why| bad(&why))?;
    let policy = policy.ok_or_else(|| bad("illegal bucket id, empty retention policy"))?;
    Ok((database, policy))
}

/// The durations in a body, in nanoseconds: of the policy, and of its shards. None is for ever.
fn durations(sent: &Map<String, Json>) -> (i64, i64) {
    let rule = sent
        .get("retentionRules")
        .and_then(Json::as_array)
        .and_then(|rules| rules.first());
    let nanos = |name: &str| {
        let seconds = rule.and_then(|rule| rule.get(name)).and_then(Json::as_i64);
        seconds.unwrap_or(0).saturating_mul(SECOND_NS)
    };
    (nanos("everySeconds"), nanos("shardGroupDurationSeconds"))
}

/// A bucket as JSON.
fn bucket(database: &str, policy: &RetentionPolicy) -> Vec<u8> {
    let name = format!("{database}/{}", policy.name);
    let mut out = b"{\"description\":\"\",\"name\":".to_vec();
    write_json_string(&mut out, name.as_bytes());
    let every = policy.duration_ns / SECOND_NS;
    let shard = policy.shard_duration_ns / SECOND_NS;
    let rules = format!(
        ",\"retentionRules\":[{{\"type\":\"\",\"everySeconds\":{every},\"shardGroupDurationSeconds\":{shard}}}],\
         \"orgId\":\"\",\"schemaType\":\"implicit\",\"id\":"
    );
    out.extend_from_slice(rules.as_bytes());
    write_json_string(&mut out, name.as_bytes());
    out.extend_from_slice(b",\"type\":\"\",\"rp\":");
    write_json_string(&mut out, policy.name.as_bytes());
    let never = ",\"createdAt\":\"0001-01-01T00:00:00Z\",\"updatedAt\":\"0001-01-01T00:00:00Z\"}";
    out.extend_from_slice(never.as_bytes());
    out
}

fn shown(buckets: &[Vec<u8>]) -> Response<Body> {
    let mut out = b"{\"buckets\":[".to_vec();
    out.extend(buckets.join(&b','));
    out.extend_from_slice(b"]}");
    json(out)
}

fn json(body: Vec<u8>) -> Response<Body> {
    full(StatusCode::OK, "application/json", body)
}
