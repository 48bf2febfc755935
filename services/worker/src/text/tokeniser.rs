//! A Hugging Face tokenizer with the worker's own limits in the place of the file's.

use std::{path::Path, sync::Arc};

use tokenizers::{
    Encoding, ModelWrapper, PostProcessor as _, Tokenizer, TruncationParams, TruncationStrategy, utils::truncation::truncate_encodings,
};
use torchmesh_api::error::{ApiError, ErrorKind};

use super::bound::{MAX_WINDOWS, bound, too_many_tokens, too_many_windows};
use crate::manifest::Truncation;

/// What masked language models call the token that stands for what is to be found.
const MASKS: [&str; 2] = ["[MASK]", "<mask>"];
/// The token of what the vocabulary lacks.
const UNKNOWNS: [&str; 2] = ["[UNK]", "<unk>"];
/// The token that fills a text up.
const PADDINGS: [&str; 2] = ["[PAD]", "<pad>"];

/// Turns text into token ids.
#[derive(Debug)]
pub struct Tokeniser {
    inner: Tokenizer,
    max_tokens: usize,
    overlap: usize,
    vocabulary: usize,
    mask: Option<u32>,
    unknown: Option<u32>,
    padding: Option<u32>,
}

/// What is tokenised.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// A text.
    Text(String),
    /// A query and one of its documents.
    Pair(Arc<str>, String),
}

/// A text as the model reads it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tokenised {
    /// One, unless the text was split; never empty.
    pub windows: Vec<Window>,
    /// Whether the end of the text was cut off.
    pub truncated: bool,
    /// How many tokens neighbouring windows share.
    pub overlap: usize,
}

/// Tokens that the model reads together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Window {
    /// The ids, special tokens included.
    pub ids: Vec<u32>,
    /// For each token of a pair, 0 for the query and 1 for the document; empty for a single text.
    pub types: Vec<u32>,
    /// For each token where it comes from; empty unless asked for.
    pub places: Vec<Place>,
}

/// Where a token comes from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Place {
    /// Where it begins in the text, in bytes.
    pub start: usize,
    /// The first byte behind it.
    pub end: usize,
    /// Which word of the text it belongs to, as the tokenizer counts words.
    pub word: Option<u32>,
    /// Whether the tokenizer added it.
    pub special: bool,
}

impl Place {
    /// Moves the ends to characters' ends: some tokens are a part of one.
    fn widen(&mut self, text: &str) {
        while !text.is_char_boundary(self.start) && self.start > 0 {
            self.start -= 1;
        }
        while !text.is_char_boundary(self.end) && self.end < text.len() {
            self.end += 1;
        }
    }
}

impl Source {
    /// The text that is long: the text itself, or the document.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Pair(_, text) => text,
        }
    }

    /// What a message calls the entry at `index`.
    fn name(&self, index: usize) -> String {
        let field = if matches!(self, Self::Text(_)) { "texts" } else { "documents" };
        format!("{field}[{index}]")
    }
}

impl Tokenised {
    /// How many tokens the model reads, of all windows together.
    pub fn tokens(&self) -> usize {
        self.windows.iter().map(|window| window.ids.len()).sum()
    }
}

impl Tokeniser {
    /// Reads a `tokenizer.json`. The file's own padding and truncation are put aside: padding is the batcher's work, and the limit is
    /// the manifest's. The error is for the repository index.
    pub fn load(file: &Path, max_tokens: usize) -> Result<Self, String> {
        let shown = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read(file).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        Self::parse(&text, max_tokens).map_err(|reason| format!("{shown}: {reason}"))
    }

    /// Reads the text of a `tokenizer.json`.
    pub fn parse(text: &[u8], max_tokens: usize) -> Result<Self, String> {
        Self::new(Tokenizer::from_bytes(text).map_err(|error| format!("is not a tokenizer: {error}"))?, max_tokens)
    }

