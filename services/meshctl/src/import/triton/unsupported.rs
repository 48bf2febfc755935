//! What has no counterpart: refused where the model would be another one without it, noted where it would not.

use torchmesh_api::inference::{ModelConfig, model_config::SchedulingChoice};

use crate::import::{Description, Refused};

pub(super) fn refuse(config: &ModelConfig) -> Result<(), Refused> {
    match &config.scheduling_choice {
        Some(SchedulingChoice::EnsembleScheduling(_)) => {
            return Err(Refused::new("ensemble_scheduling", "an ensemble is no model of its own; import the models in it"));
        }
        Some(SchedulingChoice::SequenceBatching(_)) => {
            return Err(Refused::new("sequence_batching", "a model that keeps state between requests is not served here"));
        }
        Some(SchedulingChoice::DynamicBatching(_)) | None => {}
    }
    if config.model_transaction_policy.as_ref().is_some_and(|policy| policy.decoupled) {
        return Err(Refused::new("model_transaction_policy.decoupled", "a TorchScript model gives one answer to a request"));
    }
    if !config.batch_input.is_empty() || !config.batch_output.is_empty() {
        let field = if config.batch_input.is_empty() { "batch_output" } else { "batch_input" };
        return Err(Refused::new(field, "the model takes tensors that Triton makes from a ragged batch"));
    }
    Ok(())
}

pub(super) fn note(config: &ModelConfig, made: &mut Description) {
    let fields = [
        ("optimization", config.optimization.is_some(), "is left out: libtorch is set up by the worker"),
        ("cc_model_filenames", !config.cc_model_filenames.is_empty(), "is left out: a version has one artefact"),
        ("metric_tags", !config.metric_tags.is_empty(), "is left out: metrics are labelled by model and version"),
        ("model_warmup", !config.model_warmup.is_empty(), "is left out: every model is warmed up, with zeros, at the sizes of [warmup]"),
        (
            "model_operations",
            config.model_operations.as_ref().is_some_and(|operations| !operations.op_library_filename.is_empty()),
            "is left out: libraries of custom operators are not loaded; a model that needs one does not load",
        ),
        (
            "model_repository_agents",
            config.model_repository_agents.is_some(),
            "is left out: what an agent did to the files has to be done before",
        ),
        ("response_cache", config.response_cache.as_ref().is_some_and(|cache| cache.enable), "is left out: answers are not cached"),
        ("model_metrics", config.model_metrics.is_some(), "is left out"),
    ];
    for (field, _, note) in fields.into_iter().filter(|(_, given, _)| *given) {
        made.note(field, note);
    }
    let mut parameters: Vec<_> = config.parameters.iter().collect();
    parameters.sort_by_key(|(name, _)| *name);
    for (name, value) in parameters {
        let threads =
            (name == "INTRA_OP_THREAD_COUNT").then(|| value.string_value.parse::<i64>().ok().filter(|threads| (1..=256).contains(threads)));
        if let Some(threads) = threads.flatten() {
            made.manifest.intra_op_threads = Some(threads);
            continue;
        }
        made.note(format!("parameters[{name:?}]"), "is left out: it has no counterpart");
    }
}
