#![no_main]

// A model of TorchServe's: what `meshctl import` makes of it, a worker takes.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(text) = torchmesh_meshctl::import::fuzzing::archive(data) {
        torchmesh_worker::fuzzing::imported(&text);
    }
});
