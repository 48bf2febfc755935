//! How a model is described to clients: `ModelMetadata` and `ModelConfig`.

use torchmesh_api::inference::{
    DataType, ModelConfig, ModelDynamicBatching, ModelInput, ModelInstanceGroup, ModelMetadataResponse, ModelOutput, ModelQueuePolicy,
    ModelTransactionPolicy, ModelVersionPolicy, model_config::SchedulingChoice, model_instance_group::Kind,
    model_metadata_response::TensorMetadata, model_version_policy,
};

use super::properties;
use crate::{
    admission::Priority,
    engine::Device,
    manifest::{Manifest, TensorSpec},
    models::{Model, Serving},
    tensor::Datatype,
};

pub(super) fn metadata(model: &Model, serving: &Serving, versions: Vec<String>) -> ModelMetadataResponse {
    let tensor = |spec: &TensorSpec| TensorMetadata {
        name: spec.name.clone(),
        datatype: spec.datatype.name().to_owned(),
        shape: spec.shape.clone(),
    };
    ModelMetadataResponse {
        name: model.name.to_string(),
        versions,
        platform: serving.platform.to_owned(),
        inputs: serving.manifest.inputs.iter().map(tensor).collect(),
        outputs: serving.outputs.iter().map(tensor).collect(),
        properties: properties::of(serving),
    }
}

pub(super) fn config(model: &Model, serving: &Serving) -> ModelConfig {
    let manifest = &*serving.manifest;
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    // The protocol leaves the batch out of `dims` when `max_batch_size` is set.
    let dims = |spec: &TensorSpec| spec.shape[usize::from(manifest.batched)..].to_vec();
    let input = |spec: &TensorSpec| ModelInput {
        name: spec.name.clone(),
        data_type: data_type(spec.datatype).into(),
        dims: dims(spec),
        ..Default::default()
    };
    let output = |spec: &TensorSpec| ModelOutput {
        name: spec.name.clone(),
        data_type: data_type(spec.datatype).into(),
        dims: dims(spec),
        ..Default::default()
    };
    ModelConfig {
        name: model.name.to_string(),
        platform: serving.platform.to_owned(),
        backend: "pytorch".to_owned(),
        version_policy: Some(ModelVersionPolicy { policy_choice: Some(model_version_policy::PolicyChoice::All(Default::default())) }),
        max_batch_size: if manifest.batched { count(manifest.batching.max_batch) } else { 0 },
        input: manifest.inputs.iter().map(input).collect(),
        output: serving.outputs.iter().map(output).collect(),
        instance_group: vec![instances(model, manifest)],
        default_model_filename: serving.artefact.file.clone(),
        // A language model answers a request on a stream with as many responses as there are pieces of its text.
        model_transaction_policy: serving.language().map(|_| ModelTransactionPolicy { decoupled: true }),
        scheduling_choice: Some(SchedulingChoice::DynamicBatching(batching(manifest))),
        ..Default::default()
    }
}

fn instances(model: &Model, manifest: &Manifest) -> ModelInstanceGroup {
    let (kind, gpus) = match manifest.device {
        Device::Auto => (Kind::Auto, vec![]),
        Device::Cpu => (Kind::Cpu, vec![]),
        Device::Cuda(index) => (Kind::Gpu, vec![i32::try_from(index).unwrap_or(i32::MAX)]),
    };
    let count = i32::try_from(manifest.instances).unwrap_or(i32::MAX);
    ModelInstanceGroup { name: model.name.to_string(), kind: kind.into(), count, gpus, ..Default::default() }
}

fn batching(manifest: &Manifest) -> ModelDynamicBatching {
    let max_queue_size = u32::try_from(manifest.queue.max_requests).unwrap_or(u32::MAX);
    ModelDynamicBatching {
        max_queue_delay_microseconds: u64::try_from(manifest.batching.max_queue_delay.as_micros()).unwrap_or(u64::MAX),
        priority_levels: Priority::ALL.len() as u64,
        default_priority_level: manifest.queue.priority.level(),
        default_queue_policy: Some(ModelQueuePolicy { max_queue_size, ..Default::default() }),
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
