//! `[agent]`: when is gathered and sent, and what every line bears.

use std::time::Duration;

use super::TelegrafError;
use super::section::{Section, is_none, is_text};
use crate::config::{Config, Hostname};

const IN_BYTES: &str = "requests and what waits are bounded in bytes; memory-bytes-max and spool-bytes-max say how many";
const SPOOL: &str = "what cannot be sent always waits on disk, under the data directory";
const LOG: &str = "the log goes to standard error, which a service manager keeps";

/// Reads it.
pub(super) fn read(section: &mut Section<'_>, config: &mut Config) -> Result<(), TelegrafError> {
    section.duration("interval", &mut config.interval)?;
    section.duration("collection_jitter", &mut config.jitter)?;
    section.duration("collection_offset", &mut config.offset)?;
    let mut precision = Duration::ZERO;
    section.duration("precision", &mut precision)?;
    if !precision.is_zero() {
        config.precision = Some(precision);
    }
    // Telegraf sends when this passed; here lines are sent at once, unless they are sampled more often.
    let mut flush_interval = config.interval;
    section.duration("flush_interval", &mut flush_interval)?;
    if flush_interval > config.interval {
        config.output.flush_interval = flush_interval;
    }
    section.duration("flush_jitter", &mut config.output.flush_jitter)?;
    let mut hostname = String::new();
    section.text("hostname", &mut hostname)?;
    if !hostname.is_empty() {
        config.hostname = Hostname::Is(hostname);
    }
    let mut omit = false;
    section.boolean("omit_hostname", &mut omit)?;
    if omit {
        config.hostname = Hostname::Omit;
    }
    section.leave_out_unless(
        "round_interval",
        |value| value.as_bool() == Some(true),
        "gathers are always aligned",
    );
    for key in ["metric_batch_size", "metric_buffer_limit"] {
        section.leave_out(key, IN_BYTES);
    }
    section.leave_out_unless("buffer_strategy", is_text("disk_write_through"), SPOOL);
    section.leave_out("buffer_directory", SPOOL);
    section.leave_out_unless(
        "buffer_disk_sync",
        |value| value.as_bool() == Some(true),
        "what waits on disk is always synced",
    );
    section.leave_out_unless(
        "debug",
        is_none,
        "the option --log-filter debug asks for that",
    );
    section.leave_out_unless(
        "quiet",
        is_none,
        "the option --log-filter error asks for that",
    );
    section.leave_out_unless(
        "logformat",
        is_text("text"),
        "the option --log-format json asks for that",
    );
    section.leave_out_unless("logtarget", is_text("stderr"), LOG);
    for key in [
        "logfile",
        "logfile_rotation_interval",
        "logfile_rotation_max_size",
        "log_with_timezone",
        "structured_log_message_key",
    ] {
        section.leave_out_unless(key, is_none, LOG);
    }
    section.leave_out("logfile_rotation_max_archives", LOG);
    section.leave_out("snmp_translator", "there is no collector for SNMP");
    section.leave_out_unless("statefile", is_none, "no collector keeps a state in a file");
    for key in ["always_include_local_tags", "always_include_global_tags"] {
        section.leave_out_unless(
            key,
            is_none,
            "taginclude and tagexclude go over these tags, too",
        );
    }
    section.leave_out(
        "skip_processors_after_aggregators",
        "there are neither processors nor aggregators",
    );
    section.finish();
    Ok(())
}
