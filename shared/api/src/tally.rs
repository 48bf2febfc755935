//! What is on a stream of answers, counted as it passes by: the tokens that were written, without decoding the messages.
//!
//! A message counts when its last byte has passed. [`crate::peek`] reads requests; this reads the answers of language models, whose tokens are repeated fields, and
//! whose last message says what was read and written in all.

use bytes::{Buf as _, Bytes, BytesMut};
use prost::{
    DecodeError, Message as _,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};

use crate::{peek, text::v1::Usage};

/// A message that is longer than this is passed over: no piece of text is that long.
const LONGEST: usize = 1 << 20;

/// Which messages the stream is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `GenerateResponse`.
    Generate,
    /// `ChatResponse`.
    Chat,
    /// `ModelStreamInferResponse`.
    Infer,
}

impl Kind {
    /// The kind of the answers at a path, where they can be counted.
    pub fn of(path: &str) -> Option<Self> {
        match path {
            "/torchmesh.text.v1.GenerationService/Generate" => Some(Self::Generate),
            "/torchmesh.text.v1.GenerationService/Chat" => Some(Self::Chat),
            "/inference.GRPCInferenceService/ModelStreamInfer" => Some(Self::Infer),
            _ => None,
        }
    }
}

/// What messages tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Tokens that were written, those of a repeated prompt among them.
    pub tokens: u64,
    /// What was read and written in all, where the last message has passed.
    pub told: Option<Usage>,
    /// Of [`Kind::Infer`]: tokens of the prompts.
    pub prompt_tokens: u64,
    /// Of [`Kind::Infer`]: requests that were answered without an error.
    pub items: u64,
}

impl Counted {
    /// Adds what more messages tell.
    pub fn add(&mut self, more: Self) {
        self.tokens += more.tokens;
        self.told = more.told.or(self.told);
        self.prompt_tokens += more.prompt_tokens;
        self.items += more.items;
    }
}

/// Counts one stream.
#[derive(Debug)]
pub struct Tally {
    kind: Kind,
    /// The beginning of a message that is not whole yet.
    begun: BytesMut,
    /// Bytes of a message that is passed over which are still to come.
    passed_over: usize,
    counted: Counted,
    answered: Option<Answered>,
}

/// The model that answers, and its version.
pub type Answered = (Box<str>, Box<str>);

impl Tally {
    /// Nothing has passed yet.
    pub fn new(kind: Kind) -> Self {
        Self { kind, begun: BytesMut::new(), passed_over: 0, counted: Counted::default(), answered: None }
    }

    /// What has passed so far.
    pub fn counted(&self) -> Counted {
        self.counted
    }

    /// Of [`Kind::Infer`]: which model gave the first answer.
    pub fn answered(&self) -> Option<&Answered> {
        self.answered.as_ref()
    }

    /// The next bytes of the stream.
    pub fn pass(&mut self, data: &Bytes) {
        let mut data = data.clone();
        data.advance(self.skipped(data.len()));
        if !self.begun.is_empty() {
            self.begun.extend_from_slice(&data);
            data = std::mem::take(&mut self.begun).freeze();
        }
        while let Some((compressed, length)) = peek::prefix(&data) {
            let whole = peek::PREFIX + length;
            if compressed || length > LONGEST {
                self.passed_over = whole;
                data.advance(self.skipped(data.len()));
            } else if data.len() < whole {
                break;
            } else {
                data.advance(peek::PREFIX);
                let message = data.split_to(length);
                self.counted.add(count(self.kind, &message));
                if self.kind == Kind::Infer && self.answered.is_none() {
                    self.answered = answered(&message);
                }
            }
        }
        self.begun.extend_from_slice(&data);
    }

    fn skipped(&mut self, available: usize) -> usize {
        let skipped = self.passed_over.min(available);
        self.passed_over -= skipped;
        skipped
    }
}

/// What one message tells, its prefix taken off. A message that cannot be read tells nothing.
pub fn count(kind: Kind, message: &[u8]) -> Counted {
    let counted = match kind {
        Kind::Generate => written(message, 6, 8),
        Kind::Chat => written(message, 7, 9),
        Kind::Infer => inferred(message),
    };
    counted.unwrap_or_default()
}

