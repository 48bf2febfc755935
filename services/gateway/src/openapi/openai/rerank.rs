//! Ranking.

use serde_json::json;

use super::TAG;
use crate::{
    openai::rerank::MAX_DOCUMENTS,
    openapi::{
        operation::Operation,
        schema::{Object, Schema},
    },
};

const JSON: &str = "application/json";

pub(super) fn operations() -> Vec<Operation> {
    let documents = json!(["Ulm lies on the Danube.", { "text": "Bread is baked from flour." }]);
    let operation = Operation::post("/v1/rerank", "rerank", TAG)
        .says(
            "Documents in the order in which they answer a query",
            "For models of the task `rerank`, in the form that Jina and Cohere gave it.",
        )
        .body(JSON, Schema::named("RerankRequest"))
        .example(
            JSON,
            "best",
            "The best of two documents",
            json!({ "model": "reranker", "query": "Which river is at Ulm?", "documents": documents, "top_n": 1, "return_documents": true }),
        )
        .gives("The documents, the best first.", Schema::named("Ranking"));
    vec![operation]
}

pub(super) fn schemas() -> Vec<(&'static str, Schema)> {
    let text = Object::new("A document.").must("text", Schema::text("Its text."));
    let document = Schema::either([Schema::text("A document."), text.schema()], "A document.");
    let request = Object::new("A query and documents.")
        .must("model", Schema::text("A model of the task `rerank`."))
        .must("query", Schema::text("What the documents are to answer.").some())
        .must("documents", Schema::list(document, "The documents.").at_least(1).at_most(MAX_DOCUMENTS))
        .maybe("top_n", Schema::count("Only so many of the best; absent: all.").from(1))
        .may("return_documents", Schema::flag("Whether the texts come back.").default(false))
        .maybe("truncate", Schema::flag("Whether the end of a text that is too long is cut off; absent: as the model's manifest says."));
    let returned = Object::new("The document, where it was asked for.").must("text", Schema::text("Its text."));
    let ranked = Object::new("A document's place.")
        .must("index", Schema::count("Which document of the request."))
        .must("relevance_score", Schema::number("How well it answers."))
        .may("document", returned.schema());
    let answer = Object::new("Documents in their order.")
        .must("model", Schema::text("The model that answered."))
        .must("results", Schema::list(ranked.schema(), "The best first."))
        .must("usage", Schema::named("ReadingUsage"));
    vec![("RerankRequest", request.schema()), ("Ranking", answer.schema())]
}
