//! `/query`: reads go to one backend that is not behind, statements that change something go to all
//! of them, in order with the writes.
//!
//! A backend is behind for a database while hints for it wait: it would answer with holes, as one would that gets
//! a part of the lines only. A read that one backend does not answer is asked of the next; the first part of an
//! answer is held back for that, and the rest streams. A change takes the way of a batch: it queues up at every
//! backend at once, and one that is away gets it through its log.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tandem_http::{
    Answer, Body, Call, Client, ClientConfig, ClientTls, HeaderValue, Incoming, Method, Params,
    Payload, Request, Response, StatusCode, Streamed, discard_body, error_json, header,
    percent_encode, read_body, stream,
};
use tandem_influxql::ast::{SelectStatement, Statement};
use tandem_influxql::{Privilege, parse_query};

use crate::answer::Level;
use crate::backend::Backend;
use crate::batch::{Head, Target};
use crate::config::Config;
use crate::receive::ReceiveError;
use crate::route::Route;
use crate::scope::{Kind, Scope, domain};
use crate::service::Service;
use crate::write::{pass, unavailable};

/// A form that holds a query.
const FORM_BYTES_MAX: usize = 1 << 20;
/// So much of an answer is held back, so that another backend can be asked when it breaks off.
const BEGUN_BYTES_MAX: usize = 1 << 20;
/// Pieces of an answer between its backend and its client.
const PIECES_MAX: usize = 4;
/// An answer that is read whole: by the comparer.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// A client that reads nothing for so long loses its answer.
const STALL_MAX: Duration = Duration::from_secs(60);
/// How long one backend may take for a read.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const FORM: &str = "application/x-www-form-urlencoded";

/// A client for reads, whose bounds are not those of writes.
pub(crate) fn reader(config: &Config, tls: ClientTls) -> Client {
    Client::new(ClientConfig {
        connect_timeout: config.connect_timeout,
        connections_max: config.connections_max,
        tls,
        request_timeout: READ_TIMEOUT,
        answer_bytes_max: ANSWER_BYTES_MAX,
        network: config.network.clone(),
        ..ClientConfig::default()
    })
}

/// What a query does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Read,
    Change(Scope),
    /// It names something by a number that each store gives out for itself.
    OfOneStore,
}

impl Service {
    /// Answers one query.
    pub(crate) async fn query(self: &Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let url_query = head.uri.query().unwrap_or_default().to_owned();
        let mut form = Bytes::new();
        if head.method == Method::POST {
            let stall_max = self.receiver.body_stall_max;
            form = match read_body(body, FORM_BYTES_MAX, stall_max).await {
                Ok(payload) => payload.into_bytes(),
                Err(error) => return error_json(StatusCode::BAD_REQUEST, &error.to_string()),
            };
        } else {
            discard_body(body, FORM_BYTES_MAX, self.receiver.body_stall_max).await;
        }
        let is_form = head.headers.get(header::CONTENT_TYPE).is_some_and(is_form);
        let mut params = Params::default();
        if is_form {
            params.extend(&String::from_utf8_lossy(&form));
        }
        params.extend(&url_query);
        let text = params.get("q").unwrap_or_default();
        let database = params.get("db").unwrap_or_default();
        match deed(text, database) {
            Deed::OfOneStore => error_json(
                StatusCode::BAD_REQUEST,
                "tandem relay: this statement names something of one store by its number; send it to that store",
            ),
            Deed::Read => {
                let target = format!("/query?{url_query}");
                let mut call = match head.method {
                    Method::POST => Call::post(target, vec![form.clone()], true),
                    _ => Call::get(target),
                };
                for name in [
                    header::AUTHORIZATION,
                    header::CONTENT_TYPE,
                    header::ACCEPT,
                    header::ACCEPT_ENCODING,
                ] {
                    if let Some(value) = head.headers.get(&name) {
                        call.headers.insert(name, value.clone());
                    }
                }
                self.read(call, &form, &Reach::of(text, database)).await
            }
            Deed::Change(scope) => {
                let mut change = Head {
                    target: Target::Query,
                    query: without_text(&params),
                    scope,
                    ..Head::default()
                };
                change.take_headers(&head.headers);
                change.content_type = Some(FORM.as_bytes().to_vec());
                let form = format!("q={}", percent_encode(text));
                match self.receiver.statement(change, form.into()).await {
                    Ok(batch) => self.relay(batch, Level::Kept).await,
                    Err(error @ ReceiveError::Busy) => unavailable(&error.to_string()),
                    Err(error) => error_json(error.status(), &error.to_string()),
                }
            }
        }
    }

