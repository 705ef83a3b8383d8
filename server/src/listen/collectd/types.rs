//! `types.db`: how the values of a type are called.
//!
//! A line is `type name:kind:min:max[, name:kind:min:max…]`. Only the names matter here: the datagram itself says of
//! which kind a value is.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tracing::warn;

/// Why a file of types cannot be used.
#[derive(Debug, Error)]
pub enum CollectdTypesError {
    /// It cannot be read.
    #[error("read the types of collectd in {}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A line is none.
    #[error("line {line} of {} is not `type name:kind:min:max, …`", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
}

/// The names of the values of each type.
#[derive(Debug, Default)]
pub(super) struct Types(HashMap<Vec<u8>, Vec<String>>);

impl Types {
    /// Reads files, and the files in directories; later ones go over earlier ones. What is not there is
    /// left out, and said.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self, CollectdTypesError> {
        let mut types = Self::default();
        for path in paths {
            let failed = |source| CollectdTypesError::Read {
                path: path.clone(),
                source,
            };
            if path.is_dir() {
                let entries = std::fs::read_dir(path).map_err(failed)?;
                let files = entries.map(|entry| entry.map(|entry| entry.path()));
                let mut files: Vec<PathBuf> = files.collect::<Result<_, _>>().map_err(failed)?;
                files.sort();
                for file in files.iter().filter(|file| file.is_file()) {
                    types.read_file(file)?;
                }
            } else if path.exists() {
                types.read_file(path)?;
            } else {
                warn!(path = %path.display(), "collectd's types are not there; values of types with several get numbers for names");
            }
        }
        Ok(types)
    }

    fn read_file(&mut self, path: &Path) -> Result<(), CollectdTypesError> {
        let text = std::fs::read_to_string(path).map_err(|source| CollectdTypesError::Read {
            path: path.into(),
            source,
        })?;
        self.parse(&text).map_err(|line| CollectdTypesError::Line {
            path: path.into(),
            line,
        })
    }

    /// Reads lines; an error is the number of the one that is none.
    pub(super) fn parse(&mut self, text: &str) -> Result<(), usize> {
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (kind, values) = line.split_once(char::is_whitespace).ok_or(at + 1)?;
            let names = values.split(',').map(|value| {
                let (name, _) = value.trim().split_once(':')?;
                (!name.is_empty()).then(|| name.to_owned())
            });
            let names: Vec<String> = names.collect::<Option<_>>().ok_or(at + 1)?;
            self.0.insert(kind.as_bytes().to_vec(), names);
        }
        Ok(())
    }

    /// The name of the value at `at` of `count`.
    pub(super) fn name(&self, kind: &[u8], at: usize, count: usize) -> String {
        let known = self.0.get(kind).filter(|names| names.len() == count);
        match known.and_then(|names| names.get(at)) {
            Some(name) => name.clone(),
            None if count == 1 => "value".to_owned(),
            None => at.to_string(),
        }
    }
}
