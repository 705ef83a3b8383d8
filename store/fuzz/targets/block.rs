//! Block files. See `tandem_store::fuzzing`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tandem_store::fuzzing;

static SAMPLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(fuzzing::block_samples);

fuzz_target!(|data: &[u8]| fuzzing::block(&SAMPLES, data));
