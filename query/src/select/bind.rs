//! Names meet data: which measurements there are, which names are fields and of what type, what a
//! wildcard stands for.
//!
//! Binding works from the inside out, since a subquery's columns are the fields of the statement
//! around it. The rules are those of `influxdata/influxql ast.go` `RewriteFields`. All measurements
//! of one statement are looked up in views of one range of time, so that types and series are
//! those of the shards that the statement may read.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tandem_influxql::ast::{Call, DataType, Expr, Field, Measurement, VarRef, Wildcard};
use tandem_model::{FieldType, TimeRange};
use tandem_store::{PolicyChoice, Store, View};

use super::compile::{Compiled, CompiledSource, Dimension};
use super::types;
use crate::error::Error;
use crate::regex::Regex;
use crate::value::{data_type_of, stronger};

/// A statement whose names have types and whose wildcards are gone.
#[derive(Debug)]
pub(crate) struct Typed {
    /// What is selected.
    pub(crate) fields: Vec<Field>,
    /// The condition without time.
    pub(crate) condition: Option<Expr>,
    /// The tags to group by, as written, each once.
    pub(crate) dimensions: Vec<String>,
    /// What is read.
    pub(crate) sources: Vec<TypedSource>,
    /// The rest of the statement.
    pub(crate) compiled: Compiled,
}

/// One item of a bound `FROM` clause.
#[derive(Debug)]
pub(crate) enum TypedSource {
    /// A measurement, or those that a regular expression found.
    Measurements(Vec<BoundMeasurement>),
    /// A subquery.
    Subquery(Box<Typed>),
}

/// A measurement and its schema in the range of the statement.
#[derive(Clone, Debug)]
pub(crate) struct BoundMeasurement {
    /// The name.
    pub(crate) name: Vec<u8>,
    /// Where it is read.
    pub(crate) view: Rc<View>,
    /// Its fields, sorted by name.
    pub(crate) fields: Rc<Vec<(Vec<u8>, FieldType)>>,
    /// Its tag keys, sorted.
    pub(crate) tag_keys: Rc<Vec<Vec<u8>>>,
}

impl BoundMeasurement {
    fn new(view: &Rc<View>, name: Vec<u8>) -> Self {
        let fields = Rc::new(view.fields(&name));
        let tag_keys = Rc::new(view.tag_keys(&name));
        Self {
            name,
            view: view.clone(),
            fields,
            tag_keys,
        }
    }

    /// The type of the field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<FieldType> {
        let at = self
            .fields
            .binary_search_by(|(field, _)| field.as_slice().cmp(name.as_bytes()))
            .ok()?;
        self.fields.get(at).map(|(_, field_type)| *field_type)
    }

    /// The type of the name: that of the field, or a tag.
    pub(crate) fn type_of(&self, name: &str) -> Option<DataType> {
        let is_tag = || {
            self.tag_keys
                .binary_search_by(|key| key.as_slice().cmp(name.as_bytes()))
                .is_ok()
        };
        self.field(name)
            .map(data_type_of)
            .or_else(|| is_tag().then_some(DataType::Tag))
    }
}

impl Typed {
    /// The expression of the column `name`, as a statement around this one sees it.
    pub(crate) fn output(&self, name: &str) -> Option<&Expr> {
        for field in &self.fields {
            if field.name() == name {
                return Some(&field.expr);
            }
            if let Some(tag) = ranking_tags(&field.expr).find(|tag| is_reference(tag, name)) {
                return Some(tag);
            }
        }
        None
    }
}

fn is_reference(expr: &Expr, name: &str) -> bool {
    matches!(expr, Expr::VarRef(reference) if reference.name == name)
}

/// The tags and fields between the first and the last argument of `top` and `bottom`.
pub(crate) fn ranking_tags(expr: &Expr) -> impl Iterator<Item = &Expr> {
    let args = match expr {
        Expr::Call(call) if matches!(call.name.as_str(), "top" | "bottom") => call.args.as_slice(),
        _ => &[],
    };
    args.get(1..args.len().saturating_sub(1))
        .unwrap_or_default()
        .iter()
}

