//! Between our tensors and libtorch's.

use std::cell::Cell;

use bytes::Bytes;
use tch::{Kind, TchError};

use super::{Dtype, EngineError, cuda};
use crate::tensor::{Datatype, Tensor};

/// Sets how many threads an operation that this thread starts may use. The setting belongs to the calling thread, so it is made
/// where the work is done, once.
pub(super) fn use_threads(count: i32) {
    thread_local!(static CURRENT: Cell<i32> = const { Cell::new(0) });
    if CURRENT.replace(count) != count {
        tch::set_num_threads(count);
    }
}

/// Copies an input to where a model runs. A copy, because bytes from the wire are not aligned, and a model may write to its inputs.
pub(super) fn to_torch(index: usize, input: &Tensor, device: tch::Device) -> Result<tch::Tensor, EngineError> {
    if !input.is_consistent() {
        return Err(EngineError::InconsistentInput { index, actual: input.data.len() });
    }
    let kind = kind_of(input.datatype).ok_or(EngineError::UnsupportedDatatype { datatype: input.datatype })?;
    let copy = || {
        let tensor = match kind {
            // A C++ bool that is neither 0 nor 1 is undefined behaviour, and a caller may send any byte.
            Kind::Bool => tch::Tensor::f_from_data_size(&input.data, &input.shape, Kind::Uint8)?.f_ne(0)?,
            _ => tch::Tensor::f_from_data_size(&input.data, &input.shape, kind)?,
        };
        if device == tch::Device::Cpu { Ok(tensor) } else { tensor.f_to(device) }
    };
    copy().map_err(|error| EngineError::forward(text(error)))
}

/// The values of a whole `FP32` tensor on the CPU, in the order of its shape.
#[expect(unsafe_code, reason = "the binding has no view of a tensor's values")]
pub(super) fn values(tensor: &tch::Tensor) -> Result<&[f32], TchError> {
    if tensor.f_kind()? != Kind::Float || tensor.device() != tch::Device::Cpu || !tensor.is_contiguous() {
        return Err(TchError::Kind("only the values of a contiguous FP32 tensor on the CPU can be seen".to_owned()));
    }
    // A tensor of nothing may lie nowhere, and a slice may not.
    if tensor.numel() == 0 {
        return Ok(&[]);
    }
    // SAFETY: that many values of that type lie there, and live as long as the tensor, whose values nobody changes.
    Ok(unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<f32>(), tensor.numel()) })
}

/// A tensor on the CPU: this one, or a copy of a GPU's.
pub(super) fn to_host(tensor: &tch::Tensor) -> Result<tch::Tensor, TchError> {
    if tensor.device() == tch::Device::Cpu { Ok(tensor.shallow_clone()) } else { cuda::fetch(tensor) }
}

/// What a tensor on the CPU holds.
struct Held(tch::Tensor);

impl AsRef<[u8]> for Held {
    #[expect(unsafe_code, reason = "the binding has no view of a tensor's bytes")]
    fn as_ref(&self) -> &[u8] {
        let bytes = self.0.numel() * self.0.kind().elt_size_in_bytes();
        if bytes == 0 {
            return &[];
        }
        // SAFETY: `from_torch` made it of a contiguous tensor on the CPU, which nobody else has: so many bytes lie there, and nobody changes them.
        unsafe { std::slice::from_raw_parts(self.0.data_ptr().cast::<u8>(), bytes) }
    }
}

/// Bytes of an answer that stays, until it is sent, in memory that the GPU writes itself: libtorch never gives such memory back.
const MOST_PINNED: usize = 64 << 20;

/// Copies a tensor out of libtorch.
pub(super) fn from_torch(tensor: &tch::Tensor) -> Result<Tensor, EngineError> {
    let kind = tensor.f_kind().map_err(|error| EngineError::forward(text(error)))?;
    let datatype = datatype_of(kind).ok_or_else(|| EngineError::UnsupportedOutput { what: format!("a {kind:?} tensor") })?;
    if tensor.device() != tch::Device::Cpu && tensor.numel() * kind.elt_size_in_bytes() <= MOST_PINNED {
        let held = tensor.f_contiguous().and_then(|tensor| cuda::fetch(&tensor)).map_err(|error| EngineError::forward(text(error)))?;
        return Ok(Tensor { datatype, shape: tensor.size(), data: Bytes::from_owner(Held(held)) });
    }
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

/// What libtorch calls a number format; `None`: as it is.
pub(super) fn kind_of_weights(dtype: Dtype) -> Option<Kind> {
    match dtype {
        // The last two no runtime of libtorch's takes (`engine::load`).
        Dtype::Auto | Dtype::Int8 | Dtype::Int4 => None,
        Dtype::Fp32 => Some(Kind::Float),
        Dtype::Bf16 => Some(Kind::BFloat16),
        Dtype::Fp16 => Some(Kind::Half),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_of_nothing_has_no_values_and_is_none_the_worse_for_it() {
        let nothing = tch::Tensor::zeros([0, 3], (Kind::Float, tch::Device::Cpu));
        assert_eq!(values(&nothing).unwrap(), &[] as &[f32]);
    }
}
