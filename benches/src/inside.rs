//! `tandem-benches inside`: the store's own work without network, client and process, to see and profile where time goes.
//!
//! One thread parses lines alone, then writes the same bodies to a store in this process, then settles it.
//! Nothing here is a figure to reach: those are measured from outside, over HTTP.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tandem_model::Precision;
use tandem_store::{Options, Store, WriteRequest};
use tandem_vfs::RealFs;

use crate::args::Args;
use crate::bodies::Bodies;
use tandem_benches::generate::{Numbers, Shape};
use tandem_benches::paths::parse;

const DATABASE: &str = "telegraf";

/// Measures every shape and prints.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let cpu = |hosts, numbers| Shape::Cpu { hosts, numbers };
    let shapes = [
        cpu(100, Numbers::Integers),
        cpu(4_000, Numbers::Integers),
        cpu(100, Numbers::TwoDecimals),
        cpu(100, Numbers::Full),
        Shape::Fleet,
    ];
    for shape in shapes {
        let name = shape.name();
        if !args.wants(&name) {
            continue;
        }
        let values = if args.quick { 2_000_000 } else { 20_000_000 };
        let bodies = Bodies::prepare(&args.work.join("bodies"), shape, values, false)?;
        let dir = args.work.join(format!("inside-{}", std::process::id()));
        let measured = measure(&bodies, &dir);
        std::fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))?;
        println!("{name}: {}", measured?);
    }
    Ok(())
}

fn measure(bodies: &Bodies, dir: &Path) -> anyhow::Result<String> {
    let (mut body, mut bytes, mut values) = (Vec::new(), 0, 0);
    let (mut parsing, mut writing) = (Duration::ZERO, Duration::ZERO);
    let store = Store::open(Arc::new(RealFs), dir, Options::default())?;
    store.create_database(DATABASE, None)?;
    let request = WriteRequest {
        database: DATABASE,
        retention_policy: None,
        precision: Precision::Nanosecond,
        now_ns: 0,
    };
    let mut pattern = None;
    for at in bodies.index() {
        body.clear();
        bodies.read(at, &mut body)?;
        bytes += body.len();
        values += at.values;
        let begun = Instant::now();
        parse(&body, &mut pattern)?;
        parsing += begun.elapsed();
        let begun = Instant::now();
        store.write(&request, &body)?;
        writing += begun.elapsed();
    }
    let begun = Instant::now();
    store.close()?;
    let settling = begun.elapsed();
    let (bytes, values) = (bytes as f64, values as f64);
    let rate = |time: Duration| values / time.as_secs_f64() / 1e6;
    Ok(format!(
        "lines parsed {:.2} GB/s, {:.1} M values/s; written {:.2} M values/s; closed in {:.2} s",
        bytes / parsing.as_secs_f64() / 1e9,
        rate(parsing),
        rate(writing),
        settling.as_secs_f64(),
    ))
}
