//! `tandem inspect`

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use serde_json::{Value as Json, json};
use tandem_store::{DatabaseUse, Inspection, MeasurementUse, ShardUse};
use tandem_vfs::RealFs;

use super::du::Usage;
use super::{check_store_dir, text};

/// Options of `tandem inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &InspectArgs, dir: &Path) -> anyhow::Result<()> {
    check_store_dir(dir)?;
    let inspection = tandem_store::inspect(&(Arc::new(RealFs) as _), dir)
        .with_context(|| format!("inspect {}", dir.display()))?;
    let usage = Usage::of(dir).with_context(|| format!("count the bytes of {}", dir.display()))?;
    if args.json {
        text::print(format_args!("{:#}", as_json(&inspection, &usage)));
    } else {
        text::print(as_text(&inspection, &usage, dir).trim_end());
    }
    if !inspection.damaged.is_empty() {
        anyhow::bail!(
            "{} files are missing or damaged and were not counted; `tandem verify` tells more",
            inspection.damaged.len()
        );
    }
    Ok(())
}

fn as_text(inspection: &Inspection, usage: &Usage, dir: &Path) -> String {
    let mut out = format!("{}\n\n", dir.display());
    let total = usage.total();
    let kinds = usage
        .kinds
        .iter()
        .map(|(kind, bytes)| (kind.name(), *bytes));
    let rows: Vec<[String; 4]> = kinds
        .chain([("all, as du counts it", total)])
        .map(|(name, bytes)| {
            [
                name.into(),
                text::count(bytes.files),
                text::count(bytes.apparent),
                text::count(bytes.allocated),
            ]
        })
        .collect();
    let head = ["", "files", "bytes", "on disk"];
    out.push_str(&text::table("  ", head, 1, &rows));
    let wal = &inspection.wal;
    let _ = write!(
        out,
        "\n  WAL: {} in records, {} rows that are not yet in block files\n",
        text::bytes(wal.bytes),
        text::count(wal.rows)
    );
    for database in &inspection.databases {
        database_text(database, &mut out);
    }
    for (file, what) in &inspection.damaged {
        let _ = writeln!(out, "\n  {}: {what}", file.display());
    }
    out
}

fn database_text(database: &DatabaseUse, out: &mut String) {
    let _ = write!(
        out,
        "\ndatabase {} ({}): {} series, index {} in {} files\n",
        database.name,
        database.dir.display(),
        text::count(database.series),
        text::bytes(database.index.1),
        database.index.0
    );
    for (policy, shards) in &database.policies {
        let _ = writeln!(
            out,
            "  retention policy {}: keeps {}, shards of {}{}",
            policy.name,
            match policy.duration_ns {
                0 => "for ever".to_owned(),
                ns => duration(ns),
            },
            duration(policy.shard_duration_ns),
            if policy.is_default { ", default" } else { "" }
        );
        let rows: Vec<[String; 8]> = shards.iter().map(shard_row).collect();
        if !rows.is_empty() {
            let head = [
                "shard", "from", "to", "files", "bytes", "series", "rows", "values",
            ];
            out.push_str(&text::table("    ", head, 3, &rows));
        }
    }
    for measurement in &database.measurements {
        measurement_text(measurement, out);
    }
}

fn shard_row(shard: &ShardUse) -> [String; 8] {
    let deletions = match shard.tombstones {
        0 => String::new(),
        count => format!(" ({count} deletions)"),
    };
    [
        format!("{}{deletions}", shard.id),
        text::time(shard.range.min_ns),
        text::time(shard.range.max_ns.saturating_add(1)),
        text::count(shard.files.0),
        text::count(shard.files.1),
        text::count(shard.series),
        text::count(shard.rows),
        text::count(shard.values),
    ]
}

