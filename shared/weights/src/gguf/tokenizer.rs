//! The tokenizer in a GGUF file's metadata.

use super::metadata::Metadata;
use crate::{
    special::Special,
    vocabulary::{Added, bytes, pieces},
};

const TOKENS: &str = "tokenizer.ggml.tokens";
const KINDS: &str = "tokenizer.ggml.token_type";
/// Kinds of tokens.
const NORMAL: i64 = 1;
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// What ends a turn in the chat templates of well-known models; some files name only the end of a document.
const ENDS_OF_TURNS: [&str; 5] = ["<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|end|>"];

/// The `tokenizer.json`, or what is missing for one.
pub(super) fn tokenizer(metadata: &Metadata) -> Result<String, String> {
    let tokens = tokens(metadata)?;
    if metadata.integers(KINDS).is_some_and(|kinds| kinds.len() != tokens.len()) {
        return Err(format!("{KINDS} and {TOKENS} are of different lengths"));
    }
    match metadata.text("tokenizer.ggml.model") {
        Some("gpt2") => over_bytes(metadata, &tokens),
        Some("llama") => of_pieces(metadata, &tokens),
        Some(other) => Err(format!("tokenizer.ggml.model is {other}; gpt2 and llama are read")),
        None => Err("tokenizer.ggml.model is missing: the file has no tokenizer".to_owned()),
    }
}

/// The special tokens and the chat template.
pub(super) fn special(metadata: &Metadata) -> Special {
    let mut special = Special { chat_template: metadata.text("tokenizer.chat_template").map(str::to_owned), ..Special::default() };
    let Ok(tokens) = tokens(metadata) else { return special };
    for (name, key) in [("bos_token", "bos"), ("eos_token", "eos"), ("unk_token", "unknown"), ("pad_token", "padding")] {
        if let Some(text) = named(metadata, key).and_then(|id| tokens.get(id as usize)) {
            special.texts.insert(name.to_owned(), (*text).to_owned());
        }
    }
    for id in ["eos", "eot", "eom"].into_iter().filter_map(|key| named(metadata, key)) {
        special.ends_with(id);
    }
    for added in added(metadata, &tokens).iter().filter(|added| added.special && ENDS_OF_TURNS.contains(&added.text.as_str())) {
        special.ends_with(added.id);
    }
    special
}

fn over_bytes(metadata: &Metadata, tokens: &[&str]) -> Result<String, String> {
    let name = metadata.text("tokenizer.ggml.pre").unwrap_or("default");
    let cutting = bytes::cutting(name).ok_or_else(|| format!("tokenizer.ggml.pre is {name}; read are {}", bytes::KNOWN))?;
    let merges = texts(metadata, "tokenizer.ggml.merges")?;
    let begins = cutting == bytes::Cutting::Llama3;
    bytes::tokenizer(tokens, &merges, cutting, &added(metadata, tokens), begin(metadata, tokens, begins))
}

fn of_pieces(metadata: &Metadata, tokens: &[&str]) -> Result<String, String> {
    let scores = metadata.floats("tokenizer.ggml.scores").ok_or("tokenizer.ggml.scores is missing")?;
    if scores.len() != tokens.len() {
        return Err(format!("tokenizer.ggml.scores and {TOKENS} are of different lengths"));
    }
    let kinds = metadata.integers(KINDS).ok_or_else(|| format!("{KINDS} is missing"))?;
    let unknown = named(metadata, "unknown").and_then(|id| tokens.get(id as usize)).copied();
    pieces::tokenizer(&pieces::Pieces {
        texts: tokens,
        scores,
        merged: &|id| [NORMAL, USER_DEFINED].contains(&kinds[id]),
        unknown,
        added: &added(metadata, tokens),
        begin: begin(metadata, tokens, true),
        blank_before: metadata.truth("tokenizer.ggml.add_space_prefix").unwrap_or(true),
    })
}

fn tokens(metadata: &Metadata) -> Result<Vec<&str>, String> {
    texts(metadata, TOKENS)
}

fn texts<'a>(metadata: &'a Metadata, key: &str) -> Result<Vec<&'a str>, String> {
    let list = metadata.texts(key).ok_or_else(|| format!("{key} is missing"))?;
    let text = |(place, bytes): (usize, &'a [u8])| str::from_utf8(bytes).map_err(|_| format!("{key}: entry {place} is not UTF-8"));
    list.iter().map(|bytes| &**bytes).enumerate().map(text).collect()
}

fn named(metadata: &Metadata, name: &str) -> Option<u32> {
    metadata.token(&format!("tokenizer.ggml.{name}_token_id"))
}

/// The tokens that are found before all else.
fn added(metadata: &Metadata, tokens: &[&str]) -> Vec<Added> {
    let kinds = metadata.integers(KINDS).unwrap_or_default();
    let added = kinds
        .iter()
        .zip(tokens)
        .enumerate()
        .filter(|(_, (kind, text))| [UNKNOWN, CONTROL, USER_DEFINED].contains(kind) && !text.is_empty());
    added.map(|(id, (kind, text))| Added { id: id as u32, text: (*text).to_owned(), special: *kind != USER_DEFINED }).collect()
}

/// The token that every text begins with, where the file, or failing that the kind of tokenizer, says so.
fn begin<'a>(metadata: &Metadata, tokens: &[&'a str], default: bool) -> Option<(u32, &'a str)> {
    let id = named(metadata, "bos").filter(|_| metadata.truth("tokenizer.ggml.add_bos_token").unwrap_or(default))?;
    Some((id, tokens.get(id as usize)?))
}
