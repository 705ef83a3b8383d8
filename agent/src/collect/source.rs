//! Reading the kernel's small files: one reused buffer, whole files, a bound on their size.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use thiserror::Error;

/// Largest file that is read. `/proc/1/mountinfo` of a host with thousands of containers stays
/// well below.
const FILE_BYTES_MAX: usize = 16 << 20;
/// Longest line of a file that is read piece by piece.
const LINE_BYTES_MAX: usize = 16 << 10;
/// What a buffer keeps between gathers; a larger one is given back.
const BUFFER_BYTES_KEPT_MAX: usize = 256 << 10;

/// What went wrong with one source of a collector.
#[derive(Debug, Error)]
pub(crate) enum SourceError {
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file's text is not what the kernel documents; the rest of the file was used.
    #[error("strange text in {}: {excerpt}", path.display())]
    Strange {
        /// The file.
        path: PathBuf,
        /// The start of the part that was left out.
        excerpt: String,
    },
    /// Something else that the collector asks the kernel for failed.
    #[error("{what}")]
    Other {
        /// What failed, and why.
        what: String,
    },
}

impl SourceError {
    pub(crate) fn strange(path: &Path, text: &[u8]) -> Self {
        Self::Strange {
            path: path.to_path_buf(),
            excerpt: crate::text::excerpt(text),
        }
    }
}

/// What went wrong during one gather of one collector: how often, and the first case in full.
/// Everything that could be read was collected all the same.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    first: Option<SourceError>,
    count: u64,
}

impl Troubles {
    /// Notes one trouble.
    pub(crate) fn add(&mut self, error: SourceError) {
        self.count += 1;
        self.first.get_or_insert(error);
    }

    /// Notes the trouble of `result`, or gives its value.
    pub(crate) fn note<T>(&mut self, result: Result<T, SourceError>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    /// `Ok` when nothing was noted.
    pub(crate) fn into_result(self) -> Result<(), Self> {
        if self.count == 0 { Ok(()) } else { Err(self) }
    }

    /// How many troubles there were.
    #[must_use]
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The first of them.
    #[must_use]
    pub(crate) fn first(&self) -> Option<&SourceError> {
        self.first.as_ref()
    }
}

/// A reused buffer that whole files are read into.
#[derive(Debug, Default)]
pub(crate) struct Source {
    buffer: Vec<u8>,
}

impl Source {
    /// The whole text of `path`.
    pub(crate) fn read(&mut self, path: &Path) -> Result<&[u8], SourceError> {
        self.try_read(path).map_err(|source| SourceError::Read {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(&self.buffer)
    }

    /// The whole text of `path`, or `None` when it cannot be read, where that is no trouble.
    pub(crate) fn read_optional(&mut self, path: &Path) -> Option<&[u8]> {
        self.try_read(path).ok()?;
        Some(&self.buffer)
    }

    /// The whole text of a control group's file, or `None` when it cannot be read. The kernel makes such a file whole
    /// for the first read: where that does not fill the buffer, nothing follows, and is not asked for.
    pub(crate) fn read_group(&mut self, path: &Path) -> Option<&[u8]> {
        let mut file = File::open(path).ok()?;
        self.empty();
        let room = self.buffer.capacity();
        let free = rustix::buffer::spare_capacity(&mut self.buffer);
        let read = rustix::io::read(&file, free).ok()?;
        if read == room {
            self.fill_further(&mut file).ok()?;
        }
        Some(&self.buffer)
    }

    /// The whole text of `path` from a driver that may have nothing to say yet: `None` then, and
    /// where it cannot be read, instead of waiting for it.
    pub(crate) fn read_at_once(&mut self, path: &Path) -> Option<&[u8]> {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
        self.fill(&mut opened.ok()?).ok()?;
        Some(&self.buffer)
    }

    /// Calls `take` with each line of `path`, which may be of any length: the tables of sockets of
    /// a busy host have tens of megabytes. Empty lines are left out, those that are too long are
    /// cut.
    pub(crate) fn each_line(
        &mut self,
        path: &Path,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), SourceError> {
        self.try_each_line(path, &mut take)
            .map_err(|source| SourceError::Read {
                path: path.to_path_buf(),
                source,
            })
    }

    fn try_each_line(&mut self, path: &Path, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut file = File::open(path)?;
        self.buffer.clear();
        self.buffer.resize(LINE_BYTES_MAX, 0);
        let mut filled = 0;
        loop {
            let free = self.buffer.get_mut(filled..).unwrap_or_default();
            let read = match file.read(free) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            filled += read;
            let text = self.buffer.get(..filled).unwrap_or_default();
            let is_over = read == 0 || filled == self.buffer.len();
            let whole = match memchr::memrchr(b'\n', text) {
                Some(end) => end + 1,
                // Neither its end nor room for more of it.
                None if is_over => filled,
                None => 0,
            };
            let ended = if read == 0 { filled } else { whole };
            for line in crate::text::lines(text.get(..ended).unwrap_or_default()) {
                take(line);
            }
            if read == 0 {
                return Ok(());
            }
            self.buffer.copy_within(whole..filled, 0);
            filled -= whole;
        }
    }

    fn try_read(&mut self, path: &Path) -> io::Result<()> {
        self.fill(&mut File::open(path)?)
    }

    /// Reads `file` to its end into the buffer, replacing what it held.
    fn fill(&mut self, file: &mut File) -> io::Result<()> {
        self.empty();
        self.fill_further(file)
    }

    /// Empties the buffer, and has room in it for most files.
    fn empty(&mut self) {
        const FIRST_READ_BYTES: usize = 8 << 10;
        if self.buffer.capacity() > BUFFER_BYTES_KEPT_MAX {
            self.buffer = Vec::new();
        }
        self.buffer.clear();
        self.buffer.reserve(FIRST_READ_BYTES);
    }

    /// Reads `file` to its end, behind what is in the buffer.
    fn fill_further(&mut self, file: &mut File) -> io::Result<()> {
        // Files of /proc may give less than asked for before their end: only 0 ends them.
        file.take(FILE_BYTES_MAX as u64 + 1)
            .read_to_end(&mut self.buffer)?;
        if self.buffer.len() > FILE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(())
    }
}

/// Cuts a trailing newline, as one-value files of `/sys` end.
pub(crate) fn trim_newline(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"\n").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_and_the_buffer_is_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let (large, small) = (dir.path().join("large"), dir.path().join("small"));
        std::fs::write(&large, vec![b'x'; BUFFER_BYTES_KEPT_MAX * 2]).unwrap();
        std::fs::write(&small, b"7\n").unwrap();
        let mut source = Source::default();
        assert_eq!(
            source.read(&large).unwrap().len(),
            BUFFER_BYTES_KEPT_MAX * 2
        );
        assert_eq!(source.read(&small).unwrap(), b"7\n");
        assert!(source.buffer.capacity() <= BUFFER_BYTES_KEPT_MAX);
    }