fn measurement_text(measurement: &MeasurementUse, out: &mut String) {
    let _ = writeln!(
        out,
        "  measurement {}: {} series, {} rows, {}",
        text::name(&measurement.name),
        text::count(measurement.series),
        text::count(measurement.rows),
        text::bytes(measurement.bytes)
    );
    let mut rows = vec![column_row(
        "time",
        "",
        measurement.rows,
        measurement.time_bytes,
        measurement.rows * 8,
    )];
    for column in &measurement.columns {
        let name = text::name(&column.name);
        let (values, raw) = (column.values, column.raw_bytes);
        let field_type = column.field_type.name();
        rows.push(column_row(&name, field_type, values, column.bytes, raw));
    }
    let columns: u64 = measurement.columns.iter().map(|c| c.bytes).sum();
    let rest = measurement.bytes - columns - measurement.time_bytes;
    let mut overhead = column_row("(series and chunk directory)", "", 0, rest, 0);
    overhead[2].clear();
    rows.push(overhead);
    let head = ["field", "type", "values", "bytes", "bytes/value", "ratio"];
    out.push_str(&text::table("    ", head, 2, &rows));
}

/// Name, type, values, bytes, bytes for each value, and how much smaller they are than uncompressed.
fn column_row(name: &str, field_type: &str, values: u64, bytes: u64, raw: u64) -> [String; 6] {
    let quotient = |a: u64, b: u64, digits: usize| match b {
        0 => String::new(),
        _ => format!("{:.digits$}", a as f64 / b as f64),
    };
    [
        name.into(),
        field_type.into(),
        text::count(values),
        text::count(bytes),
        quotient(bytes, values, 3),
        if raw == 0 {
            String::new()
        } else {
            quotient(raw, bytes, 1)
        },
    ]
}

/// A duration in the largest unit that it is a multiple of.
fn duration(ns: i64) -> String {
    let units = [
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
    ];
    let whole = units.iter().find(|(_, unit)| ns % unit == 0);
    whole.map_or_else(
        || format!("{ns}ns"),
        |(name, unit)| format!("{}{name}", ns / unit),
    )
}

fn as_json(inspection: &Inspection, usage: &Usage) -> Json {
    let bytes = |b: &super::du::Bytes| json!({"files": b.files, "apparent_bytes": b.apparent, "allocated_bytes": b.allocated});
    let kinds = usage.kinds.iter();
    let kinds: serde_json::Map<String, Json> = kinds
        .map(|(k, b)| (k.name().to_owned(), bytes(b)))
        .collect();
    let damaged = inspection.damaged.iter();
    json!({
        "total": bytes(&usage.total()),
        "kinds": kinds,
        "wal": {
            "segments": inspection.wal.files,
            "record_bytes": inspection.wal.bytes,
            "rows": inspection.wal.rows,
        },
        "manifest": {"segments": inspection.manifest.0, "bytes": inspection.manifest.1},
        "databases": inspection.databases.iter().map(database_json).collect::<Vec<_>>(),
        "damaged": damaged.map(|(file, what)| json!({"file": file, "what": what})).collect::<Vec<_>>(),
    })
}

fn database_json(database: &DatabaseUse) -> Json {
    let policies = database.policies.iter().map(|(policy, shards)| {
        json!({
            "name": policy.name,
            "default": policy.is_default,
            "duration_ns": policy.duration_ns,
            "shard_duration_ns": policy.shard_duration_ns,
            "shards": shards.iter().map(shard_json).collect::<Vec<_>>(),
        })
    });
    let measurements = database.measurements.iter().map(|m| {
        let columns = m.columns.iter().map(|c| {
            json!({
                "name": text::name(&c.name),
                "type": c.field_type.name(),
                "values": c.values,
                "bytes": c.bytes,
                "raw_bytes": c.raw_bytes,
            })
        });
        json!({
            "name": text::name(&m.name),
            "series": m.series,
            "rows": m.rows,
            "bytes": m.bytes,
            "time_bytes": m.time_bytes,
            "columns": columns.collect::<Vec<_>>(),
        })
    });
    json!({
        "name": database.name,
        "dir": database.dir,
        "series": database.series,
        "index": {"files": database.index.0, "bytes": database.index.1},
        "policies": policies.collect::<Vec<_>>(),
        "measurements": measurements.collect::<Vec<_>>(),
    })
}

fn shard_json(shard: &ShardUse) -> Json {
    json!({
        "id": shard.id,
        "start_ns": shard.range.min_ns,
        "end_ns": shard.range.max_ns,
        "first_row_ns": shard.data.map(|d| d.min_ns),
        "last_row_ns": shard.data.map(|d| d.max_ns),
        "files": shard.files.0,
        "bytes": shard.files.1,
        "rows": shard.rows,
        "values": shard.values,
        "series": shard.series,
        "tombstones": shard.tombstones,
    })
}
