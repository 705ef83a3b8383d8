//! From a value list to points: one for each value, or one for all.
//!
//! ```text
//! split   plugin_name,host=…,instance=…,type=…,type_instance=… value=…
//! join    plugin,host=…,instance=…,type=…,type_instance=… name=…,name=…
//! ```

use tandem_line::Writer;

use super::super::MultiValue;
use super::packet::ValueList;
use super::types::Types;

/// Makes points for one listener.
#[derive(Debug)]
pub(super) struct Points {
    types: Types,
    multi_value: MultiValue,
}

/// What became of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrote {
    pub(super) points: u64,
    /// Values that are no numbers: collectd sends those where it has none.
    pub(super) not_numbers: u64,
    /// Points that line protocol cannot carry, as those without a name.
    pub(super) malformed: u64,
}

impl Points {
    pub(super) const fn new(types: Types, multi_value: MultiValue) -> Self {
        Self { types, multi_value }
    }

    /// Appends the points of a list.
    pub(super) fn write(&self, list: &ValueList<'_>, now_ns: i64, out: &mut Vec<u8>) -> Wrote {
        let time = Some(list.time_ns.unwrap_or(now_ns));
        let count = list.values.len();
        let mut tags: Vec<(&str, &[u8])> = vec![
            ("host", list.host),
            ("instance", list.plugin_instance),
            ("type", list.kind),
            ("type_instance", list.type_instance),
        ];
        tags.retain(|(_, value)| !value.is_empty());
        let name = |at| self.types.name(list.kind, at, count);
        let numbers = || {
            let values = list.values.iter().copied().enumerate();
            values.filter(|(_, value)| value.is_finite())
        };
        let mut writer = Writer::new();
        let mut malformed = 0;
        match self.multi_value {
            MultiValue::Split => {
                for (at, value) in numbers() {
                    let measurement = [list.plugin, b"_", name(at).as_bytes()].concat();
                    let line = writer.line(&measurement).tags(&mut tags);
                    malformed += u64::from(!line.float("value", value).end(time));
                }
            }
            MultiValue::Join => {
                let mut line = writer.line(list.plugin).tags(&mut tags);
                for (at, value) in numbers() {
                    line = line.float(name(at), value);
                }
                let is_written = line.end(time);
                malformed += u64::from(!is_written && numbers().next().is_some());
            }
        }
        out.extend_from_slice(writer.as_bytes());
        Wrote {
            points: writer.lines() as u64,
            not_numbers: (count - numbers().count()) as u64,
            malformed,
        }
    }
}
