//! What can go wrong, told once: for the document's answers and for the page of errors.

use http::StatusCode;
use serde_json::{Map, Value, json};
use torchmesh_api::error::{ApiError, ErrorKind};

use super::schema::{Object, Schema};
use crate::{form::Form, openai, tei, torchserve};

/// What a kind of error means to whoever gets it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Explained {
    /// Its name on the page, which stays.
    pub(super) code: &'static str,
    /// What happened.
    pub(super) what: &'static str,
    /// What to do.
    pub(super) remedy: &'static str,
}

/// One list of the kinds, which is whole: a kind that is not explained does not compile.
macro_rules! kinds {
    ($($kind:ident: $code:literal, $what:literal, $remedy:literal;)+) => {
        /// Every kind of error.
        pub(super) const KINDS: [ErrorKind; [$($code),+].len()] = [$(ErrorKind::$kind),+];

        /// What a kind means.
        pub(super) fn explained(kind: ErrorKind) -> Explained {
            match kind {
                $(ErrorKind::$kind => Explained { code: $code, what: $what, remedy: $remedy },)+
            }
        }
    };
}

kinds! {
    InvalidArgument: "invalid-argument",
        "Something in the request is wrong, whoever sends it and however often.",
        "Read the message: it names the field and what to send. Sending the same again gives the same answer.";
    TooLarge: "too-large",
        "The body is over the gateway's limit.",
        "Send fewer or shorter inputs, or ask whoever runs the mesh to raise limits.max_message_bytes.";
    Unauthenticated: "unauthenticated",
        "No key was sent, or one that is not valid.",
        "Send the header Authorization: Bearer YOUR_KEY. Check that the key was copied whole and was not revoked.";
    PermissionDenied: "permission-denied",
        "The key is valid and may not do this.",
        "Use another key, or ask whoever runs the mesh what this one may do.";
    NotFound: "not-found",
        "The model, its version or the path does not exist, or no model of the task is ready.",
        "GET /v1/models lists the models; this document lists the paths.";
    Unimplemented: "unimplemented",
        "What was asked exists, and this model or server does not do it.",
        "Read the message: it says which path or which model does.";
    ResourceExhausted: "resource-exhausted",
        "A queue, a limit or a quota is full.",
        "Wait as many seconds as Retry-After says, and try again.";
    Unavailable: "unavailable",
        "No instance can answer now.",
        "Try again; where there is Retry-After, wait so many seconds first.";
    DeadlineExceeded: "deadline-exceeded",
        "The time that the call had was over before its answer was there.",
        "Give it more by the header x-request-timeout (seconds), ask for less, or try again when there is less to do.";
    Cancelled: "cancelled",
        "The caller hung up before the answer was there.",
        "Nothing: nobody was there to read this. It is found in logs and metrics only.";
    Internal: "internal",
        "A fault of the server.",
        "Try again once; if it stays, tell whoever runs the mesh the x-request-id of the answer.";
}

/// The forms that errors have over HTTP, and their names in the document.
pub(super) const FORMS: [(Form, &str); 4] =
    [(Form::OpenAi, "OpenAi"), (Form::Rest, "OpenInference"), (Form::Tei, "TextEmbeddingsInference"), (Form::TorchServe, "TorchServe")];

/// The status that an error has in a form: asked of what writes it.
pub(super) fn status(form: Form, kind: ErrorKind) -> StatusCode {
    form.render(&ApiError::new(kind, "")).status()
}

fn form_name(form: Form) -> &'static str {
    FORMS.iter().find(|(one, _)| *one == form).map_or("OpenAi", |(_, name)| name)
}

/// The name of an error's answer in the document.
pub(super) fn response_name(form: Form, kind: ErrorKind) -> String {
    format!("{}{}", form_name(form), status(form, kind).as_u16())
}

/// The schema of a form's errors.
pub(super) fn schema(form: Form) -> Schema {
    Schema::named(&format!("{}Error", form_name(form)))
}

