//! `tandem compact`

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use tandem_store::{Options, Store};
use tandem_vfs::RealFs;

use super::du::Usage;
use super::{check_store_dir, text};

/// Options of `tandem compact`.
#[derive(Debug, Args)]
pub(crate) struct CompactArgs {}

pub(super) fn run(_: &CompactArgs, dir: &Path) -> anyhow::Result<()> {
    check_store_dir(dir)?;
    if !dir.join("manifest").is_dir() {
        anyhow::bail!(
            "{} holds no store; name the directory of one with --data-dir",
            dir.display()
        );
    }
    let size = || Usage::of(dir).with_context(|| format!("count the bytes of {}", dir.display()));
    let before = size()?.total();
    let start = Instant::now();
    let options = Options {
        background: false,
        ..Options::default()
    };
    let store = Store::open(Arc::new(RealFs), dir, options)
        .with_context(|| format!("open the store in {}", dir.display()))?;
    store
        .compact()
        .with_context(|| format!("compact the store in {}; nothing is lost", dir.display()))?;
    store
        .close()
        .with_context(|| format!("close the store in {}; nothing is lost", dir.display()))?;
    drop(store);
    let after = size()?.total();
    text::print(format_args!(
        "{}: {} in {} files became {} in {} files in {:.1} s",
        dir.display(),
        text::bytes(before.apparent),
        text::count(before.files),
        text::bytes(after.apparent),
        text::count(after.files),
        start.elapsed().as_secs_f64()
    ));
    Ok(())
}
