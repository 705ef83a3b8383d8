//! What is typed: settings of the shell, its commands, and statements for the server.
//!
//! Messages are those of `influx` where it has one. Output goes to standard output; that nobody reads it any more is
//! no error.

use std::io::{self, Write};

use anyhow::{Context, bail};

use super::chart;
use super::render::{Answer, Format};
use super::server::{Into, Server};

const HELP: &str = "Usage:
        connect <host:port>   connects to another server
        auth                  asks for user and password
        use <db>[.<rp>]       sets the database and the retention policy
        clear db|rp           forgets them
        insert [into <rp>] <line>   writes a point of line protocol
        chart <select>        draws the first number of each series
        format <format>       column, csv or json
        precision <unit>      of times: rfc3339, h, m, s, ms, u or ns
        consistency <level>   of writes: any, one, quorum or all
        pretty                JSON with indentation, or without
        chunked               answers in chunks, or whole
        chunk size <rows>     of a chunk; 0 for the server's default
        settings              shows all these
        history               shows what was typed
        exit, quit, ctrl+d

        Everything else is InfluxQL: show databases, show measurements, show tag keys, show field keys, select …";

/// What the shell keeps between two lines.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) database: String,
    pub(super) retention_policy: String,
    pub(super) format: Format,
    /// One of [`PRECISIONS`].
    pub(super) precision: &'static str,
    pub(super) consistency: &'static str,
    pub(super) pretty: bool,
    pub(super) chunked: bool,
    /// Rows; 0 for the server's default.
    pub(super) chunk_size: u64,
}

const PRECISIONS: [&str; 7] = ["rfc3339", "h", "m", "s", "ms", "u", "ns"];
const CONSISTENCIES: [&str; 4] = ["any", "one", "quorum", "all"];

impl Settings {
    pub(super) fn new(
        database: &str,
        format: &str,
        precision: &str,
        consistency: &str,
        pretty: bool,
    ) -> anyhow::Result<Self> {
        let precision = match precision {
            "" => "ns",
            name => known(&PRECISIONS, name).with_context(|| unknown_precision(name))?,
        };
        Ok(Self {
            database: database.to_owned(),
            retention_policy: String::new(),
            format: Format::parse(format).with_context(|| unknown_format(format))?,
            precision,
            consistency: known(&CONSISTENCIES, consistency)
                .with_context(|| unknown_consistency(consistency))?,
            pretty,
            chunked: true,
            chunk_size: 0,
        })
    }

    /// The unit of times on the wire.
    pub(super) fn epoch(&self) -> &'static str {
        match self.precision {
            "rfc3339" => "ns",
            unit => unit,
        }
    }
}