/// Where unqualified measurements are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults<'a> {
    /// The database of the request.
    pub(crate) database: Option<&'a str>,
    /// The retention policy of the request.
    pub(crate) policy: Option<&'a str>,
}

/// Binds statements to the data of one store.
pub(crate) struct Binder<'a> {
    store: &'a Store,
    defaults: Defaults<'a>,
    range: TimeRange,
    views: BTreeMap<(String, Option<String>), Rc<View>>,
}

impl<'a> Binder<'a> {
    /// A binder that sees the shards that overlap `range`.
    pub(crate) fn new(store: &'a Store, defaults: Defaults<'a>, range: TimeRange) -> Self {
        Self {
            store,
            defaults,
            range,
            views: BTreeMap::new(),
        }
    }

    /// How many files of all that was looked up are damaged or missing.
    pub(crate) fn missing_files(&self) -> usize {
        let views = self.views.values();
        views.map(|view| self.store.missing_files(view)).sum()
    }

    /// Binds a statement and its subqueries.
    ///
    /// # Errors
    /// Databases and policies that are not there, types that do not fit, wildcards out of place.
    pub(crate) fn bind(&mut self, compiled: Compiled) -> Result<Typed, Error> {
        let typed = self.bind_level(compiled)?;
        // Types of subqueries are not checked: what does not fit there has no values.
        for field in &typed.fields {
            types::of_expr(&field.expr, &[])?;
        }
        Ok(typed)
    }

    fn bind_level(&mut self, mut compiled: Compiled) -> Result<Typed, Error> {
        let mut sources = Vec::new();
        for source in std::mem::take(&mut compiled.sources) {
            sources.push(match source {
                CompiledSource::Measurement(measurement) => {
                    TypedSource::Measurements(self.measurements(&measurement)?)
                }
                CompiledSource::Subquery(inner) => {
                    TypedSource::Subquery(Box::new(self.bind_level(*inner)?))
                }
            });
        }
        let condition = match compiled.condition.take() {
            Some(condition) => Some(typed(condition, &sources)?),
            None => None,
        };
        let mut fields = Vec::with_capacity(compiled.fields.len());
        for field in std::mem::take(&mut compiled.fields) {
            fields.push(Field {
                expr: typed(field.expr, &sources)?,
                alias: field.alias,
            });
        }
        let known = Known::new(&sources, &compiled.dimensions);
        let dimensions = known.dimensions(&compiled.dimensions)?;
        let fields = known.expand(fields)?;
        Ok(Typed {
            fields,
            condition,
            dimensions,
            sources,
            compiled,
        })
    }

    /// The measurements that a source names, sorted.
    pub(crate) fn measurements(
        &mut self,
        source: &Measurement,
    ) -> Result<Vec<BoundMeasurement>, Error> {
        let view = self.view(source)?;
        let names = match &source.regex {
            Some(pattern) => {
                let regex = Regex::new(pattern)?;
                view.measurements()
                    .into_iter()
                    .filter(|name| regex.is_match(name))
                    .collect()
            }
            None => vec![source.name.clone().into_bytes()],
        };
        Ok(names
            .into_iter()
            .map(|name| BoundMeasurement::new(&view, name))
            .collect())
    }

    fn view(&mut self, source: &Measurement) -> Result<Rc<View>, Error> {
        let database = source
            .database
            .as_deref()
            .or(self.defaults.database)
            .ok_or(Error::DatabaseRequired)?;
        let policy = source.retention_policy.as_deref().or(self.defaults.policy);
        let key = (database.to_owned(), policy.map(str::to_owned));
        if let Some(view) = self.views.get(&key) {
            return Ok(view.clone());
        }
        let choice = policy.map_or(PolicyChoice::Default, PolicyChoice::Named);
        let range = self.range_in(database, policy)?;
        let view = Rc::new(self.store.view(database, choice, range)?);
        self.views.insert(key, view.clone());
        Ok(view)
    }

