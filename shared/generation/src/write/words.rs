//! What each token of a vocabulary stands for.

use std::collections::HashMap;

use bytes::Bytes;
use tokenizers::Tokenizer;

use super::decoder::Spelling;

/// Why a tokenizer's tokens cannot be turned into text one by one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WordsError {
    /// It has no decoder, or one whose text depends on more than the bytes of each token.
    #[error("the tokenizer's decoder ({part}) cannot write a text token by token; ByteLevel, ByteFallback and Metaspace can")]
    Decoder {
        /// The decoder's part that cannot.
        part: String,
    },
    /// The vocabulary is larger than 2 GiB or has ids beyond 16 million.
    #[error("the tokenizer's vocabulary is too large: its last id is {last}")]
    TooLarge {
        /// The last id.
        last: u32,
    },
}

/// The tokens of a model, by their ids, as the bytes that they stand for. Ids that no token has stand for nothing.
#[derive(Clone, Debug)]
pub struct Words {
    bytes: Bytes,
    /// Where the bytes of each token end.
    ends: Vec<u32>,
    special: Vec<bool>,
    cut: Option<(char, usize)>,
}

const MOST: u32 = 1 << 24;

impl Words {
    /// The words of a tokenizer, whose decoder must be ByteLevel (GPT-2, Llama 3, Qwen) or a sequence of Replace, ByteFallback, Fuse and Strip, or
    /// Metaspace (Llama 2, Mistral).
    pub fn of(tokenizer: &Tokenizer) -> Result<Self, WordsError> {
        let decoder = serde_json::to_value(tokenizer.get_decoder()).unwrap_or_default();
        let spelling = Spelling::of(decoder)?;
        let added = tokenizer.get_added_tokens_decoder();
        let tokens: HashMap<u32, String> = tokenizer.get_vocab(true).into_iter().map(|(token, id)| (id, token)).collect();
        let last = tokens.keys().chain(added.keys()).copied().max().unwrap_or_default();
        if last >= MOST {
            return Err(WordsError::TooLarge { last });
        }
        let words = (0..=last).map(|id| {
            let token = added.get(&id).map(|token| &token.content).or_else(|| tokens.get(&id));
            let special = added.get(&id).is_some_and(|token| token.special);
            (token.map(|token| spelling.bytes(token)).unwrap_or_default(), special)
        });
        Ok(Self::assemble(words, spelling.cut))
    }

    /// Words of given bytes; for each whether it is special, that is, shown in no text.
    pub fn new(words: impl IntoIterator<Item = (Vec<u8>, bool)>) -> Self {
        Self::assemble(words, None)
    }

    fn assemble(words: impl IntoIterator<Item = (Vec<u8>, bool)>, cut: Option<(char, usize)>) -> Self {
        let (mut bytes, mut ends, mut specials) = (Vec::new(), Vec::new(), Vec::new());
        for (word, special) in words {
            bytes.extend_from_slice(&word);
            ends.push(bytes.len() as u32);
            specials.push(special);
        }
        Self { bytes: bytes.into(), ends, special: specials, cut }
    }

    /// The same words, but the special ones among `names` show in texts: marks that a text is taken apart by.
    #[must_use]
    pub fn showing(mut self, names: &[&str]) -> Self {
        for token in 0..self.len() {
            if self.special[token] && names.iter().any(|name| name.as_bytes() == self.bytes(token as u32)) {
                self.special[token] = false;
            }
        }
        self
    }

    /// How many ids there are, from 0.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// What a token stands for by itself: of a special one its name; of an unknown one nothing. Shares the vocabulary's memory.
    pub fn bytes(&self, token: u32) -> Bytes {
        let index = token as usize;
        let Some(&end) = self.ends.get(index) else { return Bytes::new() };
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        self.bytes.slice(start as usize..end as usize)
    }

    /// Whether a token is special: it shows in no text.
    pub fn is_special(&self, token: u32) -> bool {
        self.special.get(token as usize).copied().unwrap_or_default()
    }

    /// The bytes that a token adds to a text.
    pub fn written(&self, token: u32) -> Bytes {
        if self.is_special(token) { Bytes::new() } else { self.bytes(token) }
    }

    /// The text of whole sequence, for example of a prompt: special tokens are left out, and so is the space that some tokenizers put in front of
    /// every text. What follows it is written token by token, spaces included.
    pub fn text(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens.iter().flat_map(|&token| self.written(token)).collect();
        let text = String::from_utf8_lossy(&bytes);
        let Some((letter, most)) = self.cut else { return text.into_owned() };
        let mut rest = &*text;
        for _ in 0..most {
            rest = rest.strip_prefix(letter).unwrap_or(rest);
        }
        rest.to_owned()
    }
}