fn known(names: &[&'static str], name: &str) -> Option<&'static str> {
    names
        .iter()
        .copied()
        .find(|known| known.eq_ignore_ascii_case(name))
}

fn unknown_format(name: &str) -> String {
    format!("Unknown format {name:?}. Please use json, csv, or column.")
}

fn unknown_precision(name: &str) -> String {
    format!("Unknown precision {name:?}. Please use rfc3339, h, m, s, ms, u or ns.")
}

fn unknown_consistency(name: &str) -> String {
    format!("Unknown consistency level {name:?}. Please use any, one, quorum, or all.")
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Prompt,
    Exit,
}

/// A server and how to speak with it.
#[derive(Debug)]
pub(super) struct Session {
    server: Server,
    settings: Settings,
}

impl Session {
    pub(super) fn new(server: Server, settings: Settings) -> Self {
        Self { server, settings }
    }

    /// What to say about the server at the start.
    pub(super) fn connect(&self) -> anyhow::Result<String> {
        let at = self.server.address.shown();
        let version = self.server.ping().with_context(|| {
            format!("no store answers at {at}; -host and -port name another place")
        })?;
        Ok(format!("Connected to {at} version {version}"))
    }

    pub(super) fn database(&self) -> &str {
        &self.settings.database
    }

    /// Runs a text from outside the prompt: `insert` and statements.
    pub(super) fn execute(&self, text: &str) -> bool {
        if word(text).0.eq_ignore_ascii_case("insert") {
            return self.insert(word(text).1);
        }
        self.query(text)
    }

    /// Runs a line from the prompt.
    pub(super) fn line(&mut self, line: &str) -> After {
        let line = line.trim().trim_end_matches(';');
        let (command, rest) = word(line);
        match command.to_ascii_lowercase().as_str() {
            "exit" | "quit" => return After::Exit,
            "help" => say(HELP),
            "connect" => self.reconnect(rest),
            "auth" => self.authenticate(),
            "settings" => self.show(),
            "use" => self.use_database(rest),
            "clear" => self.clear(rest),
            "format" => match Format::parse(rest) {
                Some(format) => self.settings.format = format,
                None => say(&unknown_format(rest)),
            },
            "precision" => match known(&PRECISIONS, rest) {
                Some(unit) => self.settings.precision = unit,
                None => say(&unknown_precision(rest)),
            },
            "consistency" => match known(&CONSISTENCIES, rest) {
                Some(level) => self.settings.consistency = level,
                None => say(&unknown_consistency(rest)),
            },
            "pretty" => {
                self.settings.pretty = !self.settings.pretty;
                say(&format!("Pretty print {}", switched(self.settings.pretty)));
            }
            "chunked" => {
                self.settings.chunked = !self.settings.chunked;
                say(&format!(
                    "chunked responses {}",
                    switched(self.settings.chunked)
                ));
            }
            "chunk" => self.set_chunk_size(rest),
            "insert" => {
                self.insert(rest);
            }
            "chart" => self.chart(rest),
            _ => {
                self.query(line);
            }
        }
        After::Prompt
    }

    fn query(&self, text: &str) -> bool {
        let answer = match self.server.query(text, &self.settings) {
            Ok(answer) => answer,
            Err(error) => {
                say(&format!("ERR: {error:#}"));
                return false;
            }
        };
        let mut out = io::BufWriter::new(io::stdout().lock());
        let written = answer.write(self.settings.format, self.settings.pretty, &mut out);
        // Nobody reads it any more.
        let _ = written.and_then(|()| out.flush());
        drop(out);
        self.tell_error(&answer)
    }

    /// False when there is one.
    fn tell_error(&self, answer: &Answer) -> bool {
        let Some(error) = answer.error() else {
            return true;
        };
        say(&format!("ERR: {error}"));
        if self.settings.database.is_empty() {
            say("Warning: It is possible this error is due to not setting a database.");
            say("Please set a database with the command \"use <database>\".");
        }
        false
    }

    fn insert(&self, rest: &str) -> bool {
        let (into, line) = match self.insert_target(rest) {
            Ok(target) => target,
            Err(why) => {
                say(&format!("ERR: {why:#}"));
                return false;
            }
        };
        if line.is_empty() {
            return true;
        }
        let written = self.server.write(line, &self.settings, &into);
        if let Err(why) = &written {
            say(&format!("ERR: {why:#}"));
        }
        written.is_ok()
    }

    /// `[into [db.]rp] line`.
    fn insert_target<'a>(&self, rest: &'a str) -> anyhow::Result<(Into, &'a str)> {
        let mut into = Into {
            database: self.settings.database.clone(),
            retention_policy: self.settings.retention_policy.clone(),
        };
        let mut line = rest;
        if word(rest).0.eq_ignore_ascii_case("into") {
            let (first, after) = name(word(rest).1).context("insert into: a name is expected")?;
            let (second, after) = match after.strip_prefix('.') {
                Some(after) => {
                    let (second, after) =
                        name(after).context("a name is expected after the dot")?;
                    (Some(second), after)
                }
                None => (None, after),
            };
            match second {
                Some(policy) => {
                    into.database = first;
                    into.retention_policy = policy;
                }
                None => into.retention_policy = first,
            }
            line = after.trim_start();
        }
        if into.database.is_empty() {
            bail!("database name required; set one with the command \"use <database>\"");
        }
        Ok((into, line))
    }

    fn use_database(&mut self, rest: &str) {
        let parsed = name(rest).and_then(|(database, after)| match after.strip_prefix('.') {
            Some(after) => name(after).map(|(policy, after)| (database, policy, after)),
            None => Some((database, String::new(), after)),
        });
        let Some((database, policy, "")) = parsed else {
            say(&format!(
                "Could not parse database name from {:?}.",
                format!("use {rest}").trim()
            ));
            return;
        };
        let listed = |statement: &str, wanted: &str| -> anyhow::Result<bool> {
            let answer = self.server.query(statement, &self.settings)?;
            if let Some(error) = answer.error() {
                bail!(error.to_owned());
            }
            Ok(answer.texts("name").iter().any(|found| found == wanted))
        };
        match listed("SHOW DATABASES", &database) {
            Ok(true) => {}
            Ok(false) => {
                say(&format!(
                    "ERR: Database {database} doesn't exist. Run SHOW DATABASES for a list of existing databases."
                ));
                return;
            }
            Err(error) => {
                say(&format!("ERR: {error:#}"));
                return;
            }
        }
        if !policy.is_empty() {
            let quoted = database.replace('\\', r"\\").replace('"', "\\\"");
            match listed(&format!("SHOW RETENTION POLICIES ON \"{quoted}\""), &policy) {
                Ok(true) => {}
                Ok(false) => {
                    say(&format!(
                        "ERR: Retention policy {policy} doesn't exist in {database}. Run SHOW RETENTION POLICIES for a list of them."
                    ));
                    return;
                }
                Err(error) => {
                    say(&format!("ERR: {error:#}"));
                    return;
                }
            }
        }
        say(&format!("Using database {database}"));
        if !policy.is_empty() {
            say(&format!("Using retention policy {policy}"));
        }
        self.settings.database = database;
        self.settings.retention_policy = policy;
    }

    fn clear(&mut self, rest: &str) {
        match rest.to_ascii_lowercase().as_str() {
            "db" | "database" => {
                self.settings.database.clear();
                self.settings.retention_policy.clear();
                say("database context cleared");
            }
            "rp" | "retention policy" => {
                self.settings.retention_policy.clear();
                say("retention policy context cleared");
            }
            _ => say("clear db, or clear rp"),
        }
    }

    fn set_chunk_size(&mut self, rest: &str) {
        let (size, number) = word(rest);
        match (size.eq_ignore_ascii_case("size"), number.parse()) {
            (true, Ok(rows)) => {
                self.settings.chunk_size = rows;
                say(&format!("chunk size set to {rows}"));
            }
            _ => say(&format!("unable to parse chunk size from {rest:?}")),
        }
    }

    fn reconnect(&mut self, rest: &str) {
        let mut address = self.server.address.clone();
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()),
            None => (rest, Some(8086)),
        };
        let Some(port) = port.filter(|_| !host.is_empty()) else {
            say(&format!("Could not parse host and port from {rest:?}."));
            return;
        };
        (address.host, address.port) = (host.to_owned(), port);
        self.replace_server(address);
    }

    fn authenticate(&mut self) {
        let mut address = self.server.address.clone();
        let asked = read_line("username: ").and_then(|user| Ok((user, read_secret("password: ")?)));
        match asked {
            Ok((user, password)) => {
                (address.username, address.password) = (user, password);
                self.replace_server(address);
            }
            Err(error) => say(&format!("ERR: {error:#}")),
        }
    }

    /// Stays with the one that it has when the other does not answer.
    fn replace_server(&mut self, address: super::server::Address) {
        let replaced =
            Server::new(address).map(|server| std::mem::replace(&mut self.server, server));
        let before = match replaced {
            Ok(before) => before,
            Err(error) => return say(&format!("ERR: {error:#}")),
        };
        match self.connect() {
            Ok(greeting) => say(&greeting),
            Err(error) => {
                say(&format!("ERR: {error:#}"));
                self.server = before;
            }
        }
    }

    fn chart(&self, text: &str) {
        let settings = Settings {
            precision: "ms",
            ..self.settings.clone()
        };
        match self.server.query(text, &settings) {
            Ok(answer) => {
                if self.tell_error(&answer) {
                    say(&chart::draw(&answer, chart::terminal_width()));
                }
            }
            Err(error) => say(&format!("ERR: {error:#}")),
        }
    }

    fn show(&self) {
        let chunk_size = self.settings.chunk_size.to_string();
        say("Setting           Value\n--------          --------");
        for (setting, value) in [
            ("Host", self.server.address.authority().as_str()),
            ("Username", &self.server.address.username),
            ("Database", &self.settings.database),
            ("RetentionPolicy", &self.settings.retention_policy),
            (
                "Pretty",
                if self.settings.pretty {
                    "true"
                } else {
                    "false"
                },
            ),
            ("Format", self.settings.format.name()),
            ("Precision", self.settings.precision),
            ("Write Consistency", self.settings.consistency),
            (
                "Chunked",
                if self.settings.chunked {
                    "true"
                } else {
                    "false"
                },
            ),
            ("Chunk Size", &chunk_size),
        ] {
            say(&format!("{setting:<18}{value}"));
        }
    }

    /// What may be completed: measurements, tag keys, fields of the database; nothing when they cannot be had.
    pub(super) fn names(&self) -> Names {
        let settings = Settings {
            chunked: true,
            ..self.settings.clone()
        };
        let ask = |statement: &str, column: &str| match self.settings.database.is_empty() {
            true => Vec::new(),
            false => self
                .server
                .query(statement, &settings)
                .map(|answer| answer.texts(column))
                .unwrap_or_default(),
        };
        let mut names = ask("SHOW MEASUREMENTS LIMIT 1000", "name");
        names.extend(ask("SHOW TAG KEYS LIMIT 1000", "tagKey"));
        names.extend(ask("SHOW FIELD KEYS LIMIT 1000", "fieldKey"));
        let databases = self
            .server
            .query("SHOW DATABASES", &settings)
            .map(|answer| answer.texts("name"));
        names.extend(databases.unwrap_or_default());
        names.sort_unstable();
        names.dedup();
        Names {
            of_database: self.settings.database.clone(),
            names,
        }
    }
}