    /// Asks one backend after another, of those that have everything.
    async fn read(&self, call: Call, form: &Bytes, reach: &Reach) -> Response<Body> {
        let mut why = Vec::new();
        for backend in self.backends().iter() {
            let link = backend.link();
            let Some(names) = reach.at(&link.route) else {
                why.push(format!("{} gets a part of the lines only", backend.name));
                continue;
            };
            if is_behind(backend, &names) {
                why.push(format!("{} is behind", backend.name));
                continue;
            }
            let mut call = call.clone();
            if link.route.forget_credentials {
                call.headers.remove(header::AUTHORIZATION);
                rewrite(&mut call, form, |head| head.forget_credentials());
            }
            if let (Some(own), Some(Some(name))) = (&reach.database, names.first())
                && own != name
            {
                rewrite(&mut call, form, |head| head.rename_database(name));
            }
            match link.reader.open(&link.url, &call, BEGUN_BYTES_MAX).await {
                Ok(answer) if answer.status.is_server_error() => {
                    why.push(format!("{} answers {}", backend.name, answer.status));
                }
                Ok(answer) => {
                    let mut response = flow(answer);
                    if let Ok(name) = HeaderValue::try_from(&backend.name) {
                        response.headers_mut().insert("x-tandem-backend", name);
                    }
                    return response;
                }
                Err(error) => why.push(format!("{}: {error}", backend.name)),
            }
        }
        unavailable(&format!(
            "tandem relay: no backend can be asked: {}",
            why.join("; ")
        ))
    }
}

/// The databases that a read looks into.
struct Reach {
    /// That of the request.
    database: Option<String>,
    /// Those that the text names.
    others: Vec<String>,
    /// The text cannot be looked into, so it may be any.
    is_any: bool,
}

impl Reach {
    fn of(text: &str, database: &str) -> Self {
        let parsed = parse_query(text, &tandem_influxql::Params::new());
        let mut others = Vec::new();
        let statements = parsed.as_ref().map(|query| &query.statements[..]);
        for statement in statements.unwrap_or_default() {
            for privilege in statement.required_privileges() {
                if let Privilege::Read(Some(name)) = privilege {
                    others.push(name);
                }
            }
        }
        Self {
            database: Some(database.to_owned()).filter(|name| !name.is_empty()),
            others,
            is_any: parsed.is_err(),
        }
    }

    /// The names of these databases at a backend, that of the request first, `None` for all of them; or nothing if
    /// it does not get all that is written to them.
    fn at(&self, route: &Route) -> Option<Vec<Option<String>>> {
        let named = self.database.iter().chain(&self.others);
        let mut names = Vec::new();
        for name in named {
            names.push(Some(route.whole(name)?));
        }
        if names.is_empty() || self.is_any {
            names.push(None);
        }
        Some(names)
    }
}

/// Changes the parameters of a read, wherever they stand.
fn rewrite(call: &mut Call, form: &Bytes, change: impl Fn(&mut Head)) {
    let changed = |query: String| {
        let mut head = Head {
            query,
            ..Head::default()
        };
        change(&mut head);
        head.query
    };
    let query = call
        .target
        .split_off("/query?".len().min(call.target.len()));
    call.target.push_str(&changed(query));
    let is_form = call.headers.get(header::CONTENT_TYPE).is_some_and(is_form);
    if is_form && let Ok(text) = std::str::from_utf8(form) {
        call.body = vec![changed(text.to_owned()).into()];
    }
}

