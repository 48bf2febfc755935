//! How a caller wants tokens to be chosen.

use std::ops::RangeInclusive;

use crate::Refusal;

/// The most tokens whose logits one request may bias.
pub const MAX_BIASES: usize = 1024;
/// The most tokens that are told for one place.
pub const MAX_LIKELIEST: u32 = 20;

/// How the next token is chosen. The default takes the model's distribution as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// 0 to 2; the logits are divided by it. Below 0.00001 the likeliest token is chosen each time, the lowest id where several are.
    pub temperature: f32,
    /// Only the `top_k` likeliest tokens are chosen from; 0: all.
    pub top_k: u32,
    /// Only the fewest likeliest tokens that together have this probability, over 0 to 1; 1: all.
    pub top_p: f32,
    /// Only tokens that are at least this many times as likely as the likeliest, 0 to 1; 0: all.
    pub min_p: f32,
    /// Over 0 to 2. The logit of a token of the prompt or of the answer is divided by it where it is positive, else multiplied; 1: nothing.
    pub repetition_penalty: f32,
    /// -2 to 2; taken from a token's logit for each time that it is in the answer.
    pub frequency_penalty: f32,
    /// -2 to 2; taken once from the logit of each token that is in the answer.
    pub presence_penalty: f32,
    /// Token and what is added to its logit, -100 to 100.
    pub logit_bias: Vec<(u32, f32)>,
    /// Of how many of the likeliest tokens the logarithms are told beside that of the chosen one, 0 to 20; `None`: no logarithms at all.
    pub logprobs: Option<u32>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            logit_bias: Vec::new(),
            logprobs: None,
        }
    }
}

impl Sampling {
    /// Whether every setting is in its range; `vocabulary` is how many tokens the model has.
    pub fn check(&self, vocabulary: usize) -> Result<(), Refusal> {
        within("temperature", self.temperature, 0.0..=2.0)?;
        over("top_p", self.top_p, 1.0)?;
        within("min_p", self.min_p, 0.0..=1.0)?;
        over("repetition_penalty", self.repetition_penalty, 2.0)?;
        within("frequency_penalty", self.frequency_penalty, -2.0..=2.0)?;
        within("presence_penalty", self.presence_penalty, -2.0..=2.0)?;
        if self.logprobs.is_some_and(|count| count > MAX_LIKELIEST) {
            let why = format!("must be from 0 to {MAX_LIKELIEST}, not {}", self.logprobs.unwrap_or_default());
            return Err(Refusal::new("logprobs", why));
        }
        self.check_biases(vocabulary)
    }

    fn check_biases(&self, vocabulary: usize) -> Result<(), Refusal> {
        let refuse = |why| Err(Refusal::new("logit_bias", why));
        if self.logit_bias.len() > MAX_BIASES {
            return refuse(format!("must have at most {MAX_BIASES} tokens, not {}", self.logit_bias.len()));
        }
        for &(token, bias) in &self.logit_bias {
            if token as usize >= vocabulary {
                return refuse(format!("token {token} is not in the vocabulary, which ends at {}", vocabulary.saturating_sub(1)));
            }
            if !(-100.0..=100.0).contains(&bias) {
                return refuse(format!("must be from -100 to 100, not {bias} for token {token}"));
            }
        }
        Ok(())
    }

    /// Whether the likeliest token is chosen each time.
    pub fn is_greedy(&self) -> bool {
        self.temperature < 1e-5
    }
}

fn within(field: &'static str, value: f32, range: RangeInclusive<f32>) -> Result<(), Refusal> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Refusal::new(field, format!("must be from {} to {}, not {value}", range.start(), range.end())))
}

fn over(field: &'static str, value: f32, most: f32) -> Result<(), Refusal> {
    if value > 0.0 && value <= most {
        return Ok(());
    }
    Err(Refusal::new(field, format!("must be over 0 and at most {most}, not {value}")))
}
