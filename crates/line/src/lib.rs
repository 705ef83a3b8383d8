//! Line protocol: split a body into lines, parse a line, scan a body, write lines.
//!
//! What a line means is what InfluxDB 1.8 makes of it (`influxdata/influxdb models/points.go`),
//! down to the text and the order of its complaints; bytes are raw, UTF-8 or not. Nothing here
//! allocates for a good line.
//!
//! - [`lines()`] cuts a body into lines, and [`Line`] pulls the key, the fields and the time out
//!   of one of them. The key comes out as it was written: a store looks those raw bytes up, and
//!   only when it does not know them makes a series key of them, with [`canonical_key`].
//! - [`Line::read_as`] is the quick way through a line whose names and types are known beforehand.
//! - [`scan()`] tells a relay what it must know of a body without parsing it: which lines lack a
//!   time, and which lanes (groups of series) the body touches.
//! - [`Writer`] writes lines as Telegraf does.
//!
//! ```text
//! cpu,host=a,cpu=cpu0 usage_user=1.5,count=3i,state="up \"x\"" 1434055562000000000
//! ╰──────── key ─────╯╰─────────────── fields ───────────────╯ ╰────── time ─────╯
//! ```
//!
//! Where this differs from InfluxDB, on purpose:
//! - a carriage return before the newline is dropped (InfluxDB: `bad timestamp`);
//! - a comment ends with its line, whatever quotes it holds (InfluxDB may swallow what follows);
//! - what stands between the closing quote of a string and the next comma or space is refused as
//!   `invalid field format` (InfluxDB accepts some of it, and stores other text than was sent);
//! - a field without a name is `missing field key` also after a tab (InfluxDB stores it).

mod diagnose;
mod digits;
mod error;
mod key;
mod line;
mod lines;
mod number;
mod pattern;
mod scan;
mod value;
mod writer;

pub use error::{LineError, Reason};
pub use key::{MAX_KEY_BYTES, canonical_key, unescape_field_name};
pub use line::{Field, Line, ParseOptions, check};
pub use lines::{Lines, lines};
pub use pattern::Pattern;
pub use scan::{LANES, Scan, scan};
pub use value::{StringValue, Value};
pub use writer::{LineWriter, Writer};