/// Goes through the fields of a message: those whose values have a length are shown, others passed over.
fn fields(mut message: &[u8], mut seen: impl FnMut(u32, &[u8]) -> Result<(), DecodeError>) -> Result<(), DecodeError> {
    while message.has_remaining() {
        let (field, wire) = decode_key(&mut message)?;
        if wire == WireType::LengthDelimited {
            let length = usize::try_from(decode_varint(&mut message)?).unwrap_or(usize::MAX);
            let Some((value, rest)) = message.split_at_checked(length) else { return Ok(()) };
            seen(field, value)?;
            message = rest;
        } else {
            skip_field(wire, field, &mut message, DecodeContext::default())?;
        }
    }
    Ok(())
}

fn written(message: &[u8], tokens: u32, usage: u32) -> Result<Counted, DecodeError> {
    let mut counted = Counted::default();
    fields(message, |field, value| {
        if field == tokens {
            counted.tokens += 1;
        } else if field == usage {
            counted.told = Some(Usage::decode(value)?);
        }
        Ok(())
    })?;
    Ok(counted)
}

/// The parameters of an answer by which a worker tells what a language model read and wrote for it.
pub mod parameters {
    /// Tokens that were written since the last answer to this request.
    pub const COMPLETION_TOKENS: &str = "completion_tokens";
    /// On the first answer to a request: tokens of its prompt.
    pub const PROMPT_TOKENS: &str = "prompt_tokens";
}

fn inferred(message: &[u8]) -> Result<Counted, DecodeError> {
    let mut counted = Counted::default();
    let (mut answered, mut goes_on) = (false, false);
    fields(message, |field, value| {
        if field != 2 {
            return Ok(());
        }
        answered = true;
        fields(value, |field, entry| {
            if let (4, Some((name, value))) = (field, parameter(entry)) {
                if name == parameters::COMPLETION_TOKENS.as_bytes() {
                    counted.tokens += value;
                    goes_on = true;
                } else if name == parameters::PROMPT_TOKENS.as_bytes() {
                    counted.prompt_tokens += value;
                }
            }
            Ok(())
        })
    })?;
    // A language model answers a request piece by piece; the first piece tells of the prompt.
    counted.items = u64::from(answered && (!goes_on || counted.prompt_tokens > 0));
    Ok(counted)
}

fn answered(message: &[u8]) -> Option<Answered> {
    let (mut model, mut version) = (None, None);
    let read = fields(message, |field, value| {
        if field != 2 {
            return Ok(());
        }
        fields(value, |field, value| {
            match field {
                1 => model = std::str::from_utf8(value).ok().map(Box::from),
                2 => version = std::str::from_utf8(value).ok().map(Box::from),
                _ => {}
            }
            Ok(())
        })
    });
    read.ok().and_then(|()| Some((model?, version.unwrap_or_default())))
}

/// A parameter's name and its number, where it is one.
fn parameter(mut entry: &[u8]) -> Option<(&[u8], u64)> {
    let (mut name, mut number) = (&[][..], None);
    while entry.has_remaining() {
        let (field, wire) = decode_key(&mut entry).ok()?;
        if wire != WireType::LengthDelimited {
            skip_field(wire, field, &mut entry, DecodeContext::default()).ok()?;
            continue;
        }
        let length = usize::try_from(decode_varint(&mut entry).ok()?).ok()?;
        let (value, rest) = entry.split_at_checked(length)?;
        match field {
            1 => name = value,
            2 => number = int64(value),
            _ => {}
        }
        entry = rest;
    }
    number.map(|number| (name, number))
}

/// The `int64_param` of a parameter.
fn int64(mut value: &[u8]) -> Option<u64> {
    let (field, wire) = decode_key(&mut value).ok()?;
    if (field, wire) == (2, WireType::Varint) { decode_varint(&mut value).ok() } else { None }
}

#[cfg(test)]
mod tests;
