//! Where the typed requests have text: field by field, by the numbers of `torchmesh.text.v1`.

/// A message's fields that have bytes.
#[derive(Debug)]
pub(super) struct Shape(pub(super) &'static [Field]);

/// One of them.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u64,
    /// As its place is told.
    pub(super) name: &'static str,
    pub(super) content: Content,
    pub(super) repeated: bool,
}

/// What is in a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    Text,
    /// JSON, as a text.
    Json,
    Message(&'static Shape),
    /// Numbers that say nothing, and names and ids that the mesh needs as they are.
    Kept,
    /// What cannot be looked into, and what to send in its place.
    Closed(&'static str),
}

const fn one(number: u64, name: &'static str, content: Content) -> Field {
    Field { number, name, content, repeated: false }
}

const fn many(number: u64, name: &'static str, content: Content) -> Field {
    Field { number, name, content, repeated: true }
}

/// Model, version and id are the first fields of each request.
const MODEL: Field = one(1, "model", Content::Kept);
const VERSION: Field = one(2, "model_version", Content::Kept);
const ID: Field = one(3, "id", Content::Kept);

const EMBED: Shape =
    Shape(&[MODEL, VERSION, ID, many(4, "texts", Content::Text), many(5, "tokens", Content::Closed("send the texts in texts"))]);
const TEXTS: Shape = Shape(&[MODEL, VERSION, ID, many(4, "texts", Content::Text)]);
const RERANK: Shape = Shape(&[MODEL, VERSION, ID, one(4, "query", Content::Text), many(5, "documents", Content::Text)]);
const EXPLAIN: Shape = Shape(&[MODEL, VERSION, ID, one(4, "text", Content::Text), one(5, "label", Content::Text)]);

const CHOICES: Shape = Shape(&[many(1, "texts", Content::Text)]);
const FORMAT: Shape = Shape(&[
    one(2, "json_schema", Content::Json),
    one(3, "regex", Content::Text),
    one(4, "grammar", Content::Text),
    one(5, "choices", Content::Message(&CHOICES)),
]);
const SETTINGS: Shape = Shape(&[
    one(9, "logit_bias", Content::Kept),
    many(11, "stop", Content::Text),
    one(12, "stop_tokens", Content::Kept),
    one(17, "format", Content::Message(&FORMAT)),
    one(18, "written", Content::Closed("send what was written as text")),
]);
const GENERATE: Shape = Shape(&[
    MODEL,
    VERSION,
    ID,
    one(4, "prompt", Content::Text),
    one(5, "tokens", Content::Closed("send the text in prompt")),
    one(6, "settings", Content::Message(&SETTINGS)),
]);

const TOOL_CALL: Shape = Shape(&[one(1, "id", Content::Text), one(2, "name", Content::Text), one(3, "arguments", Content::Json)]);
const MESSAGE: Shape = Shape(&[
    one(1, "role", Content::Text),
    one(2, "content", Content::Text),
    many(3, "tool_calls", Content::Message(&TOOL_CALL)),
    one(4, "tool_call_id", Content::Text),
    one(5, "name", Content::Text),
]);
const TOOL: Shape = Shape(&[one(1, "name", Content::Text), one(2, "description", Content::Text), one(3, "parameters", Content::Json)]);
const TOOL_CHOICE: Shape = Shape(&[one(4, "name", Content::Text)]);
const CHAT: Shape = Shape(&[
    MODEL,
    VERSION,
    ID,
    many(4, "messages", Content::Message(&MESSAGE)),
    many(5, "tools", Content::Message(&TOOL)),
    one(6, "tool_choice", Content::Message(&TOOL_CHOICE)),
    one(8, "settings", Content::Message(&SETTINGS)),
    one(9, "template_variables", Content::Json),
]);

/// The shape of a method's request, where all of it that matters is text.
pub(super) fn of(path: &str) -> Option<&'static Shape> {
    Some(match path.strip_prefix("/torchmesh.text.v1.")? {
        "TextService/Embed" => &EMBED,
        "TextService/Classify" | "TextService/ClassifyTokens" | "TextService/Fill" => &TEXTS,
        "TextService/Rerank" => &RERANK,
        "TextService/Explain" => &EXPLAIN,
        "GenerationService/Generate" => &GENERATE,
        "GenerationService/Chat" => &CHAT,
        _ => return None,
    })
}

/// Whether a method carries no input of a model, by a list of those that do not.
pub(super) fn carries_nothing(path: &str) -> bool {
    const NOTHING: [&str; 10] = [
        "ServerLive",
        "ServerReady",
        "ServerMetadata",
        "ModelReady",
        "ModelMetadata",
        "ModelConfig",
        "ModelStatistics",
        "RepositoryIndex",
        "RepositoryModelLoad",
        "RepositoryModelUnload",
    ];
    path.strip_prefix("/inference.GRPCInferenceService/").is_some_and(|method| NOTHING.contains(&method))
}

#[cfg(test)]
mod tests {
    use torchmesh_api::method;

    use super::*;

    #[test]
    fn every_method_of_text_has_a_shape_and_no_other_has_one() {
        let of_text = ["Embed", "Classify", "ClassifyTokens", "Fill", "Rerank", "Explain"].map(|name| format!("TextService/{name}"));
        for name in of_text.into_iter().chain(["Generate", "Chat"].map(|name| format!("GenerationService/{name}"))) {
            let path = format!("/torchmesh.text.v1.{name}");
            assert!(
                method::find(&path).is_some_and(|method| method.names_a_model) && of(&path).is_some() && !carries_nothing(&path),
                "{path}"
            );
        }
        for path in [
            "/inference.GRPCInferenceService/ModelInfer",
            "/inference.GRPCInferenceService/ModelStreamInfer",
            "/torchmesh.vision.v1.VisionService/Classify",
        ] {
            assert!(of(path).is_none() && !carries_nothing(path), "{path}");
        }
        assert!(carries_nothing("/inference.GRPCInferenceService/ModelMetadata"));
    }
}