/// Whether this can come from what stands in front of every door.
pub(super) fn in_front(kind: ErrorKind, open: bool) -> bool {
    match kind {
        ErrorKind::TooLarge | ErrorKind::ResourceExhausted | ErrorKind::DeadlineExceeded => true,
        ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => !open,
        _ => false,
    }
}

/// The headers of an answer.
pub(super) fn headers(may_try_again: bool) -> Value {
    let header = |schema: Schema| {
        let schema = schema.json();
        json!({ "description": schema["description"], "schema": schema })
    };
    let mut headers = json!({ "x-request-id": header(Schema::text("The call's id: the caller's own, or one that was made.")) });
    if may_try_again {
        headers["Retry-After"] = header(Schema::whole("How many seconds to wait before trying again, where that is known.").from(0));
    }
    headers
}

/// The document's answers to what goes wrong, by their names.
pub(super) fn responses() -> Map<String, Value> {
    let mut all = Map::new();
    for (form, name) in FORMS {
        for kind in KINDS {
            let again = matches!(kind, ErrorKind::ResourceExhausted | ErrorKind::Unavailable);
            let line = format!(
                "{} {} See [{code}](/docs/errors#{code}).",
                explained(kind).what,
                explained(kind).remedy,
                code = explained(kind).code
            );
            let fresh = || json!({ "description": "", "headers": headers(again), "content": { "application/json": { "schema": schema(form).json() } } });
            let answer = all.entry(format!("{name}{}", status(form, kind).as_u16())).or_insert_with(fresh);
            let before = answer["description"].as_str().unwrap_or_default();
            answer["description"] = json!(if before.is_empty() { line } else { format!("{before}\n\n{line}") });
        }
    }
    all
}

/// Different words among all kinds.
fn words(of: impl Fn(ErrorKind) -> &'static str) -> Vec<&'static str> {
    let mut words: Vec<_> = KINDS.into_iter().map(of).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// How errors look.
pub(super) fn schemas() -> Vec<(&'static str, Schema)> {
    let message = || Schema::text("What is wrong and what to send, for people to read.");
    let openai = Object::new("What is wrong; all four fields are always there.")
        .must("message", message())
        .must("type", Schema::word(&words(|kind| openai::names(kind).0), "OpenAI's word for the kind."))
        .must("param", Schema::text("The field that is wrong, for example `messages[1].content[0]`.").or_null())
        .must("code", Schema::word(&words(|kind| openai::names(kind).1), "Our word for the kind, which stays: see /docs/errors."));
    let mut types = words(tei::error_type);
    types.push(tei::EMPTY);
    let tei = Object::new("An error as text-embeddings-inference tells it.")
        .must("error", message())
        .must("error_type", Schema::word(&types, "Its word for the kind."));
    let torchserve = Object::new("An error as TorchServe tells it.")
        .must("code", Schema::whole("The status."))
        .must("type", Schema::word(&words(torchserve::exception), "Its word for the kind."))
        .must("message", message());
    vec![
        ("OpenAiError", Object::new("An error as OpenAI tells it.").must("error", openai.schema()).schema()),
        ("OpenInferenceError", Object::new("An error as the Open Inference Protocol tells it.").must("error", message()).schema()),
        ("TextEmbeddingsInferenceError", tei.schema()),
        ("TorchServeError", torchserve.schema()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_an_anchor_of_its_own_and_says_what_to_do() {
        let mut codes: Vec<_> = KINDS.into_iter().map(|kind| explained(kind).code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), KINDS.len());
        for kind in KINDS {
            assert!(explained(kind).what.ends_with('.') && explained(kind).remedy.ends_with('.'), "{kind:?}");
        }
    }

    #[test]
    fn an_error_is_told_with_a_status_that_the_document_has_in_every_form() {
        let responses = responses();
        for (form, _) in FORMS {
            for kind in KINDS {
                let answer = &responses[&response_name(form, kind)];
                assert!(answer["description"].as_str().unwrap().contains(explained(kind).code), "{form:?} {kind:?}");
            }
        }
    }
}