    /// Takes a tokenizer over.
    pub(super) fn new(mut inner: Tokenizer, max_tokens: usize) -> Result<Self, String> {
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| error.to_string())?;
        let vocabulary = inner.get_vocab_size(true);
        let added = inner.get_added_tokens_decoder();
        let mask = MASKS.iter().find_map(|mask| inner.token_to_id(mask).filter(|id| added.contains_key(id)));
        let special = |names: [&str; 2]| names.iter().find_map(|name| inner.token_to_id(name));
        let (unknown, padding) = (special(UNKNOWNS), special(PADDINGS));
        Ok(Self { inner, max_tokens, overlap: max_tokens / 8, vocabulary, mask, unknown, padding })
    }

    /// The same, with windows that share `overlap` tokens.
    #[must_use]
    pub fn with_overlap(self, overlap: usize) -> Self {
        Self { overlap, ..self }
    }

    /// The longest sequence, in tokens.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// How many ids there are; an id is below this.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The id of the token that stands for what is to be found.
    pub fn mask(&self) -> Option<u32> {
        self.mask
    }

    /// The id of the token of what the vocabulary lacks.
    pub fn unknown(&self) -> Option<u32> {
        self.unknown
    }

    /// The id of the token that says nothing: padding.
    pub fn padding(&self) -> u32 {
        self.padding.unwrap_or(0)
    }

    /// Whether tokens that go on with a word are marked, as `##` does.
    pub fn marks_subwords(&self) -> bool {
        match self.inner.get_model() {
            ModelWrapper::WordPiece(model) => !model.continuing_subword_prefix.is_empty(),
            ModelWrapper::BPE(model) => model.continuing_subword_prefix.as_deref().is_some_and(|prefix| !prefix.is_empty()),
            ModelWrapper::WordLevel(_) | ModelWrapper::Unigram(_) => false,
        }
    }

    /// A token by its own name, such as `[CLS]`.
    pub fn token(&self, id: u32) -> String {
        self.inner.id_to_token(id).unwrap_or_default()
    }

    /// A token as text, as it would stand at the beginning of one.
    pub fn decoded(&self, id: u32) -> String {
        self.inner.decode(&[id], false).unwrap_or_default()
    }

    /// Tokenises entry `index` of a request: well under a millisecond for each thousand tokens, since the length is bounded first. With `places`, each
    /// token also says where it comes from.
    pub fn encode(&self, source: &Source, index: usize, truncation: Truncation, places: bool) -> Result<Tokenised, ApiError> {
        let name = source.name(index);
        let (text, mut cut) = bound(source.text(), &name, self.max_tokens, truncation)?;
        let read = |text: &str| if places { self.inner.encode(text, false) } else { self.inner.encode_fast(text, false) };
        let unread = |error: tokenizers::Error| {
            tracing::warn!(%error, "a text could not be tokenised");
            ApiError::new(ErrorKind::InvalidArgument, format!("{name} cannot be turned into tokens of this model"))
        };
        let (first, second) = match source {
            Source::Text(_) => (read(text).map_err(unread)?, None),
            Source::Pair(query, _) => {
                let (query, cut_query) = bound(query, "query", self.max_tokens, truncation)?;
                cut |= cut_query;
                let mut document = read(text).map_err(unread)?;
                // What some post-processors take over, and others set by themselves.
                document.set_type_ids(vec![1; document.len()]);
                (read(query).map_err(unread)?, Some(document))
            }
        };
        let pair = second.is_some();
        let (first, second, overlap) = self.fit(first, second, truncation, &name)?;
        let mut whole = self.inner.post_process(first, second, true).map_err(unread)?;
        let rest = whole.take_overflowing();
        let truncated = cut || (truncation != Truncation::Split && !rest.is_empty());
        let kept = if truncation == Truncation::Split { rest } else { Vec::new() };
        let mut windows: Vec<Window> = std::iter::once(&whole).chain(&kept).map(|encoding| window(encoding, pair, places)).collect();
        windows.iter_mut().flat_map(|window| &mut window.places).for_each(|place| place.widen(text));
        Ok(Tokenised { windows, truncated, overlap })
    }

    /// Cuts what is too long into the first window and what overflows, and tells how many tokens windows share.
    fn fit(
        &self,
        first: Encoding,
        second: Option<Encoding>,
        truncation: Truncation,
        name: &str,
    ) -> Result<(Encoding, Option<Encoding>, usize), ApiError> {
        let added = self.inner.get_post_processor().map_or(0, |processor| processor.added_tokens(second.is_some()));
        let room = self.max_tokens.saturating_sub(added);
        let length = first.len() + second.as_ref().map_or(0, Encoding::len);
        if length <= room {
            return Ok((first, second, 0));
        }
        let mut params = TruncationParams { max_length: room, stride: 0, ..TruncationParams::default() };
        match truncation {
            Truncation::Reject => return Err(too_many_tokens(name, self.max_tokens)),
            Truncation::End => {}
            Truncation::Split => {
                // What is split: the text, or the document beside the whole query.
                let (beside, long) = second.as_ref().map_or((0, first.len()), |second| (first.len(), second.len()));
                let window = room.saturating_sub(beside);
                if window < 2 {
                    return Err(too_many_tokens("query", self.max_tokens));
                }
                params.stride = self.overlap.min(window / 2);
                let windows = 1 + (long - window.min(long)).div_ceil(window - params.stride);
                if windows > MAX_WINDOWS {
                    return Err(too_many_windows(name, windows));
                }
                params.strategy = if second.is_some() { TruncationStrategy::OnlySecond } else { TruncationStrategy::OnlyFirst };
            }
        }
        let (first, second) = truncate_encodings(first, second, &params).map_err(|_| too_many_tokens(name, self.max_tokens))?;
        Ok((first, second, params.stride))
    }
}

