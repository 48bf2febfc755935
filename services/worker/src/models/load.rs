//! Loading one model version: tokeniser, executors, warm-up, ready.

use std::{
    fmt, io,
    path::Path,
    sync::{Arc, mpsc},
    thread,
};

use tokio::sync::Semaphore;
use torchmesh_api::error::{ApiError, ErrorKind};

use super::{
    artefact::{Chosen, choose},
    fetch::Fetcher,
    model::{Artefact, Intake, Model, Serving, TextModel},
};
use crate::{
    admission::{Queue, QueueSettings},
    engine::{self, EngineSpec},
    executor::{Assignment, EngineLoader, Executor, Facts, Finish},
    language,
    manifest::{GenerateSettings, Manifest, Task},
    text,
};

/// What loading needs beside the model itself.
#[derive(Clone)]
pub struct LoadContext {
    /// How an engine is loaded.
    pub load: EngineLoader,
    /// How a version's files are fetched.
    pub fetch: Fetcher,
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
        metrics: model.metrics.queue.clone(),
    });
    let mut assignment = Assignment {
        model: model.name.as_str().into(),
        spec: engine_spec(&manifest, folder),
        manifest,
        load: Arc::clone(&context.load),
        finish: Finish::default(),
        queue: Arc::clone(&queue),
        metrics: model.metrics.clone(),
        stats: Arc::default(),
    };
    let folder = folder.to_owned();
    thread::Builder::new().name(format!("load-{}", model.name)).spawn(move || {
        let made = if let Task::Generate(settings) = &assignment.manifest.task {
            load_language(&model, &assignment, settings, &folder, &context)
        } else {
            load_task(&assignment.manifest.task, &folder).and_then(|(intake, finish)| {
            assignment.spec.hidden = finish.wants_hidden();
            assignment.finish = finish;
            let artefact = take_fastest(&model, &mut assignment);
            let facts = start_executors(&model, &assignment, &context)?;
            check_labels(&assignment.manifest.task, &facts)?;
            Ok((intake, facts, artefact))
            })
        };
        match made {
            Ok((intake, facts, artefact)) => {
                tracing::info!(model = %model.name, version = %model.version, platform = facts.platform, artefact = artefact.file, "a model is ready");
                model.set_ready(serving(assignment, facts, artefact, intake));
            }
            Err(reason) => break_down(&model, &assignment.queue, reason),
        }
        done(&model);
    })?;
    Ok(())
}

/// A language model has its own thread and its own order of service.
fn load_language(
    model: &Arc<Model>,
    assignment: &Assignment,
    settings: &GenerateSettings,
    folder: &Path,
    context: &LoadContext,
) -> Result<(Intake, Facts, Artefact), String> {
    let (served, settled, queue) = (Arc::downgrade(model), Arc::clone(&context.settled), Arc::clone(&assignment.queue));
    let over = move |reason| {
        if let Some(model) = served.upgrade() {
            break_down(&model, &queue, reason);
            settled();
        }
    };
    let manifest = &assignment.manifest;
    let language = Arc::new(language::load(model.name.as_str(), manifest, settings, folder, over)?);
    model.metrics.language.show(model.name.as_str(), &model.version_text, &language);
    let facts = Facts { platform: "torchmesh_decoder", differentiates: false, outputs: manifest.outputs.clone() };
    let artefact = Artefact { file: manifest.artefact.clone(), why: "nothing else is there".to_owned() };
    Ok((Intake::Language(language), facts, artefact))
}

/// Chooses what is loaded, and says which and why.
fn take_fastest(model: &Model, assignment: &mut Assignment) -> Artefact {
    let Chosen { spec, why, passed_over } = choose(&assignment.manifest, assignment.spec.clone(), &assignment.load);
    let file = spec.artefact.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Some(reason) = passed_over {
        tracing::warn!(model = %model.name, version = %model.version, artefact = file, reason, "a compiled model does not fit and is passed over");
        model.remark(reason);
    } else {
        tracing::info!(model = %model.name, version = %model.version, artefact = file, why, "chose what to load");
    }
    assignment.spec = spec;
    Artefact { file, why }
}

/// What to load of the version in `folder`: its original artefact.
pub(crate) fn engine_spec(manifest: &Manifest, folder: &Path) -> EngineSpec {
    // A model whose only output is used may call it anything.
    let named = matches!(manifest.task, Task::Tensor | Task::DetectObjects(_) | Task::DetectVoice(_));
    let outputs = if named { manifest.outputs.iter().map(|output| output.name.clone()).collect() } else { Vec::new() };
    EngineSpec {
        device: manifest.device,
        dtype: manifest.dtype,
        intra_op_threads: manifest.intra_op_threads,
        outputs,
        ..EngineSpec::new(folder.join(&manifest.artefact))
    }
}

/// What a task needs beside the engine.
pub(crate) fn load_task(task: &Task, folder: &Path) -> Result<(Intake, Finish), String> {
    let intake = match task.text() {
        Some(settings) => {
            let folders = [folder, folder.parent().unwrap_or(folder)];
            let tokeniser = text::tokeniser(&folders, &settings.tokenizer, settings.max_tokens)?.with_overlap(settings.overlap);
            Intake::Text(TextModel::new(settings.clone(), tokeniser))
        }
        None => match task {
            Task::DetectVoice(voice) => Intake::Voice(Arc::new(Semaphore::new(voice.max_streams))),
            _ => Intake::Tensors,
        },
    };
    Ok((intake, Finish::of(task, folder)?))
}

/// Holds the names of a classifier's scores against the scores that the warm-up showed.
fn check_labels(task: &Task, facts: &Facts) -> Result<(), String> {
    let scores = facts.outputs.first().and_then(|output| output.shape.last()).map_or(0, |&dim| usize::try_from(dim).unwrap_or(0));
    match task {
        Task::Rerank(_) if scores != 1 => {
            Err(format!("the model gives {scores} scores a pair, and a reranker one: set task = \"classify\""))
        }
        // A detector's outputs have other numbers beside the scores.
        Task::DetectObjects(_) => Ok(()),
        task if task.labels().is_empty() || task.labels().len() == scores => Ok(()),
        task => Err(format!("labels names {} scores, and the model gives {scores}", task.labels().len())),
    }
}

/// Starts every instance and waits until all are warm; the error of the first that is not.
fn start_executors(model: &Arc<Model>, assignment: &Assignment, context: &LoadContext) -> Result<Facts, String> {
    let (ready, outcomes) = mpsc::channel();
    for index in 0..assignment.manifest.instances {
        // A model that is let go ends its executors, so they must not hold it.
        let (served, assignment, settled, ready) = (Arc::downgrade(model), assignment.clone(), Arc::clone(&context.settled), ready.clone());
        let spawned = thread::Builder::new().name(format!("{}-{index}", model.name)).spawn(move || {
            let _alive = engine::Alive::begin();
            let queue = Arc::clone(&assignment.queue);
            let executor = match Executor::prepare(assignment) {
                Ok((executor, facts)) => {
                    // What was read to load it.
                    engine::give_memory_back();
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

fn serving(assignment: Assignment, facts: Facts, artefact: Artefact, intake: Intake) -> Serving {
    let Assignment { manifest, queue, stats, .. } = assignment;
    let Facts { platform, differentiates, outputs } = facts;
    Serving { manifest, outputs, platform, differentiates, artefact, queue, stats, intake }
}
