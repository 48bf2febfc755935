//! Compiles `proto/` without a system `protoc`.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const PROTOS: [&str; 16] = [
    "inference/grpc_service.proto",
    "inference/model_config.proto",
    "torchmesh/accounts/v1/accounts.proto",
    "torchmesh/accounts/v1/billing.proto",
    "torchmesh/accounts/v1/identity.proto",
    "torchmesh/accounts/v1/listings.proto",
    "torchmesh/accounts/v1/privacy.proto",
    "torchmesh/accounts/v1/sign_in.proto",
    "torchmesh/accounts/v1/usage_query.proto",
    "torchmesh/accounts/v1/webhooks.proto",
    "torchmesh/admin/v1/router.proto",
    "torchmesh/audio/v1/audio.proto",
    "torchmesh/text/v1/generation.proto",
    "torchmesh/text/v1/text.proto",
    "torchmesh/usage/v1/usage.proto",
    "torchmesh/vision/v1/vision.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let descriptors = protox::compile(PROTOS, [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("torchmesh.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // Tensors stay slices of the message that arrived.
        .bytes(".inference.ModelInferRequest.raw_input_contents")
        .bytes(".inference.ModelInferResponse.raw_output_contents")
        .bytes(".inference.InferTensorContents.bytes_contents")
        // So do files and sound.
        .bytes(".torchmesh.audio.v1.DetectVoiceRequest.audio")
        .bytes(".torchmesh.audio.v1.DetectVoiceLiveRequest.audio")
        .bytes(".torchmesh.text.v1.LikelyToken.bytes")
        .bytes(".torchmesh.text.v1.WrittenToken.bytes")
        .bytes(".torchmesh.vision.v1.ClassifyRequest.images")
        .bytes(".torchmesh.vision.v1.DetectRequest.images")
        .compile_fds(descriptors)?;
    Ok(())
}
