//! Reading the kernel's small files: one reused buffer, whole files, a bound on their size.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Largest file that is read. `/proc/1/mountinfo` of a host with thousands of containers stays
/// well below.
const FILE_BYTES_MAX: usize = 16 << 20;
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

    fn try_read(&mut self, path: &Path) -> io::Result<()> {
        self.fill(&mut File::open(path)?)
    }

    /// Reads `file` to its end into the buffer, replacing what it held.
    fn fill(&mut self, file: &mut File) -> io::Result<()> {
        const FIRST_READ_BYTES: usize = 8 << 10;
        if self.buffer.capacity() > BUFFER_BYTES_KEPT_MAX {
            self.buffer = Vec::new();
        }
        self.buffer.clear();
        self.buffer.reserve(FIRST_READ_BYTES);
        // Files of /proc may give less than asked for before their end: only 0 ends them.
        let read = file
            .take(FILE_BYTES_MAX as u64 + 1)
            .read_to_end(&mut self.buffer)?;
        if read > FILE_BYTES_MAX {
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