    /// The range. Where it is empty, that of the shard which holds both its bounds: names have types all
    /// the same.
    fn range_in(&self, database: &str, policy: Option<&str>) -> Result<TimeRange, Error> {
        let range = self.range;
        if !range.is_empty() {
            return Ok(range);
        }
        let policies = self.store.retention_policies(database)?;
        let policy = policies
            .iter()
            .find(|known| policy.map_or(known.is_default, |name| known.name == name));
        let Some(policy) = policy else {
            return Ok(range);
        };
        let shards = self.store.shards().into_iter();
        let mut own =
            shards.filter(|shard| shard.database == database && shard.policy == policy.name);
        let holding = own
            .find(|shard| shard.range.contains(range.min_ns) && shard.range.contains(range.max_ns));
        Ok(holding.map_or(range, |shard| shard.range))
    }
}

/// `expr` with a type for each reference that some source knows.
fn typed(expr: Expr, sources: &[TypedSource]) -> Result<Expr, Error> {
    Ok(match expr {
        Expr::VarRef(reference) => {
            let found = types::of_reference(&reference, sources).unwrap_or(None);
            // A tag stays what it was called if it was called a field.
            let keep =
                found == Some(DataType::Tag) && reference.data_type == Some(DataType::AnyField);
            let data_type = if keep { reference.data_type } else { found };
            Expr::VarRef(VarRef {
                name: reference.name,
                data_type,
            })
        }
        Expr::Paren(inner) => Expr::Paren(Box::new(typed(*inner, sources)?)),
        Expr::Binary { op, lhs, rhs } => {
            Expr::binary(op, typed(*lhs, sources)?, typed(*rhs, sources)?)
        }
        Expr::Call(call) => {
            let args = call
                .args
                .into_iter()
                .map(|arg| typed(arg, sources))
                .collect::<Result<_, _>>()?;
            Expr::Call(Call {
                name: call.name,
                args,
            })
        }
        other => other,
    })
}

/// All fields and tags of the sources, for wildcards.
struct Known {
    /// What a wildcard among the fields stands for, sorted by name, fields before tags. A column of a
    /// subquery may have no type.
    fields: Vec<(String, Option<DataType>)>,
    /// What a wildcard in `GROUP BY` stands for.
    dimensions: BTreeSet<String>,
}

impl Known {
    fn new(sources: &[TypedSource], grouped: &[Dimension]) -> Self {
        let mut fields: BTreeMap<String, Option<DataType>> = BTreeMap::new();
        let mut dimensions = BTreeSet::new();
        let mut add = |name: String, data_type: Option<DataType>| {
            let known = fields.entry(name).or_insert(None);
            *known = stronger(*known, data_type);
        };
        for source in sources {
            match source {
                TypedSource::Measurements(measurements) => {
                    for measurement in measurements {
                        for (name, field_type) in measurement.fields.iter() {
                            add(text(name), Some(data_type_of(*field_type)));
                        }
                        dimensions.extend(measurement.tag_keys.iter().map(|key| text(key)));
                    }
                }
                TypedSource::Subquery(inner) => {
                    for field in &inner.fields {
                        let data_type = types::of_expr(&field.expr, &inner.sources);
                        add(field.name(), data_type.unwrap_or(None));
                    }
                    dimensions.extend(inner.dimensions.iter().cloned());
                }
            }
        }
        let mut fields: Vec<_> = fields.into_iter().collect();
        let has_wildcard = grouped.iter().any(|d| !matches!(d, Dimension::Tag(_)));
        if !has_wildcard && !fields.is_empty() {
            // Tags become columns, but for those that are grouped by.
            let tags = dimensions
                .iter()
                .filter(|tag| !grouped.contains(&Dimension::Tag((*tag).clone())));
            fields.extend(tags.map(|tag| (tag.clone(), Some(DataType::Tag))));
            fields.sort_by(|a, b| a.0.cmp(&b.0));
        }
        Self { fields, dimensions }
    }

    /// The tags to group by, wildcards expanded, each once.
    fn dimensions(&self, grouped: &[Dimension]) -> Result<Vec<String>, Error> {
        let mut tags = Vec::new();
        for dimension in grouped {
            match dimension {
                Dimension::Tag(tag) => tags.push(tag.clone()),
                Dimension::All => tags.extend(self.dimensions.iter().cloned()),
                Dimension::Matching(pattern) => {
                    let regex = Regex::new(pattern)?;
                    tags.extend(
                        self.dimensions
                            .iter()
                            .filter(|tag| regex.is_match(tag.as_bytes()))
                            .cloned(),
                    );
                }
            }
        }
        let mut seen = BTreeSet::new();
        tags.retain(|tag| seen.insert(tag.clone()));
        Ok(tags)
    }

