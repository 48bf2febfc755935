//! Between our tensors and libtorch's.

use std::cell::Cell;

use tch::{Kind, TchError};

use super::EngineError;
use crate::tensor::{Datatype, Tensor};

/// Sets how many threads an operation that this thread starts may use. The setting belongs to the calling thread, so it is made
/// where the work is done, once.
pub(super) fn use_threads(count: i32) {
    thread_local!(static CURRENT: Cell<i32> = const { Cell::new(0) });
    if CURRENT.replace(count) != count {
        tch::set_num_threads(count);
    }
}

/// Copies a tensor out of libtorch.
pub(super) fn from_torch(tensor: &tch::Tensor) -> Result<Tensor, EngineError> {
    let kind = tensor.f_kind().map_err(|error| EngineError::forward(text(error)))?;
    let datatype = datatype_of(kind).ok_or_else(|| EngineError::UnsupportedOutput { what: format!("a {kind:?} tensor") })?;
    let mut data = vec![0; tensor.numel() * kind.elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut data, tensor.numel()).map_err(|error| EngineError::forward(text(error)))?;
    Ok(Tensor { datatype, shape: tensor.size(), data: data.into() })
}

/// The same datatypes in libtorch's words and ours; what is missing has no counterpart on the other side.
const KINDS: [(Datatype, Kind); 10] = [
    (Datatype::Bool, Kind::Bool),
    (Datatype::Uint8, Kind::Uint8),
    (Datatype::Int8, Kind::Int8),
    (Datatype::Int16, Kind::Int16),
    (Datatype::Int32, Kind::Int),
    (Datatype::Int64, Kind::Int64),
    (Datatype::Fp16, Kind::Half),
    (Datatype::Bf16, Kind::BFloat16),
    (Datatype::Fp32, Kind::Float),
    (Datatype::Fp64, Kind::Double),
];

pub(super) fn kind_of(datatype: Datatype) -> Option<Kind> {
    KINDS.iter().find(|(ours, _)| *ours == datatype).map(|(_, theirs)| *theirs)
}

fn datatype_of(kind: Kind) -> Option<Datatype> {
    KINDS.iter().find(|(_, theirs)| *theirs == kind).map(|(ours, _)| *ours)
}

/// All that libtorch said, without the binding's own preface.
pub(super) fn text(error: TchError) -> String {
    match error {
        TchError::Torch(text) => text,
        other => other.to_string(),
    }
}
