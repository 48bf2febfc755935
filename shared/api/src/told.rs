//! What a call has used, as a worker tells whoever meters it, in the header `x-torchmesh-usage`: `minilm/1 prompt=12 items=2`.
//!
//! The model and the version that answer come first, then the figures, those that are 0 left out. A figure that a reader does not know is passed over, so that
//! workers and gateways of different releases understand each other.

use std::fmt;

/// The figures of one call. Where an answer is a stream they are what was known when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Tokens that were read; of texts that were read more than once, as often.
    pub prompt_tokens: u64,
    /// Of those, how many were in the cache.
    pub cached_tokens: u64,
    /// Tokens that were written.
    pub completion_tokens: u64,
    /// Inputs: texts, images, rows of tensors.
    pub items: u64,
    /// Sound that was heard, in milliseconds.
    pub audio_ms: u64,
    /// Of a stream: tokens that it repeats before those that are written.
    pub echoed_tokens: u64,
    /// Of a stream that the caller sends sound on: bytes of one second.
    pub audio_rate: u64,
    /// 1 of an answer that was kept from an earlier call: nothing was computed for this one.
    pub hit: u64,
}

/// The figures' names, in the order in which they are written.
const NAMES: [&str; 8] = ["prompt", "cached", "completion", "items", "audio-ms", "echoed", "audio-rate", "hit"];

const LOAD: &str = "load";

impl Figures {
    fn values(&self) -> [u64; 8] {
        let Self { prompt_tokens, cached_tokens, completion_tokens, items, audio_ms, echoed_tokens, audio_rate, hit } = *self;
        [prompt_tokens, cached_tokens, completion_tokens, items, audio_ms, echoed_tokens, audio_rate, hit]
    }

    fn of(values: [u64; 8]) -> Self {
        let [prompt_tokens, cached_tokens, completion_tokens, items, audio_ms, echoed_tokens, audio_rate, hit] = values;
        Self { prompt_tokens, cached_tokens, completion_tokens, items, audio_ms, echoed_tokens, audio_rate, hit }
    }
}

/// The whole header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage<'a> {
    /// The model that answers.
    pub model: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Which load of it: another number each time that it is loaded, anywhere. 0: not told.
    pub load: u64,
    /// What the call has used.
    pub figures: Figures,
}

impl<'a> Usage<'a> {
    /// Reads the header; `None` where it has another form.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut words = text.split(' ');
        let (model, version) = words.next()?.split_once('/')?;
        let (mut load, mut values) = (0, [0; NAMES.len()]);
        for word in words {
            let (name, value) = word.split_once('=')?;
            let value = value.parse().ok()?;
            match NAMES.iter().position(|known| *known == name) {
                Some(at) => values[at] = value,
                None if name == LOAD => load = value,
                None => {}
            }
        }
        Some(Self { model, version, load, figures: Figures::of(values) })
    }
}

impl fmt::Display for Usage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.model, self.version)?;
        if self.load > 0 {
            write!(f, " {LOAD}={}", self.load)?;
        }
        for (name, value) in NAMES.iter().zip(self.figures.values()).filter(|(_, value)| *value > 0) {
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn figures_of_zero_are_left_out_and_unknown_ones_passed_over() {
        let figures = Figures { prompt_tokens: 12, items: 2, ..Figures::default() };
        let usage = Usage { model: "minilm", version: "1", load: 0, figures };
        assert_eq!(usage.to_string(), "minilm/1 prompt=12 items=2");
        assert_eq!(Usage::parse("minilm/1 prompt=12 pixels=9 items=2"), Some(usage));
    }

    #[test]
    fn what_has_another_form_is_not_half_read() {
        for wrong in ["", "minilm", "minilm/1 prompt", "minilm/1 prompt=-1", "minilm/1 prompt=x", "minilm/1  prompt=1"] {
            assert_eq!(Usage::parse(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(model in "[a-z][a-z0-9._-]{0,20}", version in "[0-9]{1,4}", load: u64, values: [u64; 8]) {
            let usage = Usage { model: &model, version: &version, load, figures: Figures::of(values) };
            let written = usage.to_string();
            prop_assert_eq!(Usage::parse(&written), Some(usage));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,80}") {
            let _ = Usage::parse(&text);
        }
    }
}
