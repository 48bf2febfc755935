//! What comes out of a model, as TorchServe's default handlers shape it.

use axum::{
    Json,
    response::{IntoResponse as _, Response},
};
use serde::{Serialize, Serializer};

use crate::tasks::{Label, Output};

/// The answer to the one input of a request.
pub(super) fn answer(mut outputs: Vec<Output>) -> Response {
    match outputs.pop() {
        // `text_classifier` and `image_classifier`: an object of labels and scores.
        Some(Output::Labels { labels, .. }) => Json(Scores(labels)).into_response(),
        // The base handler: the tensor as a list.
        Some(Output::Embedding { embedding, .. }) => Json(embedding).into_response(),
        Some(Output::Entities { entities, .. }) => Json(entities).into_response(),
        Some(Output::Ranking { results }) => Json(results).into_response(),
        other => Json(other).into_response(),
    }
}

/// `{"label": score, …}`, the highest first.
struct Scores(Vec<Label>);

impl Serialize for Scores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|label| (&label.label, label.score)))
    }
}