    /// The fields with their wildcards expanded.
    fn expand(&self, fields: Vec<Field>) -> Result<Vec<Field>, Error> {
        let mut expanded = Vec::with_capacity(fields.len());
        for field in fields {
            match &field.expr {
                Expr::Wildcard(wildcard) => {
                    let wanted = self.fields.iter().filter(|(_, data_type)| match wildcard {
                        Wildcard::All => true,
                        Wildcard::Fields => *data_type != Some(DataType::Tag),
                        Wildcard::Tags => *data_type == Some(DataType::Tag),
                    });
                    expanded.extend(wanted.map(plain_field));
                }
                Expr::Regex(pattern) => {
                    let regex = Regex::new(pattern)?;
                    expanded.extend(
                        self.fields
                            .iter()
                            .filter(|(name, _)| regex.is_match(name.as_bytes()))
                            .map(plain_field),
                    );
                }
                Expr::Call(call) => match self.expand_call(call, &field.name())? {
                    Some(calls) => expanded.extend(calls),
                    None => expanded.push(field),
                },
                _ => expanded.push(field),
            }
        }
        Ok(expanded)
    }

    /// One call for each field that the wildcard in it stands for; `None` without a wildcard.
    fn expand_call(&self, call: &Call, name: &str) -> Result<Option<Vec<Field>>, Error> {
        let mut innermost = call;
        while let Some(Expr::Call(inner)) = innermost.args.first() {
            innermost = inner;
        }
        let regex = match innermost.args.first() {
            Some(Expr::Wildcard(Wildcard::Tags)) => {
                return Err(Error::refused(format!(
                    "unable to use tag wildcard in {}()",
                    innermost.name
                )));
            }
            Some(Expr::Wildcard(_)) => None,
            Some(Expr::Regex(pattern)) => Some(Regex::new(pattern)?),
            _ => return Ok(None),
        };
        let typed = self.fields.iter();
        let typed = typed.filter_map(|(field, data_type)| Some((field, (*data_type)?)));
        let wanted = typed.filter(|(field, data_type)| {
            takes(&innermost.name, *data_type)
                && regex
                    .as_ref()
                    .is_none_or(|regex| regex.is_match(field.as_bytes()))
        });
        let expanded = wanted.map(|(field, data_type)| Field {
            expr: Expr::Call(with_field(call, field, data_type)),
            alias: Some(format!("{name}_{field}")),
        });
        Ok(Some(expanded.collect()))
    }
}

fn plain_field((name, data_type): &(String, Option<DataType>)) -> Field {
    let reference = VarRef {
        name: name.clone(),
        data_type: *data_type,
    };
    Field {
        expr: Expr::VarRef(reference),
        alias: None,
    }
}

/// `call` with the wildcard in its innermost call replaced by a field.
fn with_field(call: &Call, field: &str, data_type: DataType) -> Call {
    let mut call = call.clone();
    match call.args.first_mut() {
        Some(Expr::Call(inner)) => *inner = with_field(inner, field, data_type),
        Some(first) => {
            *first = Expr::VarRef(VarRef {
                name: field.to_owned(),
                data_type: Some(data_type),
            });
        }
        None => {}
    }
    call
}

/// True when a wildcard in this function stands for fields of this type.
fn takes(function: &str, data_type: DataType) -> bool {
    match data_type {
        DataType::Float | DataType::Integer => true,
        DataType::Unsigned => !matches!(function, "holt_winters" | "holt_winters_with_fit"),
        DataType::String => {
            matches!(
                function,
                "count" | "first" | "last" | "distinct" | "elapsed" | "mode" | "sample"
            )
        }
        DataType::Boolean => matches!(
            function,
            "count" | "first" | "last" | "distinct" | "elapsed" | "mode" | "sample" | "min" | "max"
        ),
        DataType::Tag | DataType::AnyField => false,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
