//! A model of Triton's `pytorch_libtorch` backend: `config.pbtxt`.

mod colons;
mod scheduling;
mod tensors;
mod unsupported;

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use torchmesh_api::{
    FILE_DESCRIPTOR_SET,
    ids::ModelName,
    inference::{ModelConfig, ModelVersionPolicy, model_version_policy::PolicyChoice},
};

use super::{Description, Refused};

/// The name of the file.
pub const FILE_NAME: &str = "config.pbtxt";
/// The longest one that is read, in bytes.
pub const MAX_CONFIG: u64 = 1 << 20;

static CONFIG: LazyLock<Option<MessageDescriptor>> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).ok()?;
    pool.get_message_by_name("inference.ModelConfig")
});

/// Reads a `config.pbtxt` of the model in a folder of this name.
pub fn describe(text: &str, folder: &str) -> Result<Description, Refused> {
    let config = parse(text)?;
    let name = if config.name.is_empty() { folder } else { &config.name };
    ModelName::parse(name).map_err(|error| Refused::new("name", error.to_string()))?;
    is_libtorch(&config)?;
    unsupported::refuse(&config)?;
    let mut made = Description { name: name.to_owned(), ..Description::default() };
    made.manifest.task = "tensor";
    made.manifest.versions = Some(versions(config.version_policy.as_ref())?);
    let artefact = Some(config.default_model_filename.as_str()).filter(|file| !file.is_empty() && *file != "model.pt");
    if artefact.is_some_and(|file| file.contains(['/', '\\']) || file.starts_with('.')) {
        return Err(Refused::new("default_model_filename", "must be the name of a file in the version's folder"));
    }
    made.manifest.artefact = artefact.map(ToOwned::to_owned);
    tensors::carry(&config, &mut made)?;
    scheduling::carry(&config, &mut made);
    unsupported::note(&config, &mut made);
    Ok(made)
}

fn parse(text: &str) -> Result<ModelConfig, Refused> {
    let wrong = |reason: String| Refused::new(FILE_NAME, reason);
    let descriptor = CONFIG.clone().ok_or_else(|| wrong("its form is not known to this build".to_owned()))?;
    let read = DynamicMessage::parse_text_format(descriptor, &colons::before_lists(text)).map_err(|error| wrong(error.to_string()))?;
    read.transcode_to().map_err(|error| wrong(error.to_string()))
}

fn is_libtorch(config: &ModelConfig) -> Result<(), Refused> {
    let reason = |what: &str| format!("\"{what}\" is not imported; only TorchScript models of pytorch_libtorch are");
    match (config.platform.as_str(), config.backend.as_str()) {
        ("pytorch_libtorch", "" | "pytorch") | ("", "pytorch") => {}
        ("", "") => return Err(Refused::new("platform", "must be \"pytorch_libtorch\"")),
        ("" | "pytorch_libtorch", backend) => return Err(Refused::new("backend", reason(backend))),
        (platform, _) => return Err(Refused::new("platform", reason(platform))),
    }
    match config.runtime.as_str() {
        "" => Ok(()),
        runtime => Err(Refused::new("runtime", reason(runtime))),
    }
}

