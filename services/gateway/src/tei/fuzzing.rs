//! What the fuzz target of questions holds these paths to (`fuzz/`); it is in no build but that and the tests'.

use torchmesh_api::error::ErrorKind;

use super::{embed, error::Refusal, predict, rerank};
use crate::{catalogue::Described, fuzzing::same};

/// A body: what is taken has something in it, and is for the model that was meant.
pub(crate) fn questions(body: &[u8]) {
    let properties = [("normalize".to_owned(), "false".to_owned())].into();
    let described = Described { model: "m".to_owned(), version: "2".to_owned(), task: String::new(), properties };
    if let Some(asked) = serde_json::from_slice(body).ok().and_then(|question| told(embed::asked(question, &described))) {
        assert!(asked.texts.is_empty() != asked.tokens.is_empty(), "{asked:?}");
        assert!(asked.texts.iter().all(|text| !text.is_empty()) && asked.tokens.iter().all(|tokens| !tokens.ids.is_empty()));
        assert_eq!((&*asked.model, &*asked.model_version), ("m", "2"));
        same(&asked);
    }
    if let Some(asked) = serde_json::from_slice(body).ok().and_then(|question| told(predict::asked(question, &described))) {
        assert!(!asked.texts.is_empty() && asked.texts.iter().all(|text| !text.is_empty()), "{asked:?}");
        same(&asked);
    }
    if let Some(asked) = serde_json::from_slice(body).ok().and_then(|question| told(rerank::asked(question, &described))) {
        assert!(!asked.documents.is_empty(), "{asked:?}");
        same(&asked);
    }
}

fn told<T>(read: Result<T, Refusal>) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(Refusal::Empty(field)) => {
            assert!(["inputs", "texts"].contains(&field), "{field}");
            None
        }
        Err(Refusal::Api(error)) => {
            let field = error.message.split_once(": ").map(|(field, _)| field);
            let known = ["inputs", "prompt_name", "dimensions", "normalize", "truncation_direction"];
            assert!(error.kind == ErrorKind::InvalidArgument && field.is_some_and(|field| known.contains(&field)), "{error}");
            None
        }
    }
}
