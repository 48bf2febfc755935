#![no_main]

// What the gateway takes, a worker takes.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for settings in torchmesh_gateway::fuzzing::generation(data) {
        torchmesh_worker::fuzzing::asked(&settings);
    }
});
