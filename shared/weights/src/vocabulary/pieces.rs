//! Tokenizers of pieces with scores, as SentencePiece's and Llama 2's: the pair whose piece has the highest score is merged first, and what is no piece is
//! written byte by byte.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{Added, added_tokens, begins_with};

/// What stands for a blank in a piece.
pub(crate) const BLANK: &str = "\u{2581}";
/// The longest piece, in bytes: what a piece is merged from is looked for at each of its letters.
const LONGEST: usize = 1024;

/// A vocabulary. Piece i has the id i; `merged` says which of them come about by merging.
pub(crate) struct Pieces<'a> {
    pub(crate) texts: &'a [&'a str],
    pub(crate) scores: &'a [f32],
    pub(crate) merged: &'a dyn Fn(usize) -> bool,
    pub(crate) unknown: Option<&'a str>,
    pub(crate) added: &'a [Added],
    /// The token that every text begins with.
    pub(crate) begin: Option<(u32, &'a str)>,
    /// A text is read as though a blank were before it.
    pub(crate) blank_before: bool,
}

/// The `tokenizer.json`. Error: a piece that is too long.
pub(crate) fn tokenizer(pieces: &Pieces<'_>) -> Result<String, String> {
    if let Some((id, text)) = pieces.texts.iter().enumerate().find(|(_, text)| text.len() > LONGEST) {
        return Err(format!("piece {id} has {} bytes; at most {LONGEST} are read", text.len()));
    }
    let vocabulary: Map<String, Value> = pieces.texts.iter().enumerate().map(|(id, text)| ((*text).to_owned(), id.into())).collect();
    let byte_fallback = vocabulary.contains_key("<0x00>") && vocabulary.contains_key("<0xFF>");
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": BLANK});
    let mut normalizers = vec![replace];
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": BLANK}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if pieces.blank_before {
        normalizers.insert(0, json!({"type": "Prepend", "prepend": BLANK}));
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    let file = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens(pieces.added),
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": null,
        "post_processor": begins_with(pieces.begin),
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": pieces.unknown, "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": true, "byte_fallback": byte_fallback, "ignore_merges": false, "vocab": vocabulary, "merges": merges(pieces),
        },
    });
    Ok(file.to_string())
}

/// Every way in which a piece can be merged from two others, those with the highest scores first.
fn merges(pieces: &Pieces<'_>) -> Value {
    let mergeable = || pieces.texts.iter().enumerate().filter(|(id, _)| (pieces.merged)(*id));
    let ids: HashMap<&str, usize> = mergeable().map(|(id, text)| (*text, id)).collect();
    let mut found = Vec::new();
    for (id, text) in mergeable() {
        let cuts = text.char_indices().skip(1).map(|(at, _)| text.split_at(at));
        let pairs = cuts.filter_map(|(left, right)| Some((*ids.get(left)?, *ids.get(right)?)));
        found.extend(pairs.map(|pair| (id, pair)));
    }
    // With nothing added, 0 and -0 are the same; a score that is no number has a place too.
    let score = |id: usize| pieces.scores.get(id).copied().unwrap_or_default() + 0.0;
    found.sort_by(|one, other| score(other.0).total_cmp(&score(one.0)).then(one.cmp(other)));
    found.into_iter().map(|(_, (left, right))| json!([pieces.texts[left], pieces.texts[right]])).collect()
}
