//! Tokenizers over bytes, as GPT-2's: every byte is written as a printable character, and pairs are merged in a given order.

use serde_json::{Map, Value, json};

use super::{Added, added_tokens, begins_with};

/// How a text is cut before pairs are merged, by the name that llama.cpp gives it. `None` for a name that is not known.
pub(crate) fn cutting(name: &str) -> Option<Cutting> {
    Some(match name {
        "gpt-2" | "gpt2" | "phi-2" => Cutting::Gpt2,
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" => Cutting::Digits,
        "llama-bpe" | "llama3" | "llama-v3" | "falcon3" => Cutting::Llama3,
        "qwen2" | "deepseek-r1-qwen" => Cutting::Qwen2,
        "default" => Cutting::Plain,
        _ => return None,
    })
}

/// The names that [`cutting`] knows, for messages.
pub(crate) const KNOWN: &str = "gpt-2, smollm, llama-bpe, qwen2 and default";

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cutting {
    /// Words with the blank before them, numbers, marks.
    Gpt2,
    /// The same, after every digit was cut off by itself.
    Digits,
    /// Numbers of at most three digits; a word that is a token by itself is not merged from parts.
    Llama3,
    /// Every digit by itself, after the text was composed (NFC).
    Qwen2,
    /// What llama.cpp does where a file does not say more.
    Plain,
}

const LLAMA3: &str =
    concat!(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*", r"|\s*[\r\n]+|\s+(?!\S)|\s+");
const QWEN2: &str =
    concat!(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*", r"|\s*[\r\n]+|\s+(?!\S)|\s+");
/// One after the other.
const PLAIN: [&str; 4] =
    [r"[\p{P}\$\+<=>\^~\|]+", r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)", r"\p{N}+", "[0-9][0-9][0-9]"];

/// The `tokenizer.json`. Token i of `tokens` has the id i; `merges` are pairs with a blank between them, the first to be merged first.
pub(crate) fn tokenizer(
    tokens: &[&str],
    merges: &[&str],
    cutting: Cutting,
    added: &[Added],
    begin: Option<(u32, &str)>,
) -> Result<String, String> {
    let vocabulary: Map<String, Value> = tokens.iter().enumerate().map(|(id, token)| ((*token).to_owned(), id.into())).collect();
    let pair = |merge: &&str| match merge.split_once(' ') {
        Some((left, right)) => Ok(json!([left, right])),
        None => Err(format!("the merge {merge:?} is no pair")),
    };
    let merges = merges.iter().map(pair).collect::<Result<Vec<Value>, String>>()?;
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens(added),
        "normalizer": if cutting == Cutting::Qwen2 { json!({"type": "NFC"}) } else { Value::Null },
        "pre_tokenizer": pre_tokenizer(cutting),
        "post_processor": begins_with(begin),
        "decoder": byte_level(false),
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": false, "byte_fallback": false, "ignore_merges": cutting == Cutting::Llama3, "vocab": vocabulary, "merges": merges,
        },
    })
    .to_string())
}

fn pre_tokenizer(cutting: Cutting) -> Value {
    let steps = match cutting {
        Cutting::Gpt2 => vec![byte_level(true)],
        Cutting::Digits => vec![json!({"type": "Digits", "individual_digits": true}), byte_level(true)],
        Cutting::Llama3 => vec![split(LLAMA3), byte_level(false)],
        Cutting::Qwen2 => vec![split(QWEN2), byte_level(false)],
        Cutting::Plain => PLAIN.into_iter().map(split).chain([byte_level(false)]).collect(),
    };
    json!({"type": "Sequence", "pretokenizers": steps})
}

fn split(pattern: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
}

/// Bytes as characters; with `words`, cut into GPT-2's words before.
fn byte_level(words: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": words})
}
