//! Runs an engine so that nothing it does reaches further than one batch.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use torchmesh_api::error::{ApiError, ErrorKind};

use super::{Assignment, Finish, assemble};
use crate::{
    engine::{Attribution, Engine, EngineError},
    manifest::{ATTENTION_MASK, NonFinite, Task, TensorSpec},
    tensor::Tensor,
};

/// Why a batch has no outputs.
pub(super) struct Failure {
    /// For its callers.
    pub(super) error: ApiError,
    /// Whether fewer rows at once might do.
    pub(super) splits: bool,
    /// Set when the engine is gone for good.
    pub(super) fatal: Option<String>,
}

/// An engine, and what it takes to load it again.
pub(super) struct Runner {
    assignment: Assignment,
    engine: Box<dyn Engine>,
    /// Where the attention mask is among the inputs, for pooling.
    mask: Option<usize>,
}

impl Runner {
    pub(super) fn load(assignment: &Assignment) -> Result<Self, String> {
        let engine = load_engine(assignment)?;
        let mask = assignment.manifest.inputs.iter().position(|input| input.name == ATTENTION_MASK);
        Ok(Self { assignment: assignment.clone(), engine, mask })
    }

    pub(super) fn platform(&self) -> &'static str {
        self.engine.platform()
    }

    pub(super) fn padding_costs(&self) -> bool {
        self.engine.padding_costs()
    }

    /// One forward.
    pub(super) fn forward(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        self.guarded(|engine, _| engine.forward(inputs))
    }

    /// A part of an explanation.
    pub(super) fn attribute(&mut self, inputs: &[Tensor], along: &Attribution) -> Result<Tensor, Failure> {
        self.guarded(|engine, finish| {
            let readout = finish.readout(along.label).ok_or_else(|| EngineError::forward("there is no such label"))?;
            engine.attribute(inputs, along, readout)
        })
    }

    pub(super) fn differentiates(&self) -> bool {
        self.engine.differentiates()
    }

    /// Calls the engine. After a panic it is loaded afresh, because nobody knows in what state it was left.
    fn guarded<T>(&mut self, call: impl FnOnce(&mut dyn Engine, &Finish) -> Result<T, EngineError>) -> Result<T, Failure> {
        let model = &self.assignment.model;
        match catch_unwind(AssertUnwindSafe(|| call(self.engine.as_mut(), &self.assignment.finish))) {
            Ok(Ok(outputs)) => Ok(outputs),
            Ok(Err(error)) => {
                tracing::warn!(%model, %error, detail = error.detail(), "a forward failed");
                let splits = matches!(error, EngineError::OutOfMemory { .. });
                Err(Failure { error: ApiError::new(ErrorKind::Internal, error.to_string()), splits, fatal: None })
            }
            Err(panic) => {
                tracing::error!(%model, panic = message(&*panic), "the engine panicked and is loaded again");
                let error = ApiError::new(ErrorKind::Internal, "the model broke while it ran this request");
                let fatal = load_engine(&self.assignment).map(|engine| self.engine = engine).err();
                Err(Failure {
                    error,
                    splits: false,
                    fatal: fatal.map(|reason| format!("the engine panicked and could not be loaded again: {reason}")),
                })
            }
        }
    }

    /// Makes what callers get of what the engine returned, and checks it.
    pub(super) fn finish(&self, outputs: Vec<Tensor>, inputs: &[Tensor], rows: usize) -> Result<Vec<Tensor>, Failure> {
        let mask = self.mask.and_then(|at| inputs.get(at));
        let finished = self.assignment.finish.apply(outputs, mask);
        let rows = self.assignment.manifest.batched.then_some(rows);
        finished.and_then(|outputs| assemble::check(&outputs, rows, &self.assignment.manifest.outputs).map(|()| outputs)).map_err(
            |reason| {
                tracing::error!(model = %self.assignment.model, reason, "the model does not keep to its manifest");
                Failure { error: ApiError::new(ErrorKind::Internal, reason), splits: false, fatal: None }
            },
        )
    }

    /// Whether one request's outputs may be sent: numbers that are none are held back where the manifest says so.
    pub(super) fn sound(&self, outputs: &[Tensor]) -> Result<(), ApiError> {
        let manifest = &self.assignment.manifest;
        if manifest.non_finite == NonFinite::Pass {
            return Ok(());
        }
        let unsound = manifest.outputs.iter().zip(outputs).find(|(_, output)| !output.is_finite());
        unsound.map_or(Ok(()), |(spec, _)| {
            tracing::warn!(model = %self.assignment.model, output = spec.name, "an answer holds NaN or infinity and is held back");
            Err(ApiError::new(ErrorKind::Internal, format!("the model's \"{}\" holds NaN or infinity for this input", spec.name)))
        })
    }

    /// The manifest's outputs with the dimensions that `outputs` show: those of a text model, or of one that classifies images, that no caller
    /// chooses.
    pub(super) fn learned(&self, outputs: &[Tensor]) -> Vec<TensorSpec> {
        let manifest = &self.assignment.manifest;
        let mut specs = manifest.outputs.clone();
        if manifest.task.text().is_some() || matches!(manifest.task, Task::ClassifyImage(_)) {
            let chosen = if manifest.task.is_by_token() { 2 } else { 1 };
            for (spec, output) in specs.iter_mut().zip(outputs) {
                spec.shape.truncate(chosen);
                spec.shape.extend(output.shape.iter().skip(chosen));
            }
        }
        specs
    }
}

/// Loads the engine; a panic while loading is an error like any other.
fn load_engine(assignment: &Assignment) -> Result<Box<dyn Engine>, String> {
    let model = &assignment.model;
    match catch_unwind(AssertUnwindSafe(|| (assignment.load)(&assignment.spec))) {
        Ok(Ok(engine)) => Ok(engine),
        Ok(Err(error)) => {
            tracing::error!(%model, %error, detail = EngineError::detail(&error), "a model could not be loaded");
            Err(error.to_string())
        }
        Err(panic) => {
            tracing::error!(%model, panic = message(&*panic), "the engine panicked while it loaded a model");
            Err("the engine broke while it loaded the model".to_owned())
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
