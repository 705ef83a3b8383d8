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

impl Points {
    pub(super) const fn new(types: Types, multi_value: MultiValue) -> Self {
        Self { types, multi_value }
    }

    /// Appends the points of a list; returns how many they are, and how many values are no numbers: collectd
    /// sends those where it has none.
    pub(super) fn write(&self, list: &ValueList<'_>, now_ns: i64, out: &mut Vec<u8>) -> (u64, u64) {
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
        match self.multi_value {
            MultiValue::Split => {
                for (at, value) in numbers() {
                    let measurement = [list.plugin, b"_", name(at).as_bytes()].concat();
                    let line = writer.line(&measurement).tags(&mut tags);
                    line.float("value", value).end(time);
                }
            }
            MultiValue::Join => {
                let mut line = writer.line(list.plugin).tags(&mut tags);
                for (at, value) in numbers() {
                    line = line.float(name(at), value);
                }
                line.end(time);
            }
        }
        out.extend_from_slice(writer.as_bytes());
        (writer.lines() as u64, (count - numbers().count()) as u64)
    }
}
