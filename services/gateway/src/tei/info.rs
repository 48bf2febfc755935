//! `GET /info`.

use axum::{
    Json,
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::{Named, meant, render};
use crate::{
    caller::Caller,
    catalogue::{Catalogue, Described},
};

/// What the gateway allows.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Calls at once.
    pub max_in_flight: usize,
}

pub(super) async fn tell(State(catalogue): State<Catalogue>, caller: Caller, Query(named): Query<Named>, limits: Limits) -> Response {
    match meant(&catalogue, &caller, &named, &["embed", "classify", "rerank"]).await {
        Ok(described) => Json(info(&described, limits)).into_response(),
        Err(error) => render(&error),
    }
}

/// What is known of the model, by the names that its clients look for; what is not known is null.
fn info(described: &Described, limits: Limits) -> Value {
    let number = |name: &str| described.properties.get(name).and_then(|value| value.parse::<u64>().ok());
    json!({
        "model_id": described.model,
        "model_sha": null,
        "served_model_name": described.model,
        "model_type": kind(described),
        "max_concurrent_requests": limits.max_in_flight,
        "max_input_length": number("max_tokens"),
        "max_batch_tokens": number("max_padded_tokens"),
        "max_batch_requests": number("max_batch"),
        "max_client_batch_size": number("max_rows"),
        "auto_truncate": described.properties.get("truncation").is_some_and(|truncation| truncation == "end"),
        "version": env!("CARGO_PKG_VERSION"),
        "sha": null,
        "docker_label": null,
    })
}

fn kind(described: &Described) -> Value {
    let labels: Vec<String> = described.properties.get("labels").and_then(|labels| serde_json::from_str(labels).ok()).unwrap_or_default();
    let by_id: Map<_, _> = labels.iter().enumerate().map(|(id, label)| (id.to_string(), json!(label))).collect();
    let by_label: Map<_, _> = labels.iter().enumerate().map(|(id, label)| (label.clone(), json!(id))).collect();
    match described.task.as_str() {
        "embed" => json!({ "embedding": { "pooling": described.properties.get("pooling") } }),
        "classify" => json!({ "classifier": { "id2label": by_id, "label2id": by_label } }),
        _ => json!({ "reranker": { "id2label": by_id, "label2id": by_label } }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_model_says_is_told_by_the_names_that_clients_know() {
        let properties = [("labels", "[\"ham\",\"spam\"]"), ("max_tokens", "128"), ("truncation", "end")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let described =
            Described { model: "m".to_owned(), version: String::new(), task: "classify".to_owned(), properties: properties.into() };
        let told = info(&described, Limits { max_in_flight: 7 });
        assert_eq!(
            told["model_type"],
            json!({ "classifier": { "id2label": { "0": "ham", "1": "spam" }, "label2id": { "ham": 0, "spam": 1 } } })
        );
        assert_eq!(
            (&told["max_input_length"], &told["auto_truncate"], &told["max_concurrent_requests"]),
            (&json!(128), &json!(true), &json!(7))
        );
    }
}
