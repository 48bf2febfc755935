//! What the small JSON files of a Hugging Face directory say of special tokens and of the chat template.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    WeightsError,
    file::read_text_if_there,
    special::{PublishedSampling, Special},
};

/// What is read of `tokenizer.json` here.
#[derive(Debug, Default, Deserialize)]
struct Tokenizer {
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    post_processor: Value,
}

#[derive(Debug, Deserialize)]
struct Added {
    id: u32,
    content: String,
}

/// Reads `tokenizer_config.json`, `special_tokens_map.json`, `generation_config.json`, `chat_template.jinja` and what `tokenizer.json` and the `config`
/// say beside them. All of them may be missing.
pub(super) fn read(folder: &Path, config: &Value) -> Result<Special, WeightsError> {
    let settings = json(folder, "tokenizer_config.json")?;
    let generation = json(folder, "generation_config.json")?;
    let tokenizer: Tokenizer = parse(folder, "tokenizer.json")?;
    let tool_template = named_template(&settings, "tool_use");
    let mut special =
        Special { chat_template: template(folder, &settings)?, tool_template, sampling: sampling(&generation), ..Special::default() };
    for source in [&json(folder, "special_tokens_map.json")?, &settings] {
        special.texts.extend(texts(source));
    }
    let id = |name: &str| {
        let text = special.texts.get(name)?;
        tokenizer.added_tokens.iter().find(|added| added.content == *text).map(|added| added.id)
    };
    let (end, begin) = (id("eos_token"), id("bos_token"));
    let adds_begin = begin.is_some_and(|token| adds(&tokenizer.post_processor, token, special.texts.get("bos_token")));
    if settings["add_bos_token"] == Value::Bool(true) && !adds_begin {
        special.begin = begin;
    }
    let text_config = &config["text_config"];
    let said = [&generation, config, text_config].into_iter().map(|source| ids(&source["eos_token_id"])).find(|ids| !ids.is_empty());
    for token in said.into_iter().flatten().chain(end) {
        special.ends_with(token);
    }
    Ok(special)
}

/// The template of its own file, or the one in the tokenizer's settings: a text, or a list of named ones, of which the default is meant.
fn template(folder: &Path, settings: &Value) -> Result<Option<String>, WeightsError> {
    if let Some(text) = read_text_if_there(&folder.join("chat_template.jinja"))? {
        return Ok(Some(text));
    }
    let only = match &settings["chat_template"] {
        Value::String(text) => return Ok(Some(text.clone())),
        Value::Array(named) if named.len() == 1 => named[0]["template"].as_str(),
        _ => None,
    };
    Ok(named_template(settings, "default").or(only.map(str::to_owned)))
}

/// Of the named templates of the tokenizer's settings, the one of this name.
fn named_template(settings: &Value, name: &str) -> Option<String> {
    let named = settings["chat_template"].as_array()?.iter().find(|one| one["name"] == name)?;
    named["template"].as_str().map(str::to_owned)
}

fn sampling(generation: &Value) -> PublishedSampling {
    let number = |name: &str| generation[name].as_f64();
    PublishedSampling {
        temperature: number("temperature"),
        top_k: generation["top_k"].as_u64(),
        top_p: number("top_p"),
        min_p: number("min_p"),
        repetition_penalty: number("repetition_penalty"),
    }
}

/// The named tokens of a file: each is a text, or an object with the text as its `content`.
fn texts(source: &Value) -> Vec<(String, String)> {
    let Value::Object(fields) = source else { return Vec::new() };
    let text = |value: &Value| value.as_str().or_else(|| value["content"].as_str()).map(str::to_owned);
    let named = fields.iter().filter(|(name, _)| name.ends_with("_token"));
    named.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

/// One id or a list of them.
fn ids(value: &Value) -> Vec<u32> {
    let one = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Value::Array(list) => list.iter().filter_map(one).collect(),
        other => one(other).into_iter().collect(),
    }
}

/// Whether a post-processor puts the token before a text by itself. Some name it by its id, some by its text.
fn adds(processor: &Value, token: u32, text: Option<&String>) -> bool {
    if let Value::Array(several) = &processor["processors"] {
        return several.iter().any(|one| adds(one, token, text));
    }
    let Value::Array(single) = &processor["single"] else { return false };
    let meant = |part: &Value| {
        let name = part["SpecialToken"]["id"].as_str();
        name.is_some_and(|name| {
            text.is_some_and(|text| text == name) || processor["special_tokens"][name]["ids"] == Value::from(vec![token])
        })
    };
    single.iter().any(meant)
}

fn json(folder: &Path, name: &str) -> Result<Value, WeightsError> {
    parse(folder, name)
}

/// What a JSON file says; the default where there is none.
fn parse<T: Default + for<'text> Deserialize<'text>>(folder: &Path, name: &str) -> Result<T, WeightsError> {
    let path = folder.join(name);
    let Some(text) = read_text_if_there(&path)? else { return Ok(T::default()) };
    serde_json::from_str(&text).map_err(|error| WeightsError::form(&path, format!("is not what it should be: {error}")))
}
