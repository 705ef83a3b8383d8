//! The memory for how the lines of a request look, taken before it is used.
//!
//! Room for a body and for rows of about its length is held before it is parsed. Templates come on top of that, and what a
//! line of many fields takes while it is taken apart: for lines that nobody has seen before, many times
//! their length. So that is held too, as soon as it is more than a little, and parsing ends where there is no room.

use crate::schema::Template;

/// What a request may use without asking: its lines mostly look alike.
const FREE_BYTES: usize = 64 << 10;
/// Room is asked for in such steps.
const STEP_BYTES: usize = 64 << 10;
/// About what a field takes while its line is taken apart: its name as written and as it is, its type, word and places.
const FIELD_BYTES: usize = 192;
/// Fields of a line for which room is asked at once.
const STEP_FIELDS: usize = 1024;

/// See the module's head.
pub(crate) struct Shapes<'a> {
    /// Takes more room; false when there is none.
    grow: &'a mut dyn FnMut(usize) -> bool,
    held_bytes: usize,
    template_bytes: usize,
}

impl<'a> Shapes<'a> {
    /// Those of a request for which `grow` takes more room, or says that there is none.
    pub(crate) fn new(grow: &'a mut dyn FnMut(usize) -> bool) -> Self {
        Self {
            grow,
            held_bytes: FREE_BYTES,
            template_bytes: 0,
        }
    }

    /// Whether a line that has so many fields may have one more.
    #[inline]
    pub(super) fn admit_field(&mut self, fields: usize) -> bool {
        if fields == 0 || !fields.is_multiple_of(STEP_FIELDS) {
            return true;
        }
        let line = fields
            .saturating_add(STEP_FIELDS)
            .saturating_mul(FIELD_BYTES);
        self.hold(self.template_bytes.saturating_add(line))
    }

    /// Counts a template that the batch holds on to; whether there is room for it.
    pub(super) fn keep(&mut self, template: &Template) -> bool {
        self.template_bytes = self.template_bytes.saturating_add(template.own_bytes);
        self.hold(self.template_bytes)
    }

    fn hold(&mut self, bytes: usize) -> bool {
        let Some(more) = bytes.checked_sub(self.held_bytes).filter(|more| *more > 0) else {
            return true;
        };
        let more = more.next_multiple_of(STEP_BYTES);
        let has_room = (self.grow)(more);
        if has_room {
            self.held_bytes = self.held_bytes.saturating_add(more);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use tandem_line::ParseOptions;

    use super::*;
    use crate::batch::Batch;
    use crate::index::{Limits, SeriesTable};
    use crate::parse::{Parsed, parse_into};
    use crate::schema::Schemas;

    /// Parses with room for so many bytes beyond the body; says how many were asked for.
    fn parsed(body: &str, limits: Limits, room_bytes: usize) -> (Parsed, usize) {
        let mut asked = 0;
        let mut grow = |bytes| {
            asked += bytes;
            asked <= room_bytes
        };
        let parsed = parse_into(
            Batch::default(),
            &SeriesTable::default(),
            &Schemas::default(),
            body.as_bytes(),
            ParseOptions::default(),
            Shapes::new(&mut grow),
            (limits, 7),
        );
        (parsed, asked)
    }

    fn wide(measurement: &str, fields: usize) -> String {
        let fields: Vec<String> = (0..fields).map(|n| format!("f{n}=1i")).collect();
        format!("{measurement} {}", fields.join(","))
    }

    #[test]
    fn usual_requests_ask_for_nothing() {
        let lines: Vec<String> = (0..1_000).map(|n| format!("m,h=h{n} a=1,b=2")).collect();
        let (parsed, asked) = parsed(&lines.join("\n"), Limits::default(), 0);
        assert_eq!((parsed.batch.rows.len(), asked), (1_000, 0));
    }

    #[test]
    fn a_wide_line_is_taken_where_there_is_room_for_it() {
        let body = wide("m", 10_000);
        let (taken, asked) = parsed(&body, Limits::default(), usize::MAX);
        assert_eq!(taken.batch.rows.len(), 1);
        assert!(
            asked > 9_000 * FIELD_BYTES && asked < 12_000 * FIELD_BYTES,
            "{asked}"
        );
        let (refused, _) = parsed(&body, Limits::default(), asked / 2);
        assert!(refused.is_out_of_room && refused.batch.rows.is_empty());
    }

    #[test]
    fn many_wide_lines_of_one_shape_take_the_room_of_one() {
        let room = |lines: usize| {
            let body = vec![wide("m", 10_000); lines].join("\n");
            let (parsed, asked) = parsed(&body, Limits::default(), usize::MAX);
            assert_eq!(parsed.batch.rows.len(), lines);
            assert_eq!(parsed.batch.templates.len(), 1);
            asked
        };
        assert_eq!(room(2), room(20));
        // Another measurement's are others.
        let body = [wide("m", 6_000), wide("n", 6_000), wide("n", 6_000)].join("\n");
        let (parsed, _) = parsed(&body, Limits::default(), usize::MAX);
        let templates: Vec<u32> = parsed.batch.rows.iter().map(|row| row.template).collect();
        assert_eq!(templates, [0, 1, 1]);
    }

    #[test]
    fn many_small_shapes_are_counted_too() {
        let lines: Vec<String> = (0..5_000).map(|n| format!("m a{n}=1,b{n}=2")).collect();
        let (_, asked) = parsed(&lines.join("\n"), Limits::default(), usize::MAX);
        assert!(asked > 5_000 * 2 * 48, "{asked}");
        let (refused, _) = parsed(&lines.join("\n"), Limits::default(), asked / 2);
        assert!(refused.is_out_of_room);
    }

    #[test]
    fn a_line_with_more_fields_than_there_may_be_is_dropped_and_makes_no_series() {
        let limits = Limits {
            fields_max: 5_000,
            ..Limits::default()
        };
        let body = [wide("m", 5_001), "n v=1".into(), wide("m", 5_000)].join("\n");
        let (parsed, asked) = parsed(&body, limits, usize::MAX);
        assert!(asked < 7_000 * FIELD_BYTES, "{asked}");
        assert_eq!(parsed.dropped, 1);
        assert_eq!(
            parsed.limit.as_deref(),
            Some("max-fields-per-measurement limit exceeded (5000): measurement=\"m\"")
        );
        assert_eq!(parsed.batch.rows.len(), 2);
        let keys: Vec<&[u8]> = parsed
            .batch
            .unknown
            .iter()
            .map(|key| &*key.canonical)
            .collect();
        assert_eq!(keys, [b"n", b"m"]);
        // What does not parse is told as that, however long it is.
        let (bad, _) = self::parsed(&(wide("m", 5_001) + ",x="), limits, usize::MAX);
        assert_eq!((bad.dropped, bad.errors.count()), (0, 1));
    }
}
