//! Whole files: written, read back, damaged, measured.

mod damage;
mod model;
mod round_trip;
mod size;

use std::path::Path;
use std::sync::Arc;

use tandem_model::ShardId;
use tandem_vfs::RealFs;

use super::{BlockFile, Handles, Header};

const SECOND: i64 = 1_000_000_000;
const START: i64 = 1_700_000_000 * SECOND;
const HEADER: Header = Header {
    shard: ShardId(7),
    level: 2,
    min_seq: 100,
    max_seq: 250,
};

fn open(path: &Path) -> BlockFile {
    let handles = Handles::new(Arc::new(RealFs), 8);
    BlockFile::open(&Arc::new(handles), path).unwrap()
}
