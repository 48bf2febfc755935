//! What a model says of itself beside its tensors, in `ModelMetadata.properties`: for callers that go by its task.

use std::collections::HashMap;

use serde_json::json;

use super::content;
use crate::{
    manifest::{Pooling, Task, TensorSpec, Truncation},
    models::Serving,
};

/// `task`, which artefact runs and why, the limits of a request, and for a model of text how it reads; `labels` is a list in JSON. `content_inputs` and
/// `content_outputs` are lists too: what it takes in place of its tensors, and what it then gives.
pub(super) fn of(serving: &Serving) -> HashMap<String, String> {
    let manifest = &*serving.manifest;
    let mut told = vec![
        ("task", manifest.task.word().to_owned()),
        ("artefact", serving.artefact.file.clone()),
        ("artefact_reason", serving.artefact.why.clone()),
        ("max_rows", manifest.queue.max_rows.to_string()),
        ("max_batch", manifest.batching.max_batch.to_string()),
        ("max_padded_tokens", manifest.batching.max_padded_tokens.to_string()),
    ];
    if let Some(text) = manifest.task.text() {
        let truncation = match text.truncation {
            Truncation::End => "end",
            Truncation::Reject => "reject",
            Truncation::Split => "split",
        };
        told.extend([("max_tokens", text.max_tokens.to_string()), ("truncation", truncation.to_owned())]);
    }
    if let Task::Embed(embed) = &manifest.task {
        let pooling = match embed.pool.pooling {
            Pooling::Mean => "mean",
            Pooling::Cls => "cls",
            Pooling::None => "none",
        };
        told.extend([("pooling", pooling.to_owned()), ("normalize", embed.pool.normalize.to_string())]);
    }
    if let Some(language) = serving.language() {
        told.push(("max_tokens", language.context().to_string()));
        told.push(("chat", language.template.is_some().to_string()));
    }
    if !manifest.task.labels().is_empty() {
        // A list of texts is always JSON.
        told.push(("labels", serde_json::to_string(manifest.task.labels()).unwrap_or_default()));
    }
    if let Some((input, outputs)) = content::signature(serving) {
        told.push(("content_inputs", listed(&[input])));
        told.push(("content_outputs", listed(&outputs)));
    }
    told.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Tensors as a list in JSON, each as `ModelMetadata` describes it.
fn listed(all: &[TensorSpec]) -> String {
    let one = |spec: &TensorSpec| json!({ "name": spec.name, "datatype": spec.datatype.name(), "shape": spec.shape });
    all.iter().map(one).collect::<serde_json::Value>().to_string()
}
