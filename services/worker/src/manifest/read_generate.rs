//! The settings of `task = "generate"`.

use std::time::Duration;

use torchmesh_runtime::config::{ByteSize, Section};

use super::{
    Batching, GenerateSettings, SamplingDefaults, TensorSpec, Warmup,
    read::{file_name, within},
};
use crate::tensor::Datatype;

/// The input of a language model, as Triton's backends for them call it.
pub(super) const TEXT_INPUT: &str = "text_input";
/// Its output.
pub(super) const TEXT_OUTPUT: &str = "text_output";

/// The context that is served where nothing is said: what the cache holds of a longer one is worth a decision.
const USUAL_CONTEXT: usize = 32_768;

pub(super) fn generate(s: &mut Section) -> GenerateSettings {
    let max_tokens = within(s, "max_tokens", USUAL_CONTEXT, 16..=1 << 20);
    let max_new_tokens = s.has("max_new_tokens").then(|| within(s, "max_new_tokens", max_tokens, 1..=max_tokens));
    let ByteSize(cache_bytes) = s.or("cache", ByteSize::mib(1024));
    s.check(cache_bytes >= 1 << 20, "cache", "must be at least 1MiB");
    let tools = s.or("tools", "auto".to_owned());
    let known = ["auto", "hermes", "llama3", "mistral", "none"];
    s.check(known.contains(&tools.as_str()), "tools", "must be \"auto\", \"hermes\", \"llama3\", \"mistral\" or \"none\"");
    let instruction = s.has("instruction").then(|| s.or("instruction", String::new()));
    s.check(instruction.as_ref().is_none_or(|text| text.contains("{text}")), "instruction", "must have {text} where the text goes");
    GenerateSettings {
        max_tokens,
        max_new_tokens,
        cache_bytes,
        max_running: within(s, "max_running", 64, 1..=1024),
        step_tokens: within(s, "step_tokens", 256, 1..=8192),
        share_prefixes: s.or("share_prefixes", false),
        guesses: within(s, "guesses", 0, 0..=16),
        chat_template: s.has("chat_template").then(|| file_name(s, "chat_template", "")),
        tools,
        instruction,
        sampling: s.section("sampling", sampling),
    }
}

fn sampling(s: &mut Section) -> SamplingDefaults {
    let number = |s: &mut Section, key: &str, fits: fn(f64) -> bool, range: &str| {
        let value = s.has(key).then(|| s.or(key, 1.0));
        s.check(value.is_none_or(fits), key, format!("must be from {range}"));
        value
    };
    SamplingDefaults {
        temperature: number(s, "temperature", |value| (0.0..=2.0).contains(&value), "0 to 2"),
        top_k: s.has("top_k").then(|| within(s, "top_k", 0, 0..=1_000_000)),
        top_p: number(s, "top_p", |value| value > 0.0 && value <= 1.0, "over 0 to 1"),
        min_p: number(s, "min_p", |value| (0.0..=1.0).contains(&value), "0 to 1"),
        repetition_penalty: number(s, "repetition_penalty", |value| value > 0.0 && value <= 2.0, "over 0 to 2"),
    }
}

/// One text. There is no batch: a request is a sequence of its own.
pub(super) fn text(name: &str) -> TensorSpec {
    TensorSpec { name: name.to_owned(), datatype: Datatype::Bytes, shape: vec![1], pad: None }
}

/// Sequences are not rows of a batch.
pub(super) fn batching() -> Batching {
    Batching { max_batch: 0, max_queue_delay: Duration::ZERO, max_padded_tokens: 1, length_ratio: 1.0 }
}

/// A language model warms up by a step.
pub(super) fn warmup() -> Warmup {
    Warmup { batch_sizes: Vec::new(), lengths: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::{Manifest, Published, Task};

    fn parse(text: &str) -> Result<Manifest, String> {
        Manifest::parse(&format!("task = 'generate'\n{text}"), &Published::default()).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_language_model_needs_its_task_alone() {
        let manifest = parse("").unwrap();
        let Task::Generate(generate) = &manifest.task else { panic!("{:?}", manifest.task) };
        assert_eq!((generate.max_tokens, generate.cache_bytes, generate.share_prefixes), (32_768, 1 << 30, false));
        assert_eq!(
            (manifest.inputs[0].name.as_str(), manifest.outputs[0].name.as_str(), manifest.batched),
            ("text_input", "text_output", false)
        );
    }

    #[test]
    fn settings_out_of_their_range_are_all_named() {
        let text = "max_new_tokens = 0\ncache = '1KiB'\ntools = 'pliers'\ninstruction = 'Summarise'\ninstances = 2\n\
            [sampling]\ntemperature = 3\ntop_p = 0\n[batching]\nmax_batch = 4";
        let report = parse(text).unwrap_err();
        for part in [
            "max_new_tokens: must be from 1",
            "cache: must be at least 1MiB",
            "tools: must be",
            "instruction: must have {text}",
            "instances: must be 1",
            "sampling.temperature: must be from 0 to 2",
            "sampling.top_p: must be from over 0",
            "batching: is not a setting here",
        ] {
            assert!(report.contains(part), "{part:?} is missing in:\n{report}");
        }
    }
}