    #[test]
    fn lines_of_a_long_file_come_one_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table");
        let mut text = String::new();
        for number in 0..30_000 {
            text += &format!("row {number}\n");
        }
        text += &"x".repeat(LINE_BYTES_MAX + 5);
        text += "\nlast";
        std::fs::write(&path, &text).unwrap();
        let (mut rows, mut others) = (0, Vec::new());
        let mut source = Source::default();
        source
            .each_line(&path, |line| match line.strip_prefix(b"row ") {
                Some(number) => {
                    assert_eq!(crate::text::unsigned(number), Some(rows));
                    rows += 1;
                }
                None => others.push(line.to_vec()),
            })
            .unwrap();
        assert_eq!(rows, 30_000);
        let length: usize = others.iter().map(Vec::len).sum();
        assert_eq!(length, LINE_BYTES_MAX + 5 + 4);
        assert_eq!(others.last().map(Vec::as_slice), Some(&b"last"[..]));
        assert!(source.each_line(Path::new("/no/such"), |_| ()).is_err());
    }

    #[test]
    fn files_of_control_groups_are_read_whole_however_long() {
        let dir = tempfile::tempdir().unwrap();
        let mut source = Source::default();
        for length in [0, 1, (8 << 10) - 1, 8 << 10, (8 << 10) + 1, 100_000] {
            let path = dir.path().join(length.to_string());
            std::fs::write(&path, vec![b'x'; length]).unwrap();
            assert_eq!(source.read_group(&path).unwrap().len(), length);
        }
        assert!(source.read_group(Path::new("/no/such")).is_none());
        assert!(source.read_group(dir.path()).is_none());
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Source::default().read(Path::new("/no/such")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /no/such");
        assert!(
            Source::default()
                .read_optional(Path::new("/no/such"))
                .is_none()
        );
    }

    #[test]
    fn an_endless_file_is_refused() {
        let error = Source::default().read(Path::new("/dev/zero")).unwrap_err();
        let SourceError::Read { source, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(source.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn troubles_keep_the_first_and_count_all() {
        let mut troubles = Troubles::default();
        assert_eq!(troubles.note(Ok(3)), Some(3));
        troubles.add(SourceError::strange(Path::new("/a"), b"x"));
        troubles.add(SourceError::strange(Path::new("/b"), b"y"));
        let troubles = troubles.into_result().unwrap_err();
        assert_eq!(troubles.count(), 2);
        assert_eq!(
            troubles.first().unwrap().to_string(),
            "strange text in /a: x"
        );
    }
}
