#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| torchmesh_router::routes::fuzzing::routes(data));
