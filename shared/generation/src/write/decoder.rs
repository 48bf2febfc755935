//! How a tokenizer's own spelling of a token becomes bytes.

use std::collections::HashMap;

use serde::Deserialize;

use super::WordsError;

/// One step of a tokenizer's decoder, as `tokenizer.json` has it.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum Part {
    Sequence {
        decoders: Vec<Part>,
    },
    Replace {
        pattern: Pattern,
        content: String,
    },
    ByteFallback {},
    Fuse {},
    Strip {
        content: char,
        start: usize,
        stop: usize,
    },
    Metaspace {
        replacement: char,
        prepend_scheme: Option<String>,
    },
    ByteLevel {},
    BPEDecoder {},
    WordPiece {},
    #[serde(rename = "CTC")]
    Ctc {},
}

/// What is replaced: a text, or a regular expression.
#[derive(Deserialize)]
struct Pattern {
    #[serde(rename = "String")]
    text: Option<String>,
}

/// What is done to one token's spelling.
enum Step {
    Replace(String, String),
    /// `<0x41>` is the byte 0x41.
    ByteFallback,
    /// Each character stands for a byte, in the alphabet of GPT-2.
    ByteLevel,
}

/// Turns spellings into bytes.
pub(super) struct Spelling {
    steps: Vec<Step>,
    alphabet: HashMap<char, u8>,
    /// The character, and how often it is cut from the beginning of a whole text.
    pub(super) cut: Option<(char, usize)>,
}

impl Spelling {
    /// How the decoder spells that `tokenizer.json` gives as `decoder`.
    pub(super) fn of(decoder: serde_json::Value) -> Result<Self, WordsError> {
        let kind = decoder["type"].as_str().unwrap_or("none").to_owned();
        let unknown = |part: &str| WordsError::Decoder { part: part.to_owned() };
        let part: Part = serde_json::from_value(decoder).map_err(|_| unknown(&kind))?;
        let mut spelling = Self { steps: Vec::new(), alphabet: alphabet(), cut: None };
        let mut fused = false;
        let parts = if let Part::Sequence { decoders } = part { decoders } else { vec![part] };
        for part in parts {
            match part {
                Part::Replace { pattern: Pattern { text: Some(from) }, content } => spelling.steps.push(Step::Replace(from, content)),
                Part::ByteFallback {} => spelling.steps.push(Step::ByteFallback),
                Part::ByteLevel {} => spelling.steps.push(Step::ByteLevel),
                Part::Fuse {} => fused = true,
                Part::Strip { content, start, stop: 0 } if fused => spelling.cut = Some((content, start)),
                Part::Metaspace { replacement, prepend_scheme } => {
                    spelling.steps.push(Step::Replace(replacement.to_string(), " ".to_owned()));
                    if prepend_scheme.as_deref() != Some("never") {
                        spelling.cut = Some((' ', 1));
                    }
                }
                Part::Replace { .. } => return Err(unknown("Replace with a regular expression")),
                Part::Strip { .. } => return Err(unknown("Strip other than at the beginning of the whole text")),
                Part::Sequence { .. } => return Err(unknown("Sequence within a Sequence")),
                Part::BPEDecoder {} => return Err(unknown("BPEDecoder")),
                Part::WordPiece {} => return Err(unknown("WordPiece")),
                Part::Ctc {} => return Err(unknown("CTC")),
            }
        }
        Ok(spelling)
    }

    /// The bytes that a token stands for.
    pub(super) fn bytes(&self, token: &str) -> Vec<u8> {
        let mut text = token.to_owned();
        for step in &self.steps {
            match step {
                Step::Replace(from, to) => text = text.replace(from, to),
                Step::ByteFallback => {
                    if let Some(byte) = fallback(&text) {
                        return vec![byte];
                    }
                }
                Step::ByteLevel => {
                    // An added token may have characters that are not of the alphabet: it stands for itself.
                    let bytes: Option<Vec<u8>> = text.chars().map(|letter| self.alphabet.get(&letter).copied()).collect();
                    return bytes.unwrap_or_else(|| text.into_bytes());
                }
            }
        }
        text.into_bytes()
    }
}

fn fallback(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok())?
}

/// GPT-2's alphabet of bytes: a byte that prints stands for itself, the others have the characters from U+0100 on, in order.
fn alphabet() -> HashMap<char, u8> {
    let prints = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let others = (0..=u8::MAX).filter(|&byte| !prints(byte)).zip('\u{100}'..);
    (0..=u8::MAX)
        .filter(|&byte| prints(byte))
        .map(|byte| (char::from(byte), byte))
        .chain(others.map(|(byte, letter)| (letter, byte)))
        .collect()
}
