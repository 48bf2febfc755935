//! How a pipeline is described to clients: as any model.

use torchmesh_api::{
    inference::{DataType, ModelConfig, ModelInput, ModelMetadataResponse, ModelOutput, model_metadata_response::TensorMetadata},
    tensor::Datatype,
};
use torchmesh_pipeline::kind::Named;

use crate::registry::{Serving, Version};

/// What clients read where other models have a runtime's name.
const PLATFORM: &str = "torchmesh_pipeline";

pub(super) fn metadata(version: &Version, serving: &Serving, versions: Vec<String>) -> ModelMetadataResponse {
    let tensor = |named: &Named| TensorMetadata {
        name: named.name.clone(),
        datatype: named.kind.datatype.name().to_owned(),
        shape: named.kind.shape.clone(),
    };
    let description = &serving.plan.pipeline.description;
    let steps = serving.plan.nodes.len().to_string();
    let properties = [("task", "tensor".to_owned()), ("pipeline_steps", steps), ("description", description.clone())];
    ModelMetadataResponse {
        name: version.name.to_string(),
        versions,
        platform: PLATFORM.to_owned(),
        inputs: serving.signature.inputs.iter().map(tensor).collect(),
        outputs: serving.signature.outputs.iter().map(tensor).collect(),
        properties: properties.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}

pub(super) fn config(version: &Version, serving: &Serving) -> ModelConfig {
    let (signature, platform) = (&serving.signature, PLATFORM.to_owned());
    let input = |named: &Named| ModelInput {
        name: named.name.clone(),
        data_type: data_type(named.kind.datatype).into(),
        dims: named.kind.shape.clone(),
        ..Default::default()
    };
    let output = |named: &Named| ModelOutput {
        name: named.name.clone(),
        data_type: data_type(named.kind.datatype).into(),
        dims: named.kind.shape.clone(),
        ..Default::default()
    };
    ModelConfig {
        name: version.name.to_string(),
        platform,
        input: signature.inputs.iter().map(input).collect(),
        output: signature.outputs.iter().map(output).collect(),
        ..Default::default()
    }
}

fn data_type(datatype: Datatype) -> DataType {
    match datatype {
        Datatype::Bool => DataType::TypeBool,
        Datatype::Uint8 => DataType::TypeUint8,
        Datatype::Uint16 => DataType::TypeUint16,
        Datatype::Uint32 => DataType::TypeUint32,
        Datatype::Uint64 => DataType::TypeUint64,
        Datatype::Int8 => DataType::TypeInt8,
        Datatype::Int16 => DataType::TypeInt16,
        Datatype::Int32 => DataType::TypeInt32,
        Datatype::Int64 => DataType::TypeInt64,
        Datatype::Fp16 => DataType::TypeFp16,
        Datatype::Bf16 => DataType::TypeBf16,
        Datatype::Fp32 => DataType::TypeFp32,
        Datatype::Fp64 => DataType::TypeFp64,
        Datatype::Bytes => DataType::TypeString,
    }
}