fn window(encoding: &Encoding, pair: bool, places: bool) -> Window {
    let place =
        |((&(start, end), &word), &special): ((&(usize, usize), &Option<u32>), &u32)| Place { start, end, word, special: special != 0 };
    let offsets = || encoding.get_offsets().iter().zip(encoding.get_word_ids()).zip(encoding.get_special_tokens_mask());
    Window {
        ids: encoding.get_ids().to_vec(),
        types: if pair { encoding.get_type_ids().to_vec() } else { Vec::new() },
        places: if places { offsets().map(place).collect() } else { Vec::new() },
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Words `a` to `j`, each a token, between `[CLS]` and `[SEP]`; padding and truncation as a published file may force them.
    pub(crate) const TINY: &str = r#"{
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 12}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [
            {"id": 0, "content": "[PAD]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
            {"id": 1, "content": "[UNK]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
            {"id": 2, "content": "[CLS]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
            {"id": 3, "content": "[SEP]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
        "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "decoder": null,
        "model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab": {
            "[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3,
            "a": 4, "b": 5, "c": 6, "d": 7, "e": 8, "f": 9, "g": 10, "h": 11, "i": 12, "j": 13}}
    }"#;

    fn encode(text: &str, truncation: Truncation) -> Result<Tokenised, ApiError> {
        let tiny = Tokeniser::parse(TINY.as_bytes(), 8).unwrap().with_overlap(2);
        tiny.encode(&Source::Text(text.to_owned()), 1, truncation, false)
    }

    fn one(ids: &[u32], truncated: bool) -> Tokenised {
        Tokenised { windows: vec![Window { ids: ids.to_vec(), ..Window::default() }], truncated, overlap: 0 }
    }

    fn ids(tokenised: &Tokenised) -> Vec<&[u32]> {
        tokenised.windows.iter().map(|window| window.ids.as_slice()).collect()
    }

    #[test]
    fn the_files_own_padding_and_truncation_are_put_aside() {
        assert_eq!(encode("a b c d e", Truncation::Reject).unwrap(), one(&[2, 4, 5, 6, 7, 8, 3], false));
    }

    #[test]
    fn a_text_of_too_many_tokens_keeps_its_last_special_token_when_it_is_cut() {
        assert_eq!(encode("a b c d e f g h", Truncation::End).unwrap(), one(&[2, 4, 5, 6, 7, 8, 9, 3], true));
    }

    #[test]
    fn a_text_of_too_many_tokens_is_refused_when_it_may_not_be_cut() {
        let refused = encode("a b c d e f g h", Truncation::Reject).unwrap_err();
        assert!(refused.message.contains("texts[1] has more than the 8 tokens"), "{refused}");
    }

    #[test]
    fn a_long_text_is_split_into_windows_that_overlap() {
        let made = encode("a b c d e f g h i j a b", Truncation::Split).unwrap();
        assert_eq!(ids(&made), [&[2, 4, 5, 6, 7, 8, 9, 3][..], &[2, 8, 9, 10, 11, 12, 13, 3], &[2, 12, 13, 4, 5, 3]]);
        assert!(!made.truncated, "nothing is lost");
        assert_eq!(ids(&encode("a b", Truncation::Split).unwrap()), [[2, 4, 5, 3]]);
        let refused = encode(&"a ".repeat(1000), Truncation::Split).unwrap_err();
        assert!(refused.message.contains("makes 250 windows, and at most 64"), "{refused}");
    }

    #[test]
    fn a_pair_is_cut_at_its_longer_text_and_split_at_its_document() {
        let tiny = Tokeniser::parse(TINY.as_bytes(), 9).unwrap().with_overlap(1);
        let pair = |truncation| tiny.encode(&Source::Pair("a b".into(), "c d e f g h".to_owned()), 0, truncation, false).unwrap();
        let cut = pair(Truncation::End);
        assert_eq!((ids(&cut), cut.truncated), (vec![&[2, 4, 5, 3, 6, 7, 8, 9, 3][..]], true));
        assert_eq!(cut.windows[0].types, [0, 0, 0, 0, 1, 1, 1, 1, 1]);
        let split = pair(Truncation::Split);
        assert_eq!(ids(&split), [&[2, 4, 5, 3, 6, 7, 8, 9, 3][..], &[2, 4, 5, 3, 9, 10, 11, 3]]);
        assert_eq!(split.windows[1].types, [0, 0, 0, 0, 1, 1, 1, 1]);
        let crowded = tiny.encode(&Source::Pair("a b c d e".into(), "f g h".to_owned()), 0, Truncation::Split, false).unwrap_err();
        assert!(crowded.message.starts_with("query has more than the 9 tokens"), "{crowded}");
    }

    #[test]
    fn places_are_bytes_of_the_text_that_came() {
        let tiny = Tokeniser::parse(TINY.as_bytes(), 8).unwrap();
        let made = tiny.encode(&Source::Text("é b".to_owned()), 0, Truncation::End, true).unwrap();
        let places: Vec<_> = made.windows[0].places.iter().map(|place| (place.start, place.end, place.word, place.special)).collect();
        assert_eq!(places, [(0, 0, None, true), (0, 2, Some(0), false), (3, 4, Some(1), false), (0, 0, None, true)]);
    }

    #[test]
    fn a_file_that_is_no_tokenizer_is_an_error_and_not_a_panic() {
        for bad in ["", "{}", "[1, 2", "null"] {
            assert!(Tokeniser::parse(bad.as_bytes(), 8).unwrap_err().contains("is not a tokenizer"), "{bad:?}");
        }
    }
}
