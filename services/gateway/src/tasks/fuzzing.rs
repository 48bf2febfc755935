//! What the fuzz target of questions holds this door to (`fuzz/`); it is in no build but that and the tests'.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::de::DeserializeOwned;
use serde_json::Value;
use torchmesh_api::error::{ApiError, ErrorKind};

use super::{
    door::{self, MAX_INPUTS},
    input::{Content, options},
    senses::{self, decoded},
    text,
};

/// A body of JSON: what is taken has as many inputs as it may, a file in base64 is that file, and an option that is refused is told as one.
pub(crate) fn question(body: &[u8]) {
    let Ok(input) = door::read(body) else { return };
    option::<text::Embed>(&input.options);
    option::<text::Classify>(&input.options);
    option::<text::ClassifyTokens>(&input.options);
    option::<text::Fill>(&input.options);
    option::<text::Rerank>(&input.options);
    option::<senses::Classify>(&input.options);
    option::<senses::Detect>(&input.options);
    option::<senses::Voice>(&input.options);
    let texts = match input.content {
        Content::Query { query, documents } => {
            let (asked, ordered) = Content::Query { query: query.clone(), documents: documents.clone() }.into_query().expect("it is one");
            assert!((asked, &ordered) == (query, &documents) && (1..=MAX_INPUTS).contains(&ordered.len()));
            return;
        }
        content => content.into_texts().expect("JSON has texts"),
    };
    assert!((1..=MAX_INPUTS).contains(&texts.len()));
    for (at, text) in texts.iter().enumerate() {
        match decoded(at, text) {
            Ok(file) => assert!(text.ends_with(&STANDARD.encode(file)), "{text:?} is another file"),
            Err(error) => refused(&error, &format!("inputs[{at}]")),
        }
    }
}

fn option<T: DeserializeOwned + Default>(told: &Value) {
    let _ = options::<T>(told.clone()).inspect_err(|error| refused(error, "parameters: "));
}

fn refused(error: &ApiError, begins: &str) {
    assert!(error.kind == ErrorKind::InvalidArgument && error.message.starts_with(begins), "{error}");
}
