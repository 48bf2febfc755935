//! The mesh's descriptions as JSON: the protos' fields by the names that they have there, as the protocol's REST form has them.

use std::sync::LazyLock;

use bytes::Bytes;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;
use torchmesh_api::{
    FILE_DESCRIPTOR_SET,
    error::{ApiError, ErrorKind},
};

pub(crate) static PROTOS: LazyLock<DescriptorPool> = LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap_or_default());

/// Fields from this number on are no part of the protocol: they are between workers and routers.
pub(crate) const OURS: u32 = 1001;

/// A message of `package inference`, as it came, in JSON. Fields at their defaults are written too.
pub(super) fn json(message: &str, bytes: Bytes) -> Result<Value, ApiError> {
    let options = SerializeOptions::new().use_proto_field_name(true).stringify_64_bit_integers(false).skip_default_fields(false);
    let written = PROTOS
        .get_message_by_name(&format!("inference.{message}"))
        .and_then(|descriptor| DynamicMessage::decode(descriptor, bytes).ok())
        .and_then(|message| message.serialize_with_options(serde_json::value::Serializer, &options).ok());
    written.ok_or_else(|| ApiError::new(ErrorKind::Internal, "a router answered with a message of another form"))
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use serde_json::json;
    use torchmesh_api::inference::{
        ModelConfig, ModelConfigResponse, ModelDynamicBatching, ModelInput, ModelMetadataResponse, model_config::SchedulingChoice,
        model_metadata_response::TensorMetadata,
    };

    use super::*;

    #[test]
    fn metadata_has_the_protocols_names_and_numbers_are_numbers() {
        let input = TensorMetadata { name: "x".to_owned(), datatype: "INT64".to_owned(), shape: vec![-1, 8] };
        let metadata = ModelMetadataResponse { name: "m".to_owned(), inputs: vec![input], ..Default::default() };
        let json = json("ModelMetadataResponse", metadata.encode_to_vec().into()).unwrap();
        assert_eq!(json["inputs"], json!([{ "name": "x", "datatype": "INT64", "shape": [-1, 8] }]));
        assert_eq!((&json["versions"], &json["platform"]), (&json!([]), &json!("")));
    }

    #[test]
    fn enums_are_names_and_what_was_not_chosen_is_absent() {
        let config = ModelConfig {
            input: vec![ModelInput { name: "x".to_owned(), data_type: 11, dims: vec![4], ..Default::default() }],
            scheduling_choice: Some(SchedulingChoice::DynamicBatching(ModelDynamicBatching::default())),
            ..Default::default()
        };
        let json = json("ModelConfigResponse", ModelConfigResponse { config: Some(config) }.encode_to_vec().into()).unwrap();
        assert_eq!(json["config"]["input"][0]["data_type"], "TYPE_FP32");
        assert_eq!(json["config"]["max_batch_size"], 0);
        assert!(json["config"]["dynamic_batching"].is_object());
        assert!(json["config"].get("sequence_batching").is_none() && json["config"].get("ensemble_scheduling").is_none());
    }
}
