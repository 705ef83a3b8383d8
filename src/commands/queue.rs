//! `tandem relay queue`: what waits for the backends of a relay, and dead letters on their way back.
//!
//! All but `requeue` and `bury` only read and work beside a running relay.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use tandem_http::Url;
use tandem_relay::offline::{self, Part, QueueSummary, Waiting};
use tandem_vfs::{Clock, RealFs, SystemClock, Vfs};

use super::text;

/// Tools beside the relay itself.
#[derive(Debug, Subcommand)]
pub(crate) enum RelayTool {
    /// Look into the queues of a relay
    #[command(subcommand)]
    Queue(QueueCommand),
}

/// What to do with a queue.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Each queue: what waits, what is held, dead letters, gaps
    Ls {
        /// As JSON: the gap list in full
        #[arg(long)]
        json: bool,
    },
    /// Check every checksum and every record; exit code 1 when there is a fault
    Verify,
    /// Print batches as line protocol, with a comment before each
    Dump(Which),
    /// Send batches to a server, in order; they stay in the queue
    Replay {
        #[command(flatten)]
        which: Which,
        /// http://[USER:PASSWORD@]HOST:PORT
        #[arg(long)]
        to: String,
    },
    /// Put dead letters back into their queue; the relay must be stopped
    Requeue {
        /// The backend's name
        name: String,
        /// Only those for this database
        #[arg(long)]
        database: Option<String>,
    },
    /// Make dead letters of what is held, so that what waits behind it goes on; the relay must be stopped
    Bury {
        /// The backend's name
        name: String,
        /// Only what is held of this database
        #[arg(long)]
        database: Option<String>,
        /// Only what this user sent; '' for batches without credentials
        #[arg(long)]
        user: Option<String>,
    },
}

/// Which batches of a queue; without an option, those that wait: hints and held ones.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The backend's name
    name: String,
    /// Dead letters instead
    #[arg(long)]
    dead: bool,
    /// Only what is held until an operator mends something
    #[arg(long, conflicts_with = "dead")]
    held: bool,
}

impl Which {
    fn parts(&self) -> &'static [Part] {
        match (self.dead, self.held) {
            (true, _) => &[Part::Dead],
            (_, true) => &[Part::Held],
            _ => &[Part::Held, Part::Hints],
        }
    }
}

/// Runs a tool to its end.
pub(crate) fn run(tool: &RelayTool, dir: &Path) -> anyhow::Result<()> {
    let RelayTool::Queue(command) = tool;
    let vfs: Arc<dyn Vfs> = Arc::new(RealFs);
    let dir = queues_dir(&*vfs, dir)?;
    match command {
        QueueCommand::Ls { json } => ls(&*vfs, &dir, *json),
        QueueCommand::Verify => verify(&*vfs, &dir),
        QueueCommand::Dump(which) => dump(&*vfs, &dir, which),
        QueueCommand::Replay { which, to } => replay(vfs, &dir, which, to),
        QueueCommand::Requeue { name, database } => {
            check(&*vfs, &dir, name)?;
            let count = offline::requeue(&vfs, &dir, name, database.as_deref())
                .with_context(|| format!("requeue the dead letters of {name}"))?;
            text::print(format_args!(
                "{name}: {} dead letters are back in the queue",
                text::count(count)
            ));
            Ok(())
        }
        QueueCommand::Bury {
            name,
            database,
            user,
        } => {
            check(&*vfs, &dir, name)?;
            let (database, user) = (database.as_deref(), user.as_deref());
            let now_ns = SystemClock.now_ns();
            let count = offline::bury(&vfs, &dir, name, database, user, now_ns)
                .with_context(|| format!("bury what is held of {name}"))?;
            text::print(format_args!(
                "{name}: {} held batches are dead letters",
                text::count(count)
            ));
            Ok(())
        }
    }
}

/// The directory that holds the queues: the one given, or that of the relay of `tandem up` in it.
fn queues_dir(vfs: &dyn Vfs, dir: &Path) -> anyhow::Result<PathBuf> {
    for dir in [dir.to_owned(), dir.join("relay")] {
        if offline::names(vfs, &dir).is_ok_and(|names| !names.is_empty()) {
            return Ok(dir);
        }
    }
    bail!(
        "{} holds no queue; name the directory of a relay with --data-dir",
        dir.display()
    )
}

fn check(vfs: &dyn Vfs, dir: &Path, name: &str) -> anyhow::Result<()> {
    let names = offline::names(vfs, dir)?;
    if !names.iter().any(|known| known == name) {
        bail!(
            "there is no queue {name:?}; there are: {}",
            names.join(", ")
        );
    }
    Ok(())
}

fn summaries(vfs: &dyn Vfs, dir: &Path) -> anyhow::Result<Vec<QueueSummary>> {
    let names = offline::names(vfs, dir)?;
    let summary = |name: &String| {
        offline::summary(vfs, dir, name).with_context(|| format!("read the queue {name}"))
    };
    names.iter().map(summary).collect()
}

