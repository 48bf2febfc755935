//! How tokens are chosen and when an answer ends: the fields that every door has, OpenAI's and vLLM's, and their limits.

use std::{collections::HashMap, fmt, ops::RangeInclusive};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use torchmesh_api::text::v1::{GenerationSettings, format::Form};

use super::{
    Refused,
    fields::take,
    format::{self, MAX_CHOICES, ResponseFormat, StructuredOutputs, choices, schema_text},
    one_or_many::OneOrMany,
};
use crate::bounded::AtMost;

/// The most texts that may end an answer.
pub(crate) const MAX_STOP: usize = 16;
/// The longest of them, in bytes.
pub(crate) const MAX_STOP_BYTES: usize = 256;
/// The most tokens that may end an answer.
pub(crate) const MAX_STOP_TOKENS: usize = 64;
/// The most tokens that may be made likelier or less likely.
pub(crate) const MAX_BIASED: usize = 1024;
/// The most answers to one prompt.
pub(crate) const MAX_ANSWERS: u32 = 16;
/// The most likely tokens that are told for each place.
pub(crate) const MAX_LIKELIEST: u32 = 20;
/// How far the choice of tokens may be sharpened or flattened.
pub(crate) const TEMPERATURE: RangeInclusive<f32> = 0.0..=2.0;
/// What a token's probability must be, as a part of the likeliest one's.
pub(crate) const MIN_P: RangeInclusive<f32> = 0.0..=1.0;
/// The most of `top_p`, which is over 0.
pub(crate) const MAX_TOP_P: f32 = 1.0;
/// The most of `repetition_penalty`, which is over 0.
pub(crate) const MAX_REPETITION_PENALTY: f32 = 2.0;
/// How far `frequency_penalty` and `presence_penalty` go.
pub(crate) const PENALTY: RangeInclusive<f32> = -2.0..=2.0;
/// How far a bias goes.
pub(crate) const BIAS: RangeInclusive<f32> = -100.0..=100.0;

/// The fields as they are sent.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    temperature: Option<f32>,
    top_k: Option<i64>,
    top_p: Option<f32>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    logit_bias: Option<HashMap<String, f32>>,
    seed: Option<Seed>,
    stop: Option<OneOrMany<MAX_STOP>>,
    stop_token_ids: Option<AtMost<u32, MAX_STOP_TOKENS>>,
    ignore_eos: Option<bool>,
    n: Option<u32>,
    response_format: Option<ResponseFormat>,
    structured_outputs: Option<StructuredOutputs>,
    guided_json: Option<Box<RawValue>>,
    guided_regex: Option<String>,
    guided_grammar: Option<String>,
    guided_choice: Option<AtMost<String, MAX_CHOICES>>,
}

/// Any whole number; one below zero stands for the large one with the same bits.
#[derive(Debug, Clone, Copy)]
struct Seed(u64);

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Seed;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }
            fn visit_u64<E>(self, seed: u64) -> Result<Seed, E> {
                Ok(Seed(seed))
            }
            fn visit_i64<E>(self, seed: i64) -> Result<Seed, E> {
                Ok(Seed(seed.cast_unsigned()))
            }
        }
        deserializer.deserialize_any(Number)
    }
}

