//! Models saved as `TorchScript`, run by libtorch.

use std::cell::Cell;
use std::path::Path;

use tch::{CModule, IValue, Kind, TchError};

use super::{Engine, EngineError, EngineSpec, cuda};
use crate::tensor::{Datatype, Tensor};

/// A loaded module, with weights of its own: a module may keep state in itself, which two threads must not share.
pub(super) struct TorchScript {
    module: CModule,
    device: tch::Device,
    intra_op_threads: i32,
    outputs: Vec<String>,
}

impl TorchScript {
    /// Reads the artefact and puts its weights on the device.
    pub(super) fn load(spec: &EngineSpec) -> Result<Self, EngineError> {
        let device = cuda::resolve(spec.device)?;
        // The optimising executor re-specialises a model for each new input shape, in the middle of the first requests that have
        // it, and gains an encoder nothing once it is warm.
        tch::jit::set_graph_executor_optimize(false);
        let module = load_module(&spec.artefact, device)?;
        let intra_op_threads = i32::try_from(spec.intra_op_threads.max(1)).unwrap_or(i32::MAX);
        Ok(Self { module, device, intra_op_threads, outputs: spec.outputs.clone() })
    }
}

impl Engine for TorchScript {
    fn forward(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        use_threads(self.intra_op_threads);
        let _no_grad = tch::no_grad_guard();
        let values = inputs.iter().enumerate().map(|(index, input)| self.input(index, input)).collect::<Result<Vec<_>, _>>()?;
        let answer = self.module.forward_is(&values).map_err(|error| EngineError::forward(text(error)))?;
        tensors(answer, &self.outputs)?.iter().map(from_torch).collect()
    }

    fn platform(&self) -> &'static str {
        "pytorch_torchscript"
    }
}

impl TorchScript {
    /// Copies an input to where the model runs. A copy, because bytes from the wire are not aligned, and a model may write to its
    /// inputs.
    fn input(&self, index: usize, input: &Tensor) -> Result<IValue, EngineError> {
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
            if self.device == tch::Device::Cpu { Ok(tensor) } else { tensor.f_to(self.device) }
        };
        copy().map(IValue::Tensor).map_err(|error| EngineError::forward(text(error)))
    }
}

/// Sets how many threads an operation that this thread starts may use. The setting belongs to the calling thread, so it is made
/// where the work is done, once.
fn use_threads(count: i32) {
    thread_local!(static CURRENT: Cell<i32> = const { Cell::new(0) });
    if CURRENT.replace(count) != count {
        tch::set_num_threads(count);
    }
}

/// Reads a module, with errors that name the file and not the folder it lies in.
fn load_module(artefact: &Path, device: tch::Device) -> Result<CModule, EngineError> {
    let file = artefact.file_name().unwrap_or(artefact.as_os_str()).to_string_lossy();
    let path = artefact.to_string_lossy();
    let failed = |detail: String| EngineError::load(file.clone(), detail.replace(path.as_ref(), &file));
    std::fs::File::open(artefact).map_err(|error| failed(error.to_string()))?;
    let mut module = CModule::load_on_device(artefact, device).map_err(|error| failed(text(error)))?;
    // A model saved while it was being trained would still drop activations at random. A traced module has no such mode and says so,
    // which is no reason to refuse it.
    let _ = module.f_set_eval();
    Ok(module)
}

/// The tensors of what a model returned, in the order of `names` when it is a dictionary.
fn tensors(answer: IValue, names: &[String]) -> Result<Vec<tch::Tensor>, EngineError> {
    match answer {
        IValue::Tensor(tensor) => Ok(vec![tensor]),
        IValue::TensorList(list) => Ok(list),
        IValue::Tuple(items) | IValue::GenericList(items) => items.into_iter().map(tensor).collect(),
        IValue::GenericDict(entries) => pick(entries, names),
        other => tensor(other).map(|tensor| vec![tensor]),
    }
}

/// The entries of a dictionary, in the order of `names`.
fn pick(mut entries: Vec<(IValue, IValue)>, names: &[String]) -> Result<Vec<tch::Tensor>, EngineError> {
    if names.is_empty() {
        return entries.into_iter().map(|(_, value)| tensor(value)).collect();
    }
    let mut take = |name: &String| {
        let is_named = |(key, _): &(IValue, IValue)| matches!(key, IValue::String(key) if key == name);
        let position = entries.iter().position(is_named).ok_or_else(|| EngineError::MissingOutput { name: name.clone() })?;
        tensor(entries.swap_remove(position).1)
    };
    names.iter().map(&mut take).collect()
}

/// The tensor that `value` has to be.
fn tensor(value: IValue) -> Result<tch::Tensor, EngineError> {
    let what = match value {
        IValue::Tensor(tensor) => return Ok(tensor),
        IValue::None => "nothing",
        IValue::Double(_) | IValue::Int(_) | IValue::Bool(_) => "a number that is not a tensor",
        IValue::String(_) | IValue::StringList(_) => "a string",
        IValue::GenericDict(_) => "a dictionary inside another value",
        IValue::Object(_) => "an object",
        _ => "a list or tuple inside another value",
    };
    Err(EngineError::UnsupportedOutput { what: what.to_owned() })
}

/// Copies a tensor out of libtorch.
fn from_torch(tensor: &tch::Tensor) -> Result<Tensor, EngineError> {
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

fn kind_of(datatype: Datatype) -> Option<Kind> {
    KINDS.iter().find(|(ours, _)| *ours == datatype).map(|(_, theirs)| *theirs)
}

fn datatype_of(kind: Kind) -> Option<Datatype> {
    KINDS.iter().find(|(_, theirs)| *theirs == kind).map(|(ours, _)| *ours)
}

/// All that libtorch said, without the binding's own preface.
fn text(error: TchError) -> String {
    match error {
        TchError::Torch(text) => text,
        other => other.to_string(),
    }
}
