#![no_main]

use libfuzzer_sys::Corpus;
use prost::Message as _;
use torchmesh_api::inference::ModelInferRequest;

libfuzzer_sys::fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(request) = ModelInferRequest::decode(data) else { return Corpus::Reject };
    torchmesh_worker::fuzzing::tensors(request);
    Corpus::Keep
});
