//! Models saved as `TorchScript`, run by libtorch.

use std::{io, path::Path};

use tch::{CModule, IValue, Kind, TchError};

use super::{
    Engine, EngineError, EngineSpec, cuda, outputs,
    tensors::{from_torch, kind_of_weights, text, to_torch, use_threads},
};
use crate::tensor::Tensor;

/// What files of modules are called.
const MODULES: [&str; 5] = [".pt", ".pth", ".jit", ".ts", ".torchscript"];
const FLOATING: [Kind; 4] = [Kind::Float, Kind::Double, Kind::Half, Kind::BFloat16];

/// A loaded module, with weights of its own: a module may keep state in itself, which two threads must not share.
pub(super) struct TorchScript {
    module: CModule,
    device: tch::Device,
    /// What the weights were converted to.
    weights: Option<Kind>,
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
        let weights = kind_of_weights(spec.dtype);
        let module = load_module(&spec.artefact, device, weights)?;
        let intra_op_threads = i32::try_from(spec.intra_op_threads.max(1)).unwrap_or(i32::MAX);
        Ok(Self { module, device, weights, intra_op_threads, outputs: spec.outputs.clone() })
    }
}

impl Engine for TorchScript {
    fn forward(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        use_threads(self.intra_op_threads);
        let _no_grad = tch::no_grad_guard();
        let values = inputs.iter().enumerate().map(|(index, input)| self.input(index, input)).collect::<Result<Vec<_>, _>>()?;
        let answer = self.module.forward_is(&values).map_err(|error| EngineError::forward(text(error)))?;
        outputs::tensors(answer, &self.outputs)?.iter().map(|output| from_torch(&self.widened(output)?)).collect()
    }

    fn platform(&self) -> &'static str {
        "pytorch_torchscript"
    }
}

impl TorchScript {
    /// An input where the model runs; single precision becomes what the weights are.
    fn input(&self, index: usize, input: &Tensor) -> Result<IValue, EngineError> {
        let tensor = to_torch(index, input, self.device)?;
        let tensor = match self.weights {
            Some(kind) if tensor.kind() == Kind::Float => tensor.f_to_kind(kind).map_err(|error| EngineError::forward(text(error)))?,
            _ => tensor,
        };
        Ok(IValue::Tensor(tensor))
    }

    /// An output as callers know it: what is computed with narrower weights goes out in single precision.
    fn widened(&self, output: &tch::Tensor) -> Result<tch::Tensor, EngineError> {
        let narrow = self.weights.is_some_and(|kind| kind == output.kind() && kind != Kind::Float);
        let made = if narrow { output.f_to_kind(Kind::Float) } else { Ok(output.shallow_clone()) };
        made.map_err(|error| EngineError::forward(text(error)))
    }
}

/// Reads a module, with errors that name the file and not the folder it lies in.
pub(super) fn load_module(artefact: &Path, device: tch::Device, weights: Option<Kind>) -> Result<CModule, EngineError> {
    let file = artefact.file_name().unwrap_or(artefact.as_os_str()).to_string_lossy();
    let path = artefact.to_string_lossy();
    let failed = |detail: String| EngineError::load(file.clone(), in_words(&detail) + &detail.replace(path.as_ref(), &file));
    std::fs::File::open(artefact).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => failed(beside(artefact)),
        _ => failed(error.to_string()),
    })?;
    let mut module = CModule::load_on_device(artefact, device).map_err(|error| failed(text(error)))?;
    // A model saved while it was being trained would still drop activations at random. A traced module has no such mode and says so,
    // which is no reason to refuse it.
    let _ = module.f_set_eval();
    if let Some(kind) = weights {
        convert(&module, kind).map_err(|error| failed(text(error)))?;
    }
    Ok(module)
}

/// A line that says what a file is which libtorch cannot read, where its own words do not.
fn in_words(detail: &str) -> String {
    let words = if detail.contains("constants.pkl") {
        "it is no TorchScript file but what torch.save writes; in the Python that has the model's code, torch.jit.script(model).save(\"model.pt\") makes one\n"
    } else if detail.contains("failed reading zip archive") {
        "it is damaged, or not all of it is there\n"
    } else {
        ""
    };
    words.to_owned()
}

/// That a file is not there, and which others are that may be meant.
fn beside(artefact: &Path) -> String {
    let folder = artefact.parent().into_iter().flat_map(std::fs::read_dir).flatten().flatten();
    let names = folder.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut others: Vec<_> = names.filter(|name| MODULES.iter().any(|ending| name.ends_with(ending))).collect();
    others.sort();
    match others.first() {
        Some(other) => {
            format!("it is not in the version's folder, and {other} is; rename that, or say artefact = \"{other}\" in model.toml")
        }
        None => "it is not in the version's folder".to_owned(),
    }
}

/// Converts the floating-point weights in place. Buffers stay as they are: they hold positions and running statistics, not factors.
fn convert(module: &CModule, kind: Kind) -> Result<(), TchError> {
    let _no_grad = tch::no_grad_guard();
    let weights = module.named_parameters()?;
    let floating = weights.into_iter().map(|(_, weight)| weight).filter(|weight| FLOATING.contains(&weight.kind()));
    let converted = floating.map(|mut weight| {
        let narrow = weight.f_to_kind(kind)?;
        weight.f_set_data(&narrow)
    });
    match converted.collect::<Result<Vec<_>, _>>()?.len() {
        0 => Err(TchError::Torch("dtype is set, and the module has no parameters that could be converted (is it frozen?)".to_owned())),
        _ => Ok(()),
    }
}