fn is_form(value: &HeaderValue) -> bool {
    let value = value.as_bytes().to_ascii_lowercase();
    value.starts_with(FORM.as_bytes())
}

/// An answer on its way to the client: what has come, and then the rest as it comes.
fn flow(mut answer: Streamed) -> Response<Body> {
    let begun = std::mem::take(&mut answer.begun);
    if answer.is_whole() {
        let (status, headers) = (answer.status, std::mem::take(&mut answer.headers));
        return pass(&Answer {
            status,
            headers,
            body: begun,
        });
    }
    let (writer, body) = stream(PIECES_MAX, STALL_MAX, Arc::default());
    let mut response = pass(&Answer {
        status: answer.status,
        headers: std::mem::take(&mut answer.headers),
        body: Payload::default(),
    });
    *response.body_mut() = body;
    tokio::spawn(async move {
        for piece in begun.into_chunks() {
            if writer.push(piece).await.is_err() {
                return;
            }
        }
        // When it breaks off, so does what the client gets.
        while let Ok(piece) = answer.piece().await {
            let Some(piece) = piece else {
                let _ = writer.end().await;
                return;
            };
            if writer.push(piece).await.is_err() {
                return;
            }
        }
    });
    response
}

/// Whether hints wait that the answer would need.
pub(crate) fn is_behind(backend: &Backend, names: &[Option<String>]) -> bool {
    let waits = |name: &Option<String>| {
        let everything = Scope {
            kind: Kind::Destroy,
            domain: name.as_deref().map(domain),
            lanes: 0,
        };
        backend.lanes.is_spilled(everything)
    };
    backend.queue.pending().0 > 0 && names.iter().any(waits)
}

/// All parameters but the text of the query.
fn without_text(params: &Params) -> String {
    let mut seen = Vec::new();
    let mut pairs = Vec::new();
    for (key, value) in params.iter().filter(|(key, _)| *key != "q") {
        // The first one counts.
        if !seen.contains(&key) {
            seen.push(key);
            pairs.push(format!("{}={}", percent_encode(key), percent_encode(value)));
        }
    }
    pairs.join("&")
}

/// What the text does. One that cannot be parsed changes nothing if it begins like a read; a
/// backend says then what is wrong with it.
fn deed(text: &str, database: &str) -> Deed {
    let Ok(query) = parse_query(text, &tandem_influxql::Params::new()) else {
        let first = text.split_whitespace().next().unwrap_or_default();
        let reads = ["", "select", "show", "explain"];
        let writes_into = text.to_ascii_lowercase().contains("into");
        if reads.contains(&first.to_ascii_lowercase().as_str()) && !writes_into {
            return Deed::Read;
        }
        return Deed::Change(Scope {
            kind: Kind::Destroy,
            domain: None,
            lanes: 0,
        });
    };
    let mut kind = Kind::Make;
    let mut places: Vec<Option<&str>> = Vec::new();
    let changes = query
        .statements
        .iter()
        .filter(|statement| !statement.is_read_only());
    for statement in changes {
        if matches!(
            statement,
            Statement::KillQuery(_) | Statement::DropShard { .. }
        ) {
            return Deed::OfOneStore;
        }
        if destroys(statement) {
            kind = Kind::Destroy;
        }
        places.push(place(statement, database));
    }
    let Some(&first) = places.first() else {
        return Deed::Read;
    };
    let same = places.iter().all(|place| *place == first);
    Deed::Change(Scope {
        kind,
        domain: first.filter(|_| same).map(domain),
        lanes: 0,
    })
}

/// Whether its outcome depends on the points that are there.
const fn destroys(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Select(_)
            | Statement::Explain(_)
            | Statement::Delete(_)
            | Statement::DropSeries(_)
            | Statement::DropMeasurement { .. }
            | Statement::DropDatabase { .. }
            | Statement::DropRetentionPolicy(_)
    )
}

