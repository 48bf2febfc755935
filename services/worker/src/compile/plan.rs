//! What is to be compiled: the model's manifest and files, in the words of `compile.py`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use torchmesh_api::ids::{ModelName, ModelVersion};

use super::{CompileArgs, CompileError};
use crate::{
    engine::{Dtype, EngineSpec, aoti},
    manifest::{Manifest, Task},
    models::{Intake, engine_spec, load_task, version_of},
};

/// Everything about the model that compiling and checking need.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) version: ModelVersion,
    /// The version's folder.
    pub(super) folder: PathBuf,
    pub(super) manifest: Arc<Manifest>,
    /// The original, as the worker loads it.
    pub(super) spec: EngineSpec,
    /// `cpu` or `cuda`.
    pub(super) device: &'static str,
    /// Token ids are below this; for a model of tensors, 2.
    pub(super) vocabulary: usize,
    cpu: String,
    program: Option<PathBuf>,
}

/// What `compile.py` reads.
#[derive(Serialize)]
struct Script<'a> {
    source: &'a Path,
    kind: &'static str,
    hidden: bool,
    dtype: &'static str,
    device: &'static str,
    cpu: &'a str,
    length: usize,
    batched: bool,
    inputs: Vec<Input<'a>>,
    outputs: &'a [String],
    out: &'a Path,
}

#[derive(Serialize)]
struct Input<'a> {
    name: &'a str,
    datatype: &'static str,
    shape: &'a [i64],
}

impl Plan {
    /// Reads the model's folder.
    pub(super) fn make(
        models_dir: &Path,
        name: &ModelName,
        version: Option<ModelVersion>,
        args: &CompileArgs,
    ) -> Result<Self, CompileError> {
        let (version, folder, manifest) = version_of(models_dir, name, version).map_err(CompileError::new)?;
        if matches!(manifest.task, Task::Generate(_)) {
            return Err(CompileError::new("a language model is run by the worker's own decoder; there is nothing to compile"));
        }
        let (intake, finish) = load_task(&manifest.task, &folder).map_err(CompileError::new)?;
        let spec = EngineSpec { hidden: finish.wants_hidden(), ..engine_spec(&manifest, &folder) };
        let vocabulary = match &intake {
            Intake::Text(text) => text.tokeniser.vocabulary(),
            Intake::Tensors | Intake::Voice(_) | Intake::Language(_) => 2,
        };
        let program = args.program.clone().map(std::path::absolute).transpose();
        let plan = Self {
            version,
            device: aoti::device_word(spec.device),
            folder,
            manifest,
            spec,
            vocabulary,
            cpu: args.cpu.clone().unwrap_or_default(),
            program: program.map_err(|error| CompileError::new(error.to_string()))?,
        };
        let source = plan.source();
        if source.is_file() { Ok(plan) } else { Err(CompileError::new(format!("{} is missing", source.display()))) }
    }

    /// The file that is compiled.
    pub(super) fn source(&self) -> &Path {
        self.program.as_deref().unwrap_or(&self.spec.artefact)
    }

    /// Narrow weights round differently in another order.
    pub(super) fn default_tolerance(&self) -> f32 {
        if matches!(self.spec.dtype, Dtype::Bf16 | Dtype::Fp16) { 0.05 } else { 1e-4 }
    }

    /// The plan as `compile.py` reads it.
    pub(super) fn script(&self, out: &Path) -> Result<String, CompileError> {
        let kind = match (&self.program, self.spec.artefact.extension()) {
            (Some(_), _) => "program",
            (None, Some(extension)) if extension == "safetensors" => "native",
            _ => "torchscript",
        };
        let inputs = self.manifest.inputs.iter();
        let script = Script {
            source: &std::path::absolute(self.source()).map_err(|error| CompileError::file(self.source(), &error))?,
            kind,
            hidden: self.spec.hidden || matches!(self.manifest.task, Task::Embed(_)),
            dtype: self.spec.dtype.name(),
            device: self.device,
            cpu: &self.cpu,
            length: self.manifest.warmup.lengths.iter().copied().max().unwrap_or(16).max(2),
            batched: self.manifest.batched,
            inputs: inputs.map(|one| Input { name: &one.name, datatype: one.datatype.name(), shape: &one.shape }).collect(),
            outputs: &self.spec.outputs,
            out,
        };
        serde_json::to_string(&script).map_err(|error| CompileError::new(error.to_string()))
    }
}
