//! Looking into a log without opening it: nothing is locked, changed, cut or kept.
//!
//! For tools that read the log of a store that may be running. What they see of the log that is being
//! written is a prefix of it, with one exception: where a group is being written at that moment, its
//! end may be read before its beginning, and that looks like damage. So damage at the end of a
//! log that is in use counts only when it is still there at a second look. A segment that is cut
//! meanwhile is an error of the kind `NotFound`, and worth a second look as well.

use std::path::{Path, PathBuf};

use tandem_vfs::Vfs;

use crate::{Error, Options, Recovery, Sequence, Visitor, recovery};

/// What a log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peek {
    /// As opening would report it; nothing was cut, and nothing is kept.
    pub recovery: Recovery,
    /// Oldest first.
    pub segments: Vec<PeekSegment>,
    /// The number behind the last record; 0 for a log without segments.
    pub next_sequence: Sequence,
    /// A file whose segment was never begun to its end; opening removes it.
    pub unfinished: Option<PathBuf>,
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeekSegment {
    /// Its file.
    pub path: PathBuf,
    /// The number of its first record, if it has one.
    pub first_sequence: Sequence,
    /// All records below this are in segments before it.
    pub previous_end: Sequence,
    /// Up to here the file belongs to the log.
    pub bytes: u64,
    /// The length of the file. What lies behind `bytes` was torn, or belongs to an earlier segment.
    pub file_bytes: u64,
}

/// Hands every record of the log in `dir` to `visit`, in order. Of `options` only `record_bytes_max`
/// and `first_sequence` matter.
///
/// # Errors
/// [`Error::Visit`] with the visitor's error; [`Error::Version`] and [`Error::Twins`]; [`Error::Io`], of the
/// kind `NotFound` where the directory is missing or a segment was cut meanwhile. Damage is no error.
pub fn peek(
    vfs: &dyn Vfs,
    dir: &Path,
    options: &Options,
    visit: &mut Visitor<'_>,
) -> Result<Peek, Error> {
    recovery::look(vfs, dir, options, visit)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tandem_testkit::SimFs;

    use super::*;
    use crate::Log;

    #[test]
    fn a_log_in_use_is_read_and_left_as_it_is() {
        let fs = SimFs::new(1);
        let dir = Path::new("/log");
        let vfs: Arc<dyn Vfs> = Arc::new(fs.clone());
        let options = Options {
            segment_bytes_max: 200,
            ..Options::default()
        };
        let (log, _) = Log::open(vfs, dir, options.clone(), &mut |_, _| Ok(())).unwrap();
        for at in 0..9_u8 {
            let ticket = log.append(&[&[at; 40]]).unwrap();
            log.commit(&ticket).unwrap();
        }
        let before = fs.read_dir(dir).unwrap();
        let mut seen = Vec::new();
        let found = peek(&fs, dir, &options, &mut |sequence, record| {
            seen.push((sequence, record[0]));
            Ok(())
        })
        .unwrap();
        let expected: Vec<(Sequence, u8)> = (0..9_u8).map(|at| (u64::from(at) + 1, at)).collect();
        assert_eq!(seen, expected);
        assert_eq!(found.next_sequence, 10);
        assert_eq!(found.segments.len(), log.segments());
        assert_eq!(found.recovery.corruptions, []);
        assert_eq!(fs.read_dir(dir).unwrap(), before);
    }

    #[test]
    fn damage_is_told_and_not_kept() {
        let fs = SimFs::new(1);
        let dir = Path::new("/log");
        let vfs: Arc<dyn Vfs> = Arc::new(fs.clone());
        let (log, _) = Log::open(vfs, dir, Options::default(), &mut |_, _| Ok(())).unwrap();
        for _ in 0..3 {
            let ticket = log.append(&[&[7; 40]]).unwrap();
            log.commit(&ticket).unwrap();
        }
        let whole = peek(&fs, dir, &Options::default(), &mut |_, _| Ok(())).unwrap();
        let file = fs.open(&whole.segments[0].path).unwrap();
        file.write_all_at(&[0], 48 + 40).unwrap();
        let before = fs.read_dir(dir).unwrap();
        let found = peek(&fs, dir, &Options::default(), &mut |_, _| Ok(())).unwrap();
        assert_eq!(found.recovery.corruptions.len(), 1);
        assert_eq!(found.recovery.corruptions[0].kept, None);
        assert_eq!(fs.read_dir(dir).unwrap(), before);
    }

    #[test]
    fn a_log_that_is_not_there_is_not_made() {
        let fs = SimFs::new(1);
        let dir = Path::new("/log");
        peek(&fs, dir, &Options::default(), &mut |_, _| Ok(())).unwrap_err();
        assert!(!fs.exists(dir));
    }
}
