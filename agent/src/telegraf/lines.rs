//! What Telegraf lets one say of the lines of any input, and of those that reach an output: names, tags, filters.

use super::TelegrafError;
use super::section::{Section, is_none, is_text};
use crate::collect::{Collectors, Timing};
use crate::shape::Shape;

/// Reads what every input has, under the input's name.
pub(super) fn of_input(
    name: &str,
    section: &mut Section<'_>,
    all: &mut Collectors,
) -> Result<(), TelegrafError> {
    let mut timing = Timing::default();
    for (key, place) in [
        ("interval", &mut timing.interval),
        ("precision", &mut timing.precision),
        ("collection_offset", &mut timing.offset),
        ("collection_jitter", &mut timing.jitter),
    ] {
        let mut duration = place.unwrap_or_default();
        let has = section.has(key);
        section.duration(key, &mut duration)?;
        // Nothing stands for what the agent has.
        let is_own = has && (!duration.is_zero() || key.starts_with("collection"));
        *place = is_own.then_some(duration);
    }
    if timing != Timing::default() {
        all.timings.insert(name.to_owned(), timing);
    }
    let mut shape = shape(section)?;
    section.table_of_texts("tags", &mut shape.further_tags)?;
    if shape != Shape::default() {
        all.shapes.insert(name.to_owned(), shape);
    }
    section.leave_out("alias", "a collector is called by its name");
    section.leave_out_unless(
        "time_source",
        |value| is_none(value) || is_text("metric")(value),
        "lines bear the time of their gather",
    );
    section.leave_out("log_level", "the option --log-filter says what is logged");
    section.leave_out(
        "startup_error_behavior",
        "a collector that cannot read is tried again at each gather",
    );
    Ok(())
}

/// Reads names and filters.
pub(super) fn shape(section: &mut Section<'_>) -> Result<Shape, TelegrafError> {
    let mut shape = Shape::default();
    section.texts("namepass", &mut shape.names.include)?;
    section.texts("namedrop", &mut shape.names.exclude)?;
    section.table_of_lists("tagpass", &mut shape.tag_pass)?;
    section.table_of_lists("tagdrop", &mut shape.tag_drop)?;
    // The name of today first, then those that it had.
    for key in ["fieldinclude", "fieldpass", "pass"] {
        section.further_texts(key, &mut shape.fields.include)?;
    }
    for key in ["fieldexclude", "fielddrop", "drop"] {
        section.further_texts(key, &mut shape.fields.exclude)?;
    }
    section.texts("taginclude", &mut shape.tags.include)?;
    section.texts("tagexclude", &mut shape.tags.exclude)?;
    let mut name = String::new();
    section.text("name_override", &mut name)?;
    shape.name_override = (!name.is_empty()).then_some(name);
    section.text("name_prefix", &mut shape.name_prefix)?;
    section.text("name_suffix", &mut shape.name_suffix)?;
    for key in ["namepass_separator", "namedrop_separator"] {
        section.leave_out_unless(key, is_none, "* stands for any part of a name");
    }
    section.leave_out_unless("metricpass", is_none, "no expressions are evaluated");
    Ok(shape)
}
