//! `GROUP BY` of statements that count: series apart by the values of tags.

use std::collections::{BTreeMap, BTreeSet};

use roaring::RoaringBitmap;
use tandem_influxql::ast::Expr;
use tandem_model::{SeriesId, SeriesKey};
use tandem_store::View;

use super::Found;
use crate::error::Error;
use crate::regex::Regex;

/// Tags and their values, sorted by key; empty where a series has none of them.
pub(super) type Tags = Vec<(Vec<u8>, Vec<u8>)>;

/// The tags to group by, sorted; wildcards stand for those of all measurements.
#[derive(Debug)]
pub(super) struct Grouping(BTreeSet<Vec<u8>>);

impl Grouping {
    /// Reads the clause; `None` where there is none.
    ///
    /// # Errors
    /// What is no tag.
    pub(super) fn new(dimensions: &[Expr], all: &[Found]) -> Result<Option<Self>, Error> {
        if dimensions.is_empty() {
            return Ok(None);
        }
        let known = || {
            let names = all
                .iter()
                .flat_map(|(view, names)| names.iter().flat_map(move |name| view.tag_keys(name)));
            names.collect::<BTreeSet<_>>()
        };
        let mut tags = BTreeSet::new();
        for dimension in dimensions {
            match dimension {
                Expr::VarRef(reference) => {
                    tags.insert(reference.name.clone().into_bytes());
                }
                Expr::Wildcard(_) => tags.extend(known()),
                Expr::Regex(pattern) => {
                    let regex = Regex::new(pattern)?;
                    tags.extend(known().into_iter().filter(|key| regex.is_match(key)));
                }
                Expr::Call(call) if call.name == "time" => {
                    return Err(Error::refused(
                        "only tag dimensions are allowed when counting",
                    ));
                }
                Expr::Call(_) => {
                    return Err(Error::refused("only time() calls allowed in dimensions"));
                }
                _ => return Err(Error::refused("only time and tag dimensions allowed")),
            }
        }
        Ok(Some(Self(tags)))
    }

    /// The series of a measurement by their tags.
    pub(super) fn split(&self, view: &View, measurement: &[u8]) -> BTreeMap<Tags, RoaringBitmap> {
        let mut groups: BTreeMap<Tags, RoaringBitmap> = BTreeMap::new();
        for id in view.series(measurement) {
            let key = view.series_key(SeriesId(id));
            let own: BTreeMap<Vec<u8>, Vec<u8>> = SeriesKey::split(&key).1.collect();
            let value = |tag: &Vec<u8>| own.get(tag).cloned().unwrap_or_default();
            let tags = self.0.iter().map(|tag| (tag.clone(), value(tag))).collect();
            groups.entry(tags).or_default().insert(id);
        }
        groups
    }
}
