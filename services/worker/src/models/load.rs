//! Loading one model version: tokeniser, executors, warm-up, ready.

use std::{
    fmt, io,
    path::Path,
    sync::{Arc, mpsc},
    thread,
};

use torchmesh_api::error::{ApiError, ErrorKind};

use super::model::{Model, Serving, TextModel};
use crate::{
    admission::{Queue, QueueSettings},
    engine::{self, EngineSpec},
    executor::{Assignment, EngineLoader, Executor, Facts},
    manifest::Manifest,
    text::Tokeniser,
};

/// What loading needs beside the model itself.
#[derive(Clone)]
pub struct LoadContext {
    /// How an engine is loaded.
    pub load: EngineLoader,
    /// Called when a model version has become ready or unavailable or is gone, and should a ready one break.
    pub settled: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for LoadContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadContext").finish_non_exhaustive()
    }
}

/// Loads the version in `folder` on threads of its own and returns at once.
///
/// `done` is called once, when the version has become ready or has failed.
pub(super) fn start(
    model: Arc<Model>,
    manifest: Arc<Manifest>,
    folder: &Path,
    context: LoadContext,
    done: impl FnOnce(&Arc<Model>) + Send + 'static,
) -> io::Result<()> {
    let queue = Queue::new(QueueSettings {
        limits: manifest.queue.clone(),
        batching: manifest.batching.clone(),
        instances: manifest.instances,
        depth: model.metrics.depth.clone(),
        dropped: model.metrics.dropped.clone(),
    });
    let assignment = Assignment {
        model: model.name.as_str().into(),
        spec: engine_spec(&manifest, folder),
        manifest,
        load: Arc::clone(&context.load),
        queue: Arc::clone(&queue),
        metrics: model.metrics.clone(),
        stats: Arc::default(),
    };
    let folder = folder.to_owned();
    thread::Builder::new().name(format!("load-{}", model.name)).spawn(move || {
        let made = load_text(&assignment.manifest, &folder).and_then(|text| {
            let facts = start_executors(&model, &assignment, &context)?;
            Ok((text, facts))
        });
        match made {
            Ok((text, facts)) => {
                tracing::info!(model = %model.name, version = %model.version, platform = facts.platform, "a model is ready");
                model.set_ready(serving(assignment, facts, text));
            }
            Err(reason) => break_down(&model, &assignment.queue, reason),
        }
        done(&model);
    })?;
    Ok(())
}

fn engine_spec(manifest: &Manifest, folder: &Path) -> EngineSpec {
    // An embedding model's first output is taken whatever it is called.
    let outputs = if manifest.text.is_some() { Vec::new() } else { manifest.outputs.iter().map(|output| output.name.clone()).collect() };
    EngineSpec { artefact: folder.join(&manifest.artefact), device: manifest.device, intra_op_threads: manifest.intra_op_threads, outputs }
}

fn load_text(manifest: &Manifest, folder: &Path) -> Result<Option<TextModel>, String> {
    let Some(settings) = &manifest.text else { return Ok(None) };
    let of_version = folder.join(&settings.tokenizer);
    let of_model = folder.with_file_name(&settings.tokenizer);
    let file = if of_version.is_file() { of_version } else { of_model };
    let tokeniser = Tokeniser::load(&file, settings.max_tokens)?;
    Ok(Some(TextModel::new(settings.clone(), tokeniser)))
}

/// Starts every instance and waits until all are warm; the error of the first that is not.
fn start_executors(model: &Arc<Model>, assignment: &Assignment, context: &LoadContext) -> Result<Facts, String> {
    let (ready, outcomes) = mpsc::channel();
    for index in 0..assignment.manifest.instances {
        // A model that is let go ends its executors, so they must not hold it.
        let (served, assignment, settled, ready) = (Arc::downgrade(model), assignment.clone(), Arc::clone(&context.settled), ready.clone());
        let spawned = thread::Builder::new().name(format!("{}-{index}", model.name)).spawn(move || {
            let queue = Arc::clone(&assignment.queue);
            let executor = match Executor::prepare(assignment) {
                Ok((executor, facts)) => {
                    // The loader may have given up on another instance's error; the queue is closed then.
                    let _ = ready.send(Ok(facts));
                    executor
                }
                Err(reason) => {
                    let _ = ready.send(Err(reason));
                    return;
                }
            };
            drop(ready);
            if let (Err(reason), Some(model)) = (executor.run(), served.upgrade()) {
                break_down(&model, &queue, reason);
                settled();
            }
            engine::give_memory_back();
        });
        spawned.map_err(|error| format!("no thread for an executor: {error}"))?;
    }
    drop(ready);
    let mut facts = None;
    for _ in 0..assignment.manifest.instances {
        // An executor that hangs up without a word has panicked.
        facts = Some(outcomes.recv().unwrap_or_else(|_| Err("an executor broke while it started".to_owned()))?);
    }
    facts.ok_or_else(|| "no instances".to_owned())
}

fn break_down(model: &Model, queue: &Queue, reason: String) {
    model.set_failed(reason);
    queue.close(&ApiError::new(
        ErrorKind::Unavailable,
        format!("model \"{}\" version {} is not available any more", model.name, model.version),
    ));
}

fn serving(assignment: Assignment, facts: Facts, text: Option<TextModel>) -> Serving {
    let Assignment { manifest, queue, stats, .. } = assignment;
    Serving { manifest, outputs: facts.outputs, platform: facts.platform, queue, stats, text }
}
