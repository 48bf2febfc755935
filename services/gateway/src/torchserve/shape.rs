//! What comes out of a model, as TorchServe's default handlers shape it.

use axum::{
    Json,
    response::{IntoResponse as _, Response},
};
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use crate::tasks::{Detection, Label, Output};

/// The answer to the one input of a request.
pub(super) fn answer(mut outputs: Vec<Output>) -> Response {
    match outputs.pop() {
        // `text_classifier` and `image_classifier`: an object of labels and scores.
        Some(Output::Labels { labels, .. } | Output::Classes { labels, .. }) => Json(Scores(labels)).into_response(),
        // The base handler: the tensor as a list.
        Some(Output::Embedding { embedding, .. }) => Json(embedding).into_response(),
        Some(Output::Entities { entities, .. }) => Json(entities).into_response(),
        Some(Output::Ranking { results }) => Json(results).into_response(),
        // `object_detector`: a list of objects, each with the box under its label.
        Some(Output::Detections { detections, .. }) => Json(detections.into_iter().map(Found).collect::<Vec<_>>()).into_response(),
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

/// `{"label": [left, top, right, bottom], "score": …}`.
struct Found(Detection);

impl Serialize for Found {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry(&self.0.label, &self.0.place)?;
        map.serialize_entry("score", &self.0.score)?;
        map.end()
    }
}
