//! Records of the manifest. See `tandem_store::fuzzing`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tandem_store::fuzzing::manifest(data));
