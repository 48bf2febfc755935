#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| torchmesh_gateway::rest_v2::fuzzing::rest(data));