/// Triton serves the latest version unless told otherwise.
fn versions(policy: Option<&ModelVersionPolicy>) -> Result<toml::Value, Refused> {
    let wrong = || Refused::new("version_policy", "must name versions from 1 up");
    Ok(match policy.and_then(|policy| policy.policy_choice.as_ref()) {
        None => "latest".into(),
        Some(PolicyChoice::All(_)) => "all".into(),
        Some(PolicyChoice::Latest(latest)) if latest.num_versions <= 1 => "latest".into(),
        Some(PolicyChoice::Latest(latest)) => toml::Table::from_iter([("latest".to_owned(), i64::from(latest.num_versions).into())]).into(),
        Some(PolicyChoice::Specific(specific)) if !specific.versions.is_empty() && specific.versions.iter().all(|version| *version > 0) => {
            specific.versions.clone().into()
        }
        Some(PolicyChoice::Specific(_)) => return Err(wrong()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Triton's documentation has it.
    const RESNET: &str = r#"
        name: "resnet50"
        platform: "pytorch_libtorch"
        max_batch_size: 128
        input [ { name: "INPUT__0" data_type: TYPE_FP32 dims: [ 3, -1, -1 ] format: FORMAT_NCHW } ]
        output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 1000 ] label_filename: "labels.txt" } ]
        instance_group [ { count: 2 kind: KIND_GPU gpus: [ 1 ] } ]
        dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 100 }
        version_policy: { specific { versions: [ 1, 3 ] } }
        parameters: { key: "INFERENCE_MODE" value: { string_value: "true" } }
        parameters: { key: "INTRA_OP_THREAD_COUNT" value: { string_value: "4" } }  # a comment
        optimization { graph { level: 1 } }
    "#;

    fn noted(made: &Description) -> Vec<&str> {
        made.notes.iter().map(|note| note.field.as_str()).collect()
    }

    #[test]
    fn what_has_a_word_here_is_carried_over_and_the_rest_is_said() {
        let made = describe(RESNET, "resnet50").unwrap();
        let manifest = &made.manifest;
        assert_eq!(manifest.versions, Some(vec![1_i64, 3].into()));
        assert_eq!(manifest.inputs[0].shape, [-1, 3, -1, -1]);
        assert_eq!(manifest.outputs[0].shape, [-1, 1000]);
        assert_eq!((manifest.device.as_deref(), manifest.instances, manifest.intra_op_threads), (Some("cuda:1"), Some(2), Some(4)));
        assert_eq!((manifest.batching.max_batch, manifest.batching.max_queue_delay.as_deref()), (Some(128), Some("100us")));
        let expected = [
            "input[0].format",
            "output[0].label_filename",
            "dynamic_batching.preferred_batch_size",
            "optimization",
            "parameters[\"INFERENCE_MODE\"]",
        ];
        assert_eq!(noted(&made), expected);
        let text = made.text("Triton").unwrap();
        assert!(text.parse::<toml::Table>().is_ok() && text.contains("# optimization: "), "{text}");
    }

    #[test]
    fn a_minimal_configuration_takes_its_name_from_the_folder_and_serves_the_latest() {
        let text = "backend: \"pytorch\" max_batch_size: 0 input { name: 'x' data_type: TYPE_INT64 dims: [ -1, 4 ] } output { name: 'y' data_type: TYPE_BOOL dims: -1 }";
        let made = describe(text, "m").unwrap();
        assert_eq!((made.name.as_str(), made.manifest.versions.clone()), ("m", Some("latest".into())));
        assert_eq!((made.manifest.inputs[0].shape.as_slice(), made.manifest.batching.max_batch), (&[-1, 4][..], None));
        assert_eq!(noted(&made), ["dynamic_batching"]);
    }

    #[test]
    fn what_would_be_another_model_here_is_refused_by_its_field() {
        let base = "input { name: 'x' data_type: TYPE_FP32 dims: 4 } output { name: 'y' data_type: TYPE_FP32 dims: 4 } max_batch_size: 1 ";
        let libtorch = "platform: 'pytorch_libtorch' ";
        for (field, text) in [
            ("config.pbtxt", "platform ["),
            ("config.pbtxt", "no_such_field: 1"),
            ("platform", "platform: 'tensorrt_plan'"),
            ("backend", "backend: 'python'"),
            ("runtime", &format!("{libtorch}{base} runtime: 'model.py'")),
            ("ensemble_scheduling", &format!("platform: 'pytorch_libtorch' {base} ensemble_scheduling {{ step {{ model_name: 'a' }} }}")),
            ("sequence_batching", &format!("{libtorch}{base} sequence_batching {{ direct {{ }} }}")),
            ("model_transaction_policy.decoupled", &format!("{libtorch}{base} model_transaction_policy {{ decoupled: true }}")),
            ("name", &format!("{libtorch}{base} name: '../etc'")),
            ("default_model_filename", &format!("{libtorch}{base} default_model_filename: '../x.pt'")),
            ("input", "platform: 'pytorch_libtorch' output { name: 'y' data_type: TYPE_FP32 dims: 4 } max_batch_size: 1"),
            ("input[0].data_type", &format!("{libtorch} input {{ name: 's' data_type: TYPE_STRING dims: 1 }} {base}")),
            ("input[0].dims", &format!("{libtorch} input {{ name: 's' data_type: TYPE_FP32 dims: [ 0 ] }} {base}")),
            ("input[1].name", &format!("{libtorch} input {{ name: 'x' data_type: TYPE_FP32 dims: 1 }} {base}")),
            ("input[0].name", &format!("{libtorch} input {{ name: '{}' data_type: TYPE_FP32 dims: 1 }} {base}", "n".repeat(257))),
        ] {
            let refused = describe(text, "m").unwrap_err();
            assert_eq!(refused.field, field, "{refused}");
        }
    }
}
