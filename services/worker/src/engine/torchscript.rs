//! Models saved as `TorchScript`, run by libtorch.

use std::path::Path;

use tch::{CModule, IValue, Kind};

use super::{
    Engine, EngineError, EngineSpec, cuda,
    tensors::{from_torch, kind_of, text, use_threads},
};
use crate::tensor::Tensor;

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
