//! Whole files: written, read back, damaged, measured.

mod damage;
mod model;
mod round_trip;
mod size;

use std::path::Path;

use tandem_model::ShardId;
use tandem_vfs::{RealFs, Vfs};

use super::{BlockFile, Header};

const SECOND: i64 = 1_000_000_000;
const START: i64 = 1_700_000_000 * SECOND;
const HEADER: Header = Header {
    shard: ShardId(7),
    level: 2,
    min_seq: 100,
    max_seq: 250,
};

fn open(path: &Path) -> BlockFile {
    let file = RealFs.open_read(path).unwrap();
    BlockFile::open(file, path).unwrap()
}
