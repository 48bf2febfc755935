//! A Hugging Face tokenizer with the worker's own limits in the place of the file's.

use std::path::Path;

use tokenizers::{Tokenizer, TruncationParams};
use torchmesh_api::error::{ApiError, ErrorKind};

use super::bound::{bound, too_many_tokens};
use crate::manifest::Truncation;

/// Turns text into token ids.
#[derive(Debug)]
pub struct Tokeniser {
    inner: Tokenizer,
    max_tokens: usize,
    vocabulary: usize,
}

/// A text as the model reads it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tokenised {
    /// The ids, special tokens included.
    pub ids: Vec<u32>,
    /// Whether the end of the text was cut off.
    pub truncated: bool,
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
        let mut inner = Tokenizer::from_bytes(text).map_err(|error| format!("is not a tokenizer: {error}"))?;
        inner.with_padding(None);
        let cut = TruncationParams { max_length: max_tokens, ..TruncationParams::default() };
        inner.with_truncation(Some(cut)).map_err(|error| error.to_string())?;
        let vocabulary = inner.get_vocab_size(true);
        Ok(Self { inner, max_tokens, vocabulary })
    }

    /// The longest sequence, in tokens.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// How many ids there are; an id is below this.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Tokenises text `index` of a request: well under a millisecond, since its length is bounded first.
    pub fn encode(&self, text: &str, index: usize, truncation: Truncation) -> Result<Tokenised, ApiError> {
        let (text, cut) = bound(text, index, self.max_tokens, truncation)?;
        let encoding = self.inner.encode_fast(text, true).map_err(|error| {
            tracing::warn!(%error, "a text could not be tokenised");
            ApiError::new(ErrorKind::InvalidArgument, format!("texts[{index}] cannot be turned into tokens of this model"))
        })?;
        let over = !encoding.get_overflowing().is_empty();
        if over && truncation == Truncation::Reject {
            return Err(too_many_tokens(index, self.max_tokens));
        }
        Ok(Tokenised { ids: encoding.get_ids().to_vec(), truncated: cut || over })
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

    fn tiny() -> Tokeniser {
        Tokeniser::parse(TINY.as_bytes(), 8).unwrap()
    }

    #[test]
    fn the_files_own_padding_and_truncation_are_put_aside() {
        let made = tiny().encode("a b c d e", 0, Truncation::Reject).unwrap();
        assert_eq!(made, Tokenised { ids: vec![2, 4, 5, 6, 7, 8, 3], truncated: false });
    }

    #[test]
    fn a_text_of_too_many_tokens_keeps_its_last_special_token_when_it_is_cut() {
        let made = tiny().encode("a b c d e f g h", 0, Truncation::End).unwrap();
        assert_eq!(made, Tokenised { ids: vec![2, 4, 5, 6, 7, 8, 9, 3], truncated: true });
    }

    #[test]
    fn a_text_of_too_many_tokens_is_refused_when_it_may_not_be_cut() {
        let refused = tiny().encode("a b c d e f g h", 1, Truncation::Reject).unwrap_err();
        assert!(refused.message.contains("texts[1] has more than the 8 tokens"), "{refused}");
    }

    #[test]
    fn a_file_that_is_no_tokenizer_is_an_error_and_not_a_panic() {
        for bad in ["", "{}", "[1, 2", "null"] {
            assert!(Tokeniser::parse(bad.as_bytes(), 8).unwrap_err().contains("is not a tokenizer"), "{bad:?}");
        }
    }
}
