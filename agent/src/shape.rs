//! What is made of a collector's lines before they are written: which of them are wanted, and under which names,
//! with which tags and fields.
//!
//! Rules and order are Telegraf's (`influxdata/telegraf models/running_input.go, makemetric.go, filter.go`):
//!
//! 1. Lines are chosen by the measurement and the tags that the collector gave them. What passes and is to be
//!    dropped, too, is dropped.
//! 2. They get their name, and tags that give way to the collector's own and go over the global ones and `host`.
//! 3. Tags, also those of 2., and fields are taken out. A line without a field left is none.
//! 4. What all collectors have in common (an output's filters in a telegraf.conf) follows in the same way, and sees
//!    what 3. has left.
//!
//! A line that nobody wants counts as never made. Where nothing is asked for, there is no [`Shaper`], and a line
//! costs nothing more.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::batch::Tags;
use crate::glob::{Filter, Patterns, Sieve};

/// What is asked for; the default asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Lines by the measurement that the collector gives them.
    pub names: Filter,
    /// Where there is any: lines of which a tag of this key has a value of these patterns.
    pub tag_pass: BTreeMap<String, Vec<String>>,
    /// Not lines of which a tag of this key has a value of these patterns.
    pub tag_drop: BTreeMap<String, Vec<String>>,
    /// Fields by name.
    pub fields: Filter,
    /// Tags by key, global ones and `host` among them.
    pub tags: Filter,
    /// Further tags, where a line has none of the key itself.
    pub further_tags: BTreeMap<String, String>,
    /// The measurement, in the place of what the collector calls it.
    pub name_override: Option<String>,
    /// Stands before the measurement.
    pub name_prefix: String,
    /// Stands behind the measurement.
    pub name_suffix: String,
}

impl Shape {
    /// Why no line could have such a name; nothing where all is well.
    pub(crate) fn objection(&self) -> Option<&'static str> {
        let begin = match (self.name_prefix.as_str(), &self.name_override) {
            ("", Some(name)) if name.is_empty() => return Some("name-override is empty"),
            ("", Some(name)) => name,
            (prefix, _) => prefix,
        };
        begin
            .starts_with('#')
            .then_some("a name that begins with # makes comments of the lines")
    }
}

/// A [`Shape`] made ready for one line after the other.
#[derive(Debug)]
pub(crate) struct Shaper {
    names: Sieve,
    tag_pass: Option<Rules>,
    tag_drop: Option<Rules>,
    fields: Sieve,
    tags: Sieve,
    name_override: Option<String>,
    name_prefix: String,
    name_suffix: String,
    /// Tags beside the line's own by which it is chosen.
    seen: Tags,
}

/// Tags by key, and what is asked of their values.
#[derive(Debug)]
struct Rules(Vec<(String, Patterns)>);

impl Rules {
    fn new(rules: &BTreeMap<String, Vec<String>>) -> Option<Self> {
        let ready =
            |(key, patterns): (&String, &Vec<String>)| (key.clone(), Patterns::new(patterns));
        (!rules.is_empty()).then(|| Self(rules.iter().map(ready).collect()))
    }

    /// Whether one of them describes a tag. Of equal keys the last one counts, and own tags go over those `seen`.
    fn describe<'a>(
        &self,
        own: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
        seen: &'a Tags,
    ) -> bool {
        self.0.iter().any(|(key, patterns)| {
            let key = key.as_bytes();
            let is_it = |(own_key, value): &(&[u8], &[u8])| *own_key == key && !value.is_empty();
            let of_all = || seen.iter().find(|(seen_key, _)| seen_key.as_bytes() == key);
            let value = match own.clone().filter(is_it).last() {
                Some((_, value)) => Some(value),
                None => of_all().map(|(_, value)| value.as_bytes()),
            };
            value.is_some_and(|value| patterns.describe(value))
        })
    }
}

impl Shaper {
    fn new(shape: &Shape, seen: Tags) -> Self {
        Self {
            names: Sieve::new(&shape.names),
            tag_pass: Rules::new(&shape.tag_pass),
            tag_drop: Rules::new(&shape.tag_drop),
            fields: Sieve::new(&shape.fields),
            tags: Sieve::new(&shape.tags),
            name_override: shape.name_override.clone(),
            name_prefix: shape.name_prefix.clone(),
            name_suffix: shape.name_suffix.clone(),
            seen,
        }
    }

    /// Whether a line of this name and these own tags is wanted.
    pub(crate) fn chooses<'a>(
        &'a self,
        name: &[u8],
        own: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) -> bool {
        let describe = |rules: &Rules| rules.describe(own.clone(), &self.seen);
        self.names.takes(name)
            && self.tag_pass.as_ref().is_none_or(describe)
            && !self.tag_drop.as_ref().is_some_and(describe)
    }

    /// Gives a line its name.
    pub(crate) fn rename(&self, name: &mut Vec<u8>) {
        if let Some(other) = &self.name_override {
            name.clear();
            name.extend_from_slice(other.as_bytes());
        }
        name.splice(0..0, self.name_prefix.bytes());
        name.extend_from_slice(self.name_suffix.as_bytes());
    }

    /// Whether a tag of this key stays.
    pub(crate) fn keeps_tag(&self, key: &[u8]) -> bool {
        self.tags.takes(key)
    }

    /// Whether a field of this name stays.
    pub(crate) fn keeps_field(&self, name: &[u8]) -> bool {
        self.fields.takes(name)
    }

    /// Whether a field of this name is to go, also where it was made of one that stays.
    pub(crate) fn drops_field(&self, name: &[u8]) -> bool {
        self.fields.excludes(name)
    }
}

/// What makes lines of what a collector gives: the tags that they bear beside their own, made of `common` ones, and what is
/// asked of them by its own `shape` and by that of `all` collectors.
pub(crate) fn ready(common: &Tags, shape: &Shape, all: &Shape) -> (Tags, Vec<Shaper>) {
    let mut tags = Arc::clone(common);
    let mut shapers = Vec::new();
    for (shape, is_own) in [(shape, true), (all, false)] {
        if *shape == Shape::default() {
            continue;
        }
        // A collector's own filters do not see what lines get behind it.
        let seen = if is_own {
            Tags::from([])
        } else {
            Arc::clone(&tags)
        };
        let shaper = Shaper::new(shape, seen);
        let replaced = |key: &String| shape.further_tags.contains_key(key);
        let kept = tags.iter().filter(|(key, _)| !replaced(key)).cloned();
        let further = shape.further_tags.iter();
        tags = kept
            .chain(further.map(|(key, value)| (key.clone(), value.clone())))
            .filter(|(key, _)| shaper.keeps_tag(key.as_bytes()))
            .collect();
        shapers.push(shaper);
    }
    (tags, shapers)
}

#[cfg(test)]
mod tests;
