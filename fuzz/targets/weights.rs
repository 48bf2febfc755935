#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| torchmesh_worker::fuzzing::weights(data));