/// Names that statements may hold, and the database that they are of.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) of_database: String,
    pub(super) names: Vec<String>,
}

/// Whether a line is better not kept.
pub(super) fn holds_secret(line: &str) -> bool {
    line.to_ascii_lowercase().contains("password")
}

/// The first word, and what follows it without space around.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(char::is_whitespace)
        .map_or((text, ""), |(first, rest)| (first, rest.trim()))
}

/// A name, in double quotes or bare, and what follows it.
fn name(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text
            .find(|c: char| c == '.' || c.is_whitespace())
            .unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        return (!name.is_empty()).then(|| (name.to_owned(), rest));
    };
    let mut name = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return quoted.get(at + 1..).map(|rest| (name, rest)),
            '\\' => name.push(chars.next()?.1),
            c => name.push(c),
        }
    }
    None
}

fn switched(on: bool) -> &'static str {
    if on { "enabled" } else { "disabled" }
}

fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn read_line(prompt: &str) -> anyhow::Result<String> {
    let mut editor = rustyline::DefaultEditor::new()?;
    Ok(editor.readline(prompt)?.trim().to_owned())
}

/// Reads a line that does not show on the terminal.
pub(super) fn read_secret(prompt: &str) -> anyhow::Result<String> {
    let mut editor: rustyline::Editor<super::complete::Hidden, rustyline::history::MemHistory> =
        rustyline::Editor::with_history(
            rustyline::Config::default(),
            rustyline::history::MemHistory::new(),
        )?;
    editor.set_helper(Some(super::complete::Hidden));
    Ok(editor.readline(prompt)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_bare_or_in_quotes() {
        assert_eq!(name("a.b"), Some(("a".into(), ".b")));
        assert_eq!(name(r#""a b\"".c d"#), Some(("a b\"".into(), ".c d")));
        assert_eq!(name(r#""open"#), None);
        assert_eq!(name(""), None);
    }

    #[test]
    fn words_lose_the_space_around() {
        assert_eq!(word("  insert   a b=1 "), ("insert", "a b=1"));
        assert_eq!(word("exit"), ("exit", ""));
    }

    #[test]
    fn settings_know_their_values() {
        let settings = Settings::new("", "CSV", "", "ALL", false).unwrap();
        assert_eq!((settings.format, settings.precision), (Format::Csv, "ns"));
        for (format, precision, consistency) in
            [("x", "", "all"), ("csv", "x", "all"), ("csv", "", "x")]
        {
            assert!(Settings::new("", format, precision, consistency, false).is_err());
        }
    }

    #[test]
    fn passwords_are_no_history() {
        assert!(holds_secret("CREATE USER a WITH PASSWORD 'x'"));
        assert!(!holds_secret("SHOW USERS"));
    }
}