impl Settings {
    /// Takes the value of one of its fields; false where it has no such field.
    pub(crate) fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        take!(
            self,
            name,
            map,
            max_tokens,
            max_completion_tokens,
            temperature,
            top_k,
            top_p,
            min_p,
            repetition_penalty,
            frequency_penalty,
            presence_penalty,
            logit_bias,
            seed,
            stop,
            stop_token_ids,
            ignore_eos,
            n,
            response_format,
            structured_outputs,
            guided_json,
            guided_regex,
            guided_grammar,
            guided_choice
        )
    }

    /// How many answers are wanted to each prompt.
    pub(crate) fn answers(&self) -> u32 {
        self.n.unwrap_or(1)
    }

    /// As the mesh has them.
    ///
    /// Error: the field that is out of its range.
    pub(crate) fn check(mut self) -> Result<GenerationSettings, Refused> {
        let format = format::only(self.forms()?)?;
        let (max_tokens, max_name) = match self.max_completion_tokens {
            Some(most) => (Some(most), "max_completion_tokens"),
            None => (self.max_tokens, "max_tokens"),
        };
        if max_tokens == Some(0) {
            return Err(Refused::field(max_name, "must be at least 1; leave it out for as many as there is room for"));
        }
        Ok(GenerationSettings {
            max_tokens,
            temperature: within("temperature", self.temperature, TEMPERATURE)?,
            top_k: self.top_k.map(likeliest).transpose()?,
            top_p: above_zero("top_p", self.top_p, MAX_TOP_P)?,
            min_p: within("min_p", self.min_p, MIN_P)?,
            repetition_penalty: above_zero("repetition_penalty", self.repetition_penalty, MAX_REPETITION_PENALTY)?,
            frequency_penalty: within("frequency_penalty", self.frequency_penalty, PENALTY)?,
            presence_penalty: within("presence_penalty", self.presence_penalty, PENALTY)?,
            logit_bias: biases(self.logit_bias.unwrap_or_default())?,
            seed: self.seed.map(|Seed(seed)| seed),
            stop: stops(self.stop.unwrap_or_default().0)?,
            stop_tokens: self.stop_token_ids.unwrap_or_default().0,
            ignore_end: self.ignore_eos.unwrap_or_default(),
            n: count("n", self.n, 1..=MAX_ANSWERS)?,
            best_of: None,
            logprobs: None,
            format,
            written: Vec::new(),
        })
    }

    fn forms(&mut self) -> Result<Vec<(&'static str, Form)>, Refused> {
        let mut forms = Vec::new();
        if let Some(format) = self.response_format.take() {
            forms.extend(format.read()?.map(|form| ("response_format", form)));
        }
        if let Some(outputs) = self.structured_outputs.take() {
            forms.extend(outputs.read()?);
        }
        if let Some(schema) = self.guided_json.take() {
            forms.push(("guided_json", Form::JsonSchema(schema_text(&schema, "guided_json")?)));
        }
        forms.extend(self.guided_regex.take().map(|regex| ("guided_regex", Form::Regex(regex))));
        forms.extend(self.guided_grammar.take().map(|grammar| ("guided_grammar", Form::Grammar(grammar))));
        forms.extend(self.guided_choice.take().map(|texts| ("guided_choice", choices(texts.0))));
        Ok(forms)
    }
}

/// A number of answers or of tokens.
pub(crate) fn count(name: &str, value: Option<u32>, range: RangeInclusive<u32>) -> Result<Option<u32>, Refused> {
    match value {
        Some(value) if !range.contains(&value) => {
            Err(Refused::field(name, format!("must be {} to {}, not {value}", range.start(), range.end())))
        }
        value => Ok(value),
    }
}

fn within(name: &str, value: Option<f32>, range: RangeInclusive<f32>) -> Result<Option<f32>, Refused> {
    match value {
        Some(value) if !range.contains(&value) => {
            Err(Refused::field(name, format!("must be {} to {}, not {value}", range.start(), range.end())))
        }
        value => Ok(value),
    }
}

fn above_zero(name: &str, value: Option<f32>, most: f32) -> Result<Option<f32>, Refused> {
    match value {
        Some(value) if value <= 0.0 || value > most => Err(Refused::field(name, format!("must be over 0 and at most {most}, not {value}"))),
        value => Ok(value),
    }
}

/// vLLM's clients write -1 for all.
fn likeliest(top_k: i64) -> Result<u32, Refused> {
    let top_k = if top_k == -1 { 0 } else { top_k };
    u32::try_from(top_k).map_err(|_| Refused::field("top_k", format!("must be a whole number from 0, or -1 for all, not {top_k}")))
}

fn biases(told: HashMap<String, f32>) -> Result<HashMap<u32, f32>, Refused> {
    if told.len() > MAX_BIASED {
        return Err(Refused::field("logit_bias", format!("may have at most {MAX_BIASED} tokens, not {}", told.len())));
    }
    let bias = |(token, bias): (String, f32)| {
        let shown: String = token.chars().take(32).collect();
        let id = token.parse().map_err(|_| Refused::field("logit_bias", format!("{shown:?} is no token's id; send whole numbers")))?;
        if BIAS.contains(&bias) {
            return Ok((id, bias));
        }
        let (least, most) = (BIAS.start(), BIAS.end());
        Err(Refused::field("logit_bias", format!("that of token {id} must be {least} to {most}, not {bias}")))
    };
    told.into_iter().map(bias).collect()
}

fn stops(texts: Vec<String>) -> Result<Vec<String>, Refused> {
    match texts.iter().position(|text| !(1..=MAX_STOP_BYTES).contains(&text.len())) {
        Some(at) => Err(Refused::field(
            "stop",
            format!("each text must have 1 to {MAX_STOP_BYTES} bytes, and that at {at} has {}", texts[at].len()),
        )),
        None => Ok(texts),
    }
}
