//! `tandem shell`: a prompt for InfluxQL that works as `influx` does, so that fingers and scripts need not relearn.
//!
//! Commands of the shell itself are in [`session`], what goes over HTTP in [`server`], how answers look in [`render`].
//! With `-execute`, or when standard input is no terminal, one text is run and the exit code tells whether the server took
//! it. Options may have one dash or two, as `influx` has them.

mod chart;
mod complete;
mod render;
mod server;
mod session;

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use rustyline::error::ReadlineError;

use crate::commands;
use session::{After, Session};

/// Options of `tandem shell`.
#[derive(Debug, Args)]
pub(crate) struct ShellArgs {
    /// Host to connect to
    #[arg(long, value_name = "HOST", default_value = "localhost")]
    host: String,
    /// Port to connect to
    #[arg(long, value_name = "PORT", default_value_t = 8086)]
    port: u16,
    /// Path under which the server answers, behind a proxy
    #[arg(long = "path-prefix", value_name = "PATH", default_value = "")]
    path_prefix: String,
    /// Database to use
    #[arg(long, value_name = "NAME", default_value = "")]
    database: String,
    /// User; INFLUX_USERNAME when not given
    #[arg(long, value_name = "NAME", env = "INFLUX_USERNAME", default_value = "")]
    username: String,
    /// Password; asked for when empty; INFLUX_PASSWORD when not given
    #[arg(
        long,
        value_name = "TEXT",
        env = "INFLUX_PASSWORD",
        hide_env_values = true,
        num_args = 0..=1,
        default_missing_value = ""
    )]
    password: Option<String>,
    /// Use https
    #[arg(long)]
    ssl: bool,
    /// Take any certificate of the server
    #[arg(long = "unsafeSsl", alias = "unsafe-ssl")]
    unsafe_ssl: bool,
    /// Run this and end
    #[arg(long, value_name = "TEXT")]
    execute: Option<String>,
    /// How answers look: column, csv or json
    #[arg(long, value_name = "FORMAT", default_value = "column")]
    format: String,
    /// How times look: rfc3339, h, m, s, ms, u or ns
    #[arg(long, value_name = "UNIT", default_value = "")]
    precision: String,
    /// Consistency of writes: any, one, quorum or all
    #[arg(long, value_name = "LEVEL", default_value = "all")]
    consistency: String,
    /// JSON with indentation
    #[arg(long)]
    pretty: bool,
    /// Write the export that --path names to the server, and end
    #[arg(long)]
    import: bool,
    /// File to import
    #[arg(long, value_name = "FILE", requires = "import")]
    path: Option<PathBuf>,
    /// The file is compressed; noticed without it as well
    #[arg(long, requires = "import")]
    compressed: bool,
    /// Points per second of an import at most; 0 for as many as can be
    #[arg(long, value_name = "COUNT", default_value_t = 0, requires = "import")]
    pps: u64,
}

/// Makes `-execute` into `--execute`: options of more than one letter may have one dash.
pub(crate) fn with_two_dashes(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut arguments: Vec<String> = arguments.collect();
    if arguments.get(1).is_none_or(|command| command != "shell") {
        return arguments;
    }
    let mut value_follows = false;
    for argument in arguments.iter_mut().skip(2) {
        let name = argument
            .strip_prefix('-')
            .filter(|name| !value_follows && name.len() > 1 && !name.starts_with('-'))
            .map(|name| format!("--{name}"));
        if let Some(name) = name {
            *argument = name;
        }
        // The text of -execute may begin with a dash itself.
        value_follows = argument == "--execute";
    }
    arguments
}

/// Runs the shell to its end. False: a statement failed, and its error has been told.
pub(crate) fn run(args: &ShellArgs) -> anyhow::Result<bool> {
    let password = match (&args.password, args.username.is_empty()) {
        (Some(password), _) if !password.is_empty() => password.clone(),
        (Some(_), false) => ask_password()?,
        _ => String::new(),
    };
    let at = server::Address {
        host: args.host.clone(),
        port: args.port,
        path_prefix: args.path_prefix.clone(),
        https: args.ssl,
        insecure: args.unsafe_ssl,
        username: args.username.clone(),
        password,
    };
    if args.import {
        let path = args.path.as_deref().context("-import needs -path FILE")?;
        let precision = match args.precision.as_str() {
            "" | "ns" | "rfc3339" => "n",
            unit => unit,
        };
        commands::import_file(path, &at.url(), &args.database, precision, args.pps)?;
        return Ok(true);
    }
    let mut session = Session::new(
        server::Server::new(at)?,
        session::Settings::new(
            &args.database,
            &args.format,
            &args.precision,
            &args.consistency,
            args.pretty,
        )?,
    );
    if let Some(text) = &args.execute {
        return Ok(session.execute(text));
    }
    if !std::io::stdin().is_terminal() {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("read standard input")?;
        return Ok(session.execute(text.trim()));
    }
    prompt(&mut session)?;
    Ok(true)
}

fn ask_password() -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() {
        bail!("-password is empty, and there is no terminal to ask for it");
    }
    session::read_secret("password: ").context("read the password")
}

/// Reads lines with history and completion until the end of input.
fn prompt(session: &mut Session) -> anyhow::Result<()> {
    println!("{}", session.connect()?);
    println!("tandem shell {}", env!("CARGO_PKG_VERSION"));
    let config = rustyline::Config::builder()
        .max_history_size(1000)?
        .auto_add_history(false)
        .completion_type(rustyline::CompletionType::List)
        .build();
    let mut editor: rustyline::Editor<complete::Completer, rustyline::history::DefaultHistory> =
        rustyline::Editor::with_config(config)?;
    editor.set_helper(Some(complete::Completer::default()));
    let history = history_file();
    if let Some(path) = &history {
        // A first start has none.
        let _ = editor.load_history(path);
    }
    loop {
        if let Some(helper) = editor.helper_mut()
            && helper.is_old(session.database())
        {
            helper.learn(session.names());
        }
        let line = match editor.readline("> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error).context("read a line"),
        };
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        // A statement with a password in it stays out of the file.
        if !session::holds_secret(line) {
            editor.add_history_entry(line)?;
        }
        if line.eq_ignore_ascii_case("history") {
            for entry in editor.history() {
                println!("{entry}");
            }
            continue;
        }
        if matches!(session.line(line), After::Exit) {
            break;
        }
    }
    if let Some(path) = &history
        && let Err(error) = editor.save_history(path)
    {
        eprintln!(
            "tandem: the history is not kept: {}: {error}",
            path.display()
        );
    }
    Ok(())
}

/// `~/.tandem_history`; none for who has no home.
fn history_file() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
    Some(PathBuf::from(home).join(".tandem_history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dashes(text: &str) -> String {
        let arguments = text.split(' ').map(str::to_owned);
        with_two_dashes(arguments).join(" ")
    }

    #[test]
    fn one_dash_is_enough_for_the_shell_alone() {
        assert_eq!(
            dashes("tandem shell -execute -1 -format csv --pretty -h"),
            "tandem shell --execute -1 --format csv --pretty -h"
        );
        assert_eq!(dashes("tandem store -http x"), "tandem store -http x");
        assert_eq!(dashes("tandem"), "tandem");
    }
}