fn ls(vfs: &dyn Vfs, dir: &Path, json: bool) -> anyhow::Result<()> {
    let queues = summaries(vfs, dir)?;
    if json {
        let part =
            |(batches, bytes): (u64, u64)| serde_json::json!({"batches": batches, "bytes": bytes});
        let queue = |queue: &QueueSummary| {
            serde_json::json!({
                "name": queue.name,
                "hints": part(queue.parts[0]),
                "held": part(queue.parts[1]),
                "dead": part(queue.parts[2]),
                "oldest_ns": queue.oldest_ns,
                "held_databases": queue.held,
                "gaps": queue.gaps,
                "faults": queue.faults,
            })
        };
        let all: Vec<_> = queues.iter().map(queue).collect();
        text::print(format_args!("{}", serde_json::Value::from(all)));
        return Ok(());
    }
    for queue in &queues {
        let [hints, held, dead] = queue.parts.map(|(batches, bytes)| {
            format!("{} batches, {}", text::count(batches), text::bytes(bytes))
        });
        text::print(format_args!("{}", queue.name));
        text::print(format_args!("  waiting  {hints}"));
        let held = format!("{held}  {}", queue.held.join(" "));
        text::print(format_args!("  held     {}", held.trim_end()));
        text::print(format_args!("  dead     {dead}"));
        for gap in &queue.gaps {
            text::print(format_args!(
                "  gap      {} points of {}{}{} from {} to {} ns: {}",
                text::count(gap.points),
                gap.database,
                if gap.retention_policy.is_empty() {
                    ""
                } else {
                    "."
                },
                gap.retention_policy,
                gap.first_ns,
                gap.last_ns,
                gap.reason
            ));
        }
        for fault in &queue.faults {
            text::print(format_args!("  fault    {fault}"));
        }
    }
    Ok(())
}

fn verify(vfs: &dyn Vfs, dir: &Path) -> anyhow::Result<()> {
    let mut faults = 0;
    for queue in summaries(vfs, dir)? {
        for fault in &queue.faults {
            text::print(format_args!("fault: {}: {fault}", queue.name));
        }
        faults += queue.faults.len();
        let batches: u64 = queue.parts.iter().map(|(batches, _)| batches).sum();
        text::print(format_args!(
            "{}: {} batches checked: {}",
            queue.name,
            text::count(batches),
            if queue.faults.is_empty() {
                "all good"
            } else {
                "damaged"
            }
        ));
    }
    if faults > 0 {
        bail!("what is damaged is lost for that backend; the other stores have it");
    }
    Ok(())
}

fn dump(vfs: &dyn Vfs, dir: &Path, which: &Which) -> anyhow::Result<()> {
    check(vfs, dir, &which.name)?;
    let mut out = std::io::stdout().lock();
    let mut written = Ok(());
    let mut each = |waiting: Waiting| {
        if written.is_ok() {
            written = print_batch(&mut out, &waiting);
        }
    };
    let mut faults = Vec::new();
    offline::visit(vfs, dir, &which.name, which.parts(), &mut faults, &mut each)?;
    for fault in faults {
        eprintln!("fault: {fault}");
    }
    match written {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("print"),
    }
}

fn print_batch(out: &mut impl Write, waiting: &Waiting) -> std::io::Result<()> {
    writeln!(
        out,
        "# {:?} {} db={} rp={} precision={} user={} lines={} received={} {}",
        waiting.part,
        waiting.sequence,
        waiting.database,
        waiting.retention_policy,
        waiting.precision,
        waiting.user.as_deref().unwrap_or(""),
        waiting.lines,
        waiting.received_ns,
        waiting.reason.as_deref().unwrap_or("").replace('\n', " "),
    )?;
    let body = waiting.text();
    if waiting.is_lines() {
        out.write_all(&body)?;
        if !body.ends_with(b"\n") {
            writeln!(out)?;
        }
    } else {
        writeln!(out, "# {} bytes that are no lines", body.len())?;
    }
    Ok(())
}

fn replay(vfs: Arc<dyn Vfs>, dir: &Path, which: &Which, to: &str) -> anyhow::Result<()> {
    check(&*vfs, dir, &which.name)?;
    let url = Url::parse(to).context("--to")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let replaying = offline::replay(vfs, dir, &which.name, which.parts(), &url);
    let replayed = runtime.block_on(replaying)?;
    for (sequence, answer) in &replayed.refused {
        text::print(format_args!("refused: {sequence}: {answer}"));
    }
    text::print(format_args!(
        "{} batches stored",
        text::count(replayed.stored)
    ));
    if !replayed.refused.is_empty() {
        bail!("{} batches were refused", replayed.refused.len());
    }
    Ok(())
}
