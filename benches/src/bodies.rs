//! Bodies of a load, made before anything is measured and kept in a file.
//!
//! The file is a row of `length u32, values u32, bytes`; it is written beside its name and renamed when
//! whole, and used again by the next run: its name says all that decides on its bytes.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, ensure};
use flate2::{Compression, write::GzEncoder};

use tandem_benches::generate::Shape;

/// Changes when a generator does, so that files of the one before are not used.
const GENERATION: u32 = 1;
const HEAD_BYTES: u64 = 8;

/// A load in a file.
#[derive(Debug)]
pub(crate) struct Bodies {
    file: File,
    index: Vec<Body>,
    /// Whether the bodies are gzip streams.
    pub(crate) zipped: bool,
}

/// Where a body is and what it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body {
    offset: u64,
    pub(crate) len_bytes: usize,
    pub(crate) values: u64,
}

impl Bodies {
    /// At least `values_min` values of a load, from the file in `dir` or newly made.
    pub(crate) fn prepare(
        dir: &Path,
        shape: Shape,
        values_min: u64,
        zipped: bool,
    ) -> anyhow::Result<Self> {
        let gz = if zipped { ".gz" } else { "" };
        let path = dir.join(format!("{}-{values_min}-v{GENERATION}{gz}", shape.name()));
        if !path.exists() {
            println!("  making {}", path.display());
            fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
            let temporary = path.with_extension("tmp");
            make(&temporary, shape, values_min, zipped)
                .with_context(|| format!("make {}", temporary.display()))?;
            fs::rename(&temporary, &path)
                .with_context(|| format!("rename to {}", path.display()))?;
        }
        let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        let index = index(&file).with_context(|| format!("read {}; remove it", path.display()))?;
        Ok(Self {
            file,
            index,
            zipped,
        })
    }

    /// The bodies in order.
    pub(crate) fn index(&self) -> &[Body] {
        &self.index
    }

    /// Values of all bodies.
    pub(crate) fn values(&self) -> u64 {
        self.index.iter().map(|body| body.values).sum()
    }

    /// Leaves away the bodies that are not needed to have `values`.
    pub(crate) fn truncate(&mut self, values: u64) {
        let mut sum = 0;
        self.index.retain(|body| {
            let needed = sum < values;
            sum += body.values;
            needed
        });
    }

    /// Appends the bytes of a body to `out`.
    pub(crate) fn read(&self, body: &Body, out: &mut Vec<u8>) -> std::io::Result<()> {
        let start = out.len();
        out.resize(start + body.len_bytes, 0);
        self.file.read_exact_at(&mut out[start..], body.offset)
    }
}

fn make(path: &Path, shape: Shape, values_min: u64, zipped: bool) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut generator = shape.generator();
    let (mut plain, mut sum) = (Vec::new(), 0);
    while sum < values_min {
        plain.clear();
        let values = generator.body(&mut plain);
        sum += values;
        let bytes = if zipped {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&plain)?;
            encoder.finish()?
        } else {
            std::mem::take(&mut plain)
        };
        file.write_all(&u32::try_from(bytes.len())?.to_le_bytes())?;
        file.write_all(&u32::try_from(values)?.to_le_bytes())?;
        file.write_all(&bytes)?;
        if !zipped {
            plain = bytes;
        }
    }
    // So that nothing is written back while a server is measured.
    file.into_inner()?.sync_all()?;
    Ok(())
}

fn index(file: &File) -> anyhow::Result<Vec<Body>> {
    let file_bytes = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(HEAD_BYTES as usize, file);
    let (mut bodies, mut offset) = (Vec::new(), 0);
    while offset < file_bytes {
        let mut head = [0; HEAD_BYTES as usize];
        reader.read_exact(&mut head)?;
        let [length, values] = [0, 4]
            .map(|at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
        offset += HEAD_BYTES;
        bodies.push(Body {
            offset,
            len_bytes: length as usize,
            values: u64::from(values),
        });
        offset += u64::from(length);
        reader.seek_relative(i64::from(length))?;
    }
    ensure!(offset == file_bytes, "the last body is cut off");
    Ok(bodies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_come_back_as_they_were_made_and_the_file_is_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let shape = Shape::Series { count: 7 };
        let mut wanted = Vec::new();
        shape.generator().body(&mut wanted);
        for zipped in [false, true] {
            let mut bodies = Bodies::prepare(dir.path(), shape, 9_000, zipped).unwrap();
            assert_eq!((bodies.index().len(), bodies.values()), (2, 10_000));
            let again = Bodies::prepare(dir.path(), shape, 9_000, zipped).unwrap();
            let mut got = Vec::new();
            again.read(&again.index()[0], &mut got).unwrap();
            if zipped {
                let mut plain = Vec::new();
                let mut decoder = flate2::read::GzDecoder::new(&got[..]);
                decoder.read_to_end(&mut plain).unwrap();
                got = plain;
            }
            assert_eq!(got, wanted);
            bodies.truncate(5_000);
            assert_eq!(bodies.values(), 5_000);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_that_is_cut_off_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let shape = Shape::Series { count: 7 };
        drop(Bodies::prepare(dir.path(), shape, 1, false).unwrap());
        let path = fs::read_dir(dir.path())
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let file = File::options().write(true).open(path).unwrap();
        file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        Bodies::prepare(dir.path(), shape, 1, false).unwrap_err();
    }
}