/// The one database that a statement concerns; `None` when that is not to be said.
fn place<'a>(statement: &'a Statement, database: &'a str) -> Option<&'a str> {
    match statement {
        Statement::Delete(_) | Statement::DropSeries(_) | Statement::DropMeasurement { .. } => {
            Some(database)
        }
        Statement::DropDatabase { name } => Some(name),
        Statement::CreateDatabase(create) => Some(&create.name),
        Statement::CreateRetentionPolicy(create) => Some(&create.database),
        Statement::AlterRetentionPolicy(alter) => Some(&alter.database),
        Statement::DropRetentionPolicy(drop) => Some(&drop.database),
        Statement::Select(select) => within(select, database),
        _ => None,
    }
}

/// The database of a `SELECT … INTO` that reads from where it writes to.
fn within<'a>(select: &'a SelectStatement, database: &'a str) -> Option<&'a str> {
    let text = select.to_string();
    let into = select.into.as_ref()?;
    // What names a database anywhere else is not looked into.
    let elsewhere = text.contains("..") || text.matches('.').count() > 0;
    match &into.database {
        None if !elsewhere => Some(database),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_told_apart() {
        let change = |kind, database: Option<&str>| {
            Deed::Change(Scope {
                kind,
                domain: database.map(domain),
                lanes: 0,
            })
        };
        for (text, want) in [
            ("SELECT mean(v) FROM m", Deed::Read),
            ("SHOW DATABASES; SHOW USERS", Deed::Read),
            ("", Deed::Read),
            ("SELECT FROM", Deed::Read),
            ("FROB x", change(Kind::Destroy, None)),
            ("CREATE DATABASE x", change(Kind::Make, Some("x"))),
            (
                "CREATE DATABASE x; CREATE DATABASE y",
                change(Kind::Make, None),
            ),
            ("CREATE USER u WITH PASSWORD 'p'", change(Kind::Make, None)),
            ("DROP MEASUREMENT m", change(Kind::Destroy, Some("d"))),
            (
                "DELETE FROM m WHERE time < 5",
                change(Kind::Destroy, Some("d")),
            ),
            ("DROP DATABASE x", change(Kind::Destroy, Some("x"))),
            (
                "SELECT mean(v) INTO n FROM m",
                change(Kind::Destroy, Some("d")),
            ),
            (
                "SELECT mean(v) INTO x..n FROM m",
                change(Kind::Destroy, None),
            ),
            ("KILL QUERY 5", Deed::OfOneStore),
            ("DROP SHARD 5", Deed::OfOneStore),
        ] {
            assert_eq!(deed(text, "d"), want, "{text}");
        }
    }

    #[test]
    fn a_read_reaches_every_database_that_its_text_names() {
        let names = |text: &str, route: &Route| Reach::of(text, "d").at(route);
        let some = |name: &str| Some(name.to_owned());
        let whole = Route::default();
        assert_eq!(names("SELECT v FROM m", &whole), Some(vec![some("d")]));
        let elsewhere = names("SELECT v FROM e..m", &whole).unwrap();
        assert!(elsewhere.contains(&some("e")), "{elsewhere:?}");
        assert!(names("SELECT", &whole).unwrap().contains(&None));
        let renamed = Route {
            rename: [("d".into(), "x".into())].into(),
            ..Route::default()
        };
        assert_eq!(names("SELECT v FROM m", &renamed), Some(vec![some("x")]));
        for part in [
            Route {
                measurements: vec!["m".into()],
                ..Route::default()
            },
            Route {
                databases: vec!["e*".into()],
                ..Route::default()
            },
        ] {
            assert_eq!(names("SELECT v FROM m", &part), None);
        }
    }

    #[test]
    fn the_form_and_the_url_become_one_query_string() {
        let mut params = Params::parse("q=DROP DATABASE x&db=form");
        params.extend("db=url&epoch=ns&u=a%20b");
        assert_eq!(without_text(&params), "db=form&epoch=ns&u=a%20b");
    }
}
