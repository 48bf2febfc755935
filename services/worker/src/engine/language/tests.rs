//! Decoders against transformers: the networks of `tests/golden/decoders.json`, whose weights are made by a formula.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use torchmesh_generation::{Decoder as _, Span, Wants};
use torchmesh_weights::{Element, PublishedModel, Special, TensorData, TensorLayout, WeightsError, formula};

use super::{LanguageSpec, build, cpu::CpuDecoder};
use crate::engine::{Device, Dtype, kernels::TOKENS_OF_BLOCK};

#[derive(Deserialize)]
struct Golden {
    tokens: Vec<u32>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    config: Value,
    tensors: BTreeMap<String, Vec<usize>>,
    logits: Vec<Vec<f32>>,
}

/// A case as a model's files.
struct Formula {
    config: String,
    tensors: BTreeMap<String, Vec<usize>>,
    special: Special,
}

impl PublishedModel for Formula {
    fn config(&self) -> &str {
        &self.config
    }

    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn layout(&self, name: &str) -> Result<Option<TensorLayout>, WeightsError> {
        Ok(self.tensors.get(name).map(|shape| TensorLayout { element: Element::F32, shape: shape.clone() }))
    }

    fn tensor(&self, name: &str) -> Result<Option<TensorData>, WeightsError> {
        let made = |shape: &Vec<usize>| {
            let values = formula::elements(name, shape.iter().product());
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            TensorData { element: Element::F32, shape: shape.clone(), bytes }
        };
        Ok(self.tensors.get(name).map(made))
    }

    fn tokenizer(&self) -> Result<String, WeightsError> {
        Ok(String::new())
    }

    fn special(&self) -> &Special {
        &self.special
    }
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../../../tests/golden/decoders.json")).unwrap()
}

fn load(case: &Case, threads: usize, dtype: Dtype) -> Result<CpuDecoder, super::LanguageError> {
    let model = Formula { config: case.config.to_string(), tensors: case.tensors.clone(), special: Special::default() };
    let spec = LanguageSpec { artefact: "m".into(), device: Device::Cpu, dtype, threads, cache_bytes: 1 << 20, max_tokens: 1 << 20 };
    build(&model, &spec)
}

fn span<'a>(tokens: &'a [u32], cached: usize, blocks: &'a [u32]) -> Span<'a> {
    Span { tokens, cached, blocks, wants: Wants::Every }
}

/// The logits behind the last three tokens, reading `chunk` tokens at a time into `blocks`, beside a stranger in a block of its own.
fn read(decoder: &mut CpuDecoder, tokens: &[u32], chunk: usize, blocks: &[u32], stranger: u32) -> Vec<Vec<f32>> {
    let vocabulary = decoder.facts().vocabulary;
    let mut rows = Vec::new();
    for (number, part) in tokens.chunks(chunk).enumerate() {
        let other = [7, number as u32 % 90];
        let stranger = [stranger];
        let spans = [span(&other, 2 * (number % 10), &stranger), span(part, number * chunk, blocks)];
        let logits = decoder.step(&spans).unwrap().values;
        rows.extend(logits[2 * vocabulary..].chunks(vocabulary).map(<[f32]>::to_vec));
    }
    rows.split_off(tokens.len() - 3)
}

fn difference(found: &[Vec<f32>], wanted: &[Vec<f32>]) -> f32 {
    assert_eq!(found.len(), wanted.len());
    let pairs = found.iter().flatten().zip(wanted.iter().flatten());
    pairs.map(|(found, wanted)| (found - wanted).abs()).fold(0.0, f32::max)
}

/// What is refused, and the words that say so.
const REFUSED: [(&str, &str); 2] = [("olmo2", "input_layernorm"), ("llama: rope scaling dynamic, past its length", "")];

#[test]
fn every_architecture_answers_as_transformers_does_however_its_prompt_is_read() {
    let golden = golden();
    let mut wrong = Vec::new();
    for case in golden.cases.iter().filter(|case| REFUSED.iter().all(|(name, _)| *name != case.name)) {
        for (threads, chunk) in [(1, 24), (2, 1), (3, 5)] {
            let mut decoder = match load(case, threads, Dtype::Fp32) {
                Ok(decoder) => decoder,
                Err(error) => {
                    wrong.push(format!("{}: {error}", case.name));
                    break;
                }
            };
            let found = read(&mut decoder, &golden.tokens, chunk, &[3], 1);
            let difference = difference(&found, &case.logits);
            if difference.is_nan() || difference > 1e-3 {
                wrong.push(format!("{}, {threads} threads, {chunk} at a time: {difference}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_not_built_is_refused_in_words_that_say_what() {
    for (name, words) in REFUSED {
        let case = golden().cases.into_iter().find(|case| case.name == name).unwrap();
        match load(&case, 1, Dtype::Fp32) {
            Err(error) => assert!(error.to_string().contains(words), "{error}"),
            // Beyond the context that the model was trained for nothing is read.
            Ok(mut decoder) => assert!(decoder.step(&[span(&golden().tokens, 0, &[0])]).unwrap_err().message.contains("24 tokens")),
        }
    }
}

#[test]
fn a_sequence_of_many_blocks_in_any_order_is_one_sequence() {
    let golden = golden();
    let case = &golden.cases[1];
    let mut decoder = load(case, 2, Dtype::Fp32).unwrap();
    let tokens: Vec<u32> = golden.tokens.iter().cycle().take(3 * TOKENS_OF_BLOCK + 5).copied().collect();
    let whole = read(&mut decoder, &tokens, tokens.len(), &[0, 1, 2, 3], 9);
    for (chunk, blocks) in [(1, [8, 2, 5, 4]), (33, [4, 3, 2, 1]), (64, [5, 0, 8, 7])] {
        let parts = read(&mut decoder, &tokens, chunk, &blocks, 9);
        assert!(difference(&parts, &whole) < 1e-4, "{chunk} at a time: {}", difference(&parts, &whole));
    }
}

#[test]
fn weights_that_are_held_in_less_give_nearly_the_same() {
    let golden = golden();
    let cases = golden.cases.iter().filter(|case| ["qwen3", "gemma2"].contains(&case.name.as_str()));
    for (case, dtype) in cases.flat_map(|case| [(case, Dtype::Bf16), (case, Dtype::Int8)]) {
        let mut decoder = load(case, 2, dtype).unwrap();
        let found = read(&mut decoder, &golden.tokens, 24, &[3], 1);
        let most = case.logits.iter().flatten().fold(0.0, |most: f32, logit| most.max(logit.abs()));
        assert!(difference(&found, &case.logits) < 0.05 * most.max(1.0), "{} {dtype}: {}", case.name, difference(&found, &case.logits));
    }
}

#[test]
fn what_does_not_fit_is_refused_and_the_decoder_goes_on() {
    let golden = golden();
    let mut decoder = load(&golden.cases[0], 2, Dtype::Fp32).unwrap();
    let long = vec![1; 129];
    for (tokens, cached, blocks) in [
        (&golden.tokens[..], 0, &[][..]),
        (&golden.tokens, 20, &[0]),
        (&golden.tokens, 0, &[1 << 30]),
        (&[96], 0, &[0]),
        (&[], 0, &[0]),
        (&long, 0, &[0, 1, 2, 3, 4]),
    ] {
        assert!(!decoder.step(&[span(tokens, cached, blocks)]).unwrap_err().fatal);
    }
    assert!(difference(&read(&mut decoder, &golden.tokens, 24, &[3], 1), &golden.cases[0].logits) < 1e-3);
}
