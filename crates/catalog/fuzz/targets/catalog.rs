//! Records of the catalog's log: refused, or the same bytes when they are written again.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tandem_catalog::fuzzing::record(data));
