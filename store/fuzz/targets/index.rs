//! Segments of the series index. See `tandem_store::fuzzing`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tandem_store::fuzzing;

static SAMPLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(fuzzing::index_samples);

fuzz_target!(|data: &[u8]| fuzzing::index(&SAMPLES, data));
