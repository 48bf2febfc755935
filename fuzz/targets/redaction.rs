#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| torchmesh_gateway::fuzzing::redaction(data));
