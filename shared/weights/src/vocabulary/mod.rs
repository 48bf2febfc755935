//! A `tokenizer.json` from the vocabulary of a file that keeps one in another form.

pub(crate) mod bytes;
pub(crate) mod pieces;

use serde_json::{Value, json};

/// A token that is found in a text before anything else is.
#[derive(Clone, Debug)]
pub(crate) struct Added {
    pub(crate) id: u32,
    pub(crate) text: String,
    /// It is not a part of the text that is shown.
    pub(crate) special: bool,
}

/// The list of such tokens.
fn added_tokens(added: &[Added]) -> Value {
    let entry = |one: &Added| {
        json!({
            "id": one.id, "content": one.text, "special": one.special,
            "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        })
    };
    added.iter().map(entry).collect()
}

/// A post-processor that puts a token before every text.
fn begins_with(begin: Option<(u32, &str)>) -> Value {
    let Some((id, text)) = begin else { return Value::Null };
    let token = |place: u8| json!({"SpecialToken": {"id": text, "type_id": place}});
    let sequence = |name: &str, place: u8| json!({"Sequence": {"id": name, "type_id": place}});
    json!({
        "type": "TemplateProcessing",
        "single": [token(0), sequence("A", 0)],
        "pair": [token(0), sequence("A", 0), token(1), sequence("B", 1)],
        "special_tokens": {text: {"id": text, "ids": [id], "tokens": [text]}},
    })
}
