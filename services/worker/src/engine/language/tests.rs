//! Decoders against transformers: the networks of `tests/golden/decoders.json`, whose weights are made by a formula.

mod steps;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use torchmesh_generation::{Decoder, Span, Wants};
use torchmesh_weights::{Element, PublishedModel, Special, TensorData, TensorLayout, WeightsError, formula};

use super::{
    LanguageError, LanguageSpec,
    cpu::CpuDecoder,
    plan,
    torch::{TorchDecoder, packing::Limits},
};
use crate::engine::{Device, Dtype, cuda, kernels::TOKENS_OF_BLOCK};

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
    /// A token whose embedding is no number.
    broken: Option<usize>,
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
            let mut values = formula::elements(name, shape.iter().product());
            if let Some(token) = self.broken.filter(|_| name.contains("embed_tokens")) {
                values[token * shape[1]..][..shape[1]].fill(f32::NAN);
            }
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

/// What computes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    OwnKernels,
    Libtorch,
}

const WAYS: [Way; 2] = [Way::OwnKernels, Way::Libtorch];

fn spec(threads: usize, dtype: Dtype) -> LanguageSpec {
    LanguageSpec { artefact: "m".into(), device: Device::Cpu, dtype, threads, cache_bytes: 1 << 22, max_tokens: 1 << 20 }
}

fn model(case: &Case) -> Formula {
    Formula { config: case.config.to_string(), tensors: case.tensors.clone(), special: Special::default(), broken: None }
}

/// On the GPU of the machine that the tests run on, if it has one.
fn with_libtorch(model: &Formula, threads: usize, dtype: Dtype) -> Result<TorchDecoder, LanguageError> {
    TorchDecoder::new(model, plan(model)?, &spec(threads, dtype), cuda::resolve(Device::Auto).unwrap())
}

fn load(way: Way, case: &Case, threads: usize, dtype: Dtype) -> Result<Box<dyn Decoder>, LanguageError> {
    let model = model(case);
    Ok(match way {
        Way::OwnKernels => Box::new(CpuDecoder::new(&model, plan(&model)?, &spec(threads, dtype))?),
        Way::Libtorch => Box::new(with_libtorch(&model, threads, dtype)?),
    })
}

fn span<'a>(tokens: &'a [u32], cached: usize, blocks: &'a [u32]) -> Span<'a> {
    Span { tokens, cached, blocks, wants: Wants::Every }
}

/// The logits behind the last three tokens, reading `chunk` tokens at a time into `blocks`, beside a stranger in a block of its own.
fn read(decoder: &mut dyn Decoder, tokens: &[u32], chunk: usize, blocks: &[u32], stranger: u32) -> Vec<Vec<f32>> {
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
    furthest(found.iter().flatten(), wanted.iter().flatten())
}

/// NaN if any of them is.
fn furthest<'a>(found: impl Iterator<Item = &'a f32>, wanted: impl Iterator<Item = &'a f32>) -> f32 {
    let differences = found.zip(wanted).map(|(found, wanted)| (found - wanted).abs());
    differences.fold(0.0, |most, difference| if difference.is_nan() || difference > most { difference } else { most })
}

/// What is refused, and the words that say so.
const REFUSED: [(&str, &str); 2] = [("olmo2", "input_layernorm"), ("llama: rope scaling dynamic, past its length", "")];

#[test]
fn every_architecture_answers_as_transformers_does_however_its_prompt_is_read() {
    let golden = golden();
    let mut wrong = Vec::new();
    let cases = golden.cases.iter().filter(|case| REFUSED.iter().all(|(name, _)| *name != case.name));
    for (case, way) in cases.flat_map(|case| WAYS.map(|way| (case, way))) {
        for (threads, chunk) in [(1, 24), (2, 1), (3, 5)] {
            let mut decoder = match load(way, case, threads, Dtype::Fp32) {
                Ok(decoder) => decoder,
                Err(error) => {
                    wrong.push(format!("{}, {way:?}: {error}", case.name));
                    break;
                }
            };
            let found = read(decoder.as_mut(), &golden.tokens, chunk, &[3], 1);
            let difference = difference(&found, &case.logits);
            if difference.is_nan() || difference > 1e-3 {
                wrong.push(format!("{}, {way:?}, {threads} threads, {chunk} at a time: {difference}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_not_built_is_refused_in_words_that_say_what() {
    for ((name, words), way) in REFUSED.into_iter().flat_map(|refused| WAYS.map(|way| (refused, way))) {
        let case = golden().cases.into_iter().find(|case| case.name == name).unwrap();
        match load(way, &case, 1, Dtype::Fp32) {
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
    for way in WAYS {
        let mut decoder = load(way, case, 2, Dtype::Fp32).unwrap();
        let tokens: Vec<u32> = golden.tokens.iter().cycle().take(3 * TOKENS_OF_BLOCK + 5).copied().collect();
        let whole = read(decoder.as_mut(), &tokens, tokens.len(), &[0, 1, 2, 3], 9);
        for (chunk, blocks) in [(1, [8, 2, 5, 4]), (33, [4, 3, 2, 1]), (64, [5, 0, 8, 7])] {
            let parts = read(decoder.as_mut(), &tokens, chunk, &blocks, 9);
            assert!(difference(&parts, &whole) < 1e-4, "{way:?}, {chunk} at a time: {}", difference(&parts, &whole));
        }
    }
}

#[test]
fn weights_that_are_held_in_less_give_nearly_the_same_and_a_neighbour_changes_nothing() {
    let golden = golden();
    let ways = [
        (Way::OwnKernels, Dtype::Bf16),
        (Way::OwnKernels, Dtype::Int8),
        (Way::OwnKernels, Dtype::Int4),
        (Way::Libtorch, Dtype::Bf16),
        (Way::Libtorch, Dtype::Fp16),
    ];
    for case in golden.cases.iter().filter(|case| ["qwen3", "gemma2", "gpt2"].contains(&case.name.as_str())) {
        for ((way, dtype), chunk) in ways.into_iter().flat_map(|way| [24, 5].map(|chunk| (way, chunk))) {
            let mut decoder = load(way, case, 2, dtype).unwrap();
            let found = read(decoder.as_mut(), &golden.tokens, chunk, &[3], 1);
            let most = case.logits.iter().flatten().fold(0.0, |most: f32, logit| most.max(logit.abs()));
            let difference = difference(&found, &case.logits);
            // Of a model so small that a group of weights is a whole column, four bits leave little more than the direction.
            let within = if dtype == Dtype::Int4 { 1.0 } else { 0.05 };
            assert!(difference < within * most.max(1.0), "{}, {way:?}, {dtype}: {difference} of {most}", case.name);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_and_the_decoder_goes_on() {
    let golden = golden();
    for way in WAYS {
        let mut decoder = load(way, &golden.cases[0], 2, Dtype::Fp32).unwrap();
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
        assert!(decoder.step(&[]).unwrap().values.is_empty());
        assert!(difference(&read(decoder.as_mut(), &golden.tokens, 24, &[3], 1), &golden.cases[0].logits) < 1e-3);
    }
}

/// Reads five prompts, and then in one step: the next token of each, the second part of a sixth prompt, and a seventh from its beginning. The logits of
/// that step, of what is wanted in it.
fn mixed_step(decoder: &mut dyn Decoder, tokens: &[u32]) -> Vec<f32> {
    let tokens: Vec<u32> = tokens.iter().cycle().take(130).copied().collect();
    let blocks: Vec<Vec<u32>> = (0..7).map(|number| (0..4).map(|block| (3 - block) * 7 + number).collect()).collect();
    // Of a context of 128; of a shorter one, as much less.
    let context = decoder.facts().max_tokens;
    let cached = [2, 126, 40, 33, 95, 37].map(|length| length * context / 128);
    for (number, (&cached, blocks)) in cached.iter().zip(&blocks).enumerate() {
        let prompt = Span { wants: Wants::Nothing, ..span(&tokens[number..][..cached], 0, blocks) };
        assert!(decoder.step(&[prompt]).unwrap().values.is_empty());
    }
    let one = |number: usize| Span { wants: Wants::Last, ..span(&tokens[90 + number..=90 + number], cached[number], &blocks[number]) };
    let fresh = Span { wants: Wants::Last, ..span(&tokens[20..][..70 * context / 128], 0, &blocks[6]) };
    decoder
        .step(&[one(0), span(&tokens[..60 * context / 128], cached[5], &blocks[5]), one(1), one(2), fresh, one(3), one(4)])
        .unwrap()
        .values
}

#[test]
fn a_step_of_everything_is_the_same_by_libtorch_and_by_our_own_kernels() {
    let golden = golden();
    let names = ["llama: grouped queries", "llama: one head of keys", "mistral: sliding window", "gemma2", "gemma3", "gpt2"];
    for case in names.map(|name| golden.cases.iter().find(|case| case.name == name).unwrap()) {
        let wanted = mixed_step(load(Way::OwnKernels, case, 2, Dtype::Fp32).unwrap().as_mut(), &golden.tokens);
        let roomy = with_libtorch(&model(case), 1, Dtype::Fp32).unwrap().limits;
        for limits in [roomy, Limits { gathered: 5, masked: 400, always_masked: true }, Limits { gathered: 1, masked: 1, ..roomy }] {
            let mut decoder = with_libtorch(&model(case), 1, Dtype::Fp32).unwrap();
            decoder.limits = limits;
            let found = mixed_step(&mut decoder, &golden.tokens);
            assert_eq!(found.len(), (5 + 60 * decoder.facts().max_tokens / 128 + 1) * 96);
            let difference = furthest(found.iter(), wanted.iter());
            assert!(difference < 1e-3, "{}, {limits:?}: {difference}", case.name);
        }
    }
}

#[test]
fn a_sequence_that_came_to_nothing_leaves_nothing_behind_in_its_blocks() {
    let golden = golden();
    for case in golden.cases.iter().filter(|case| ["llama: grouped queries", "gemma2"].contains(&case.name.as_str())) {
        let mut decoder = with_libtorch(&Formula { broken: Some(95), ..model(case) }, 1, Dtype::Fp32).unwrap();
        assert!(!golden.tokens.contains(&95));
        let broken = decoder.step(&[span(&[95; 32], 0, &[3])]).unwrap().values;
        assert!(broken.iter().all(|logit| logit.is_nan()));
        // The broken token's own logit is no number where the embeddings give the logits.
        let others = |rows: &[Vec<f32>]| rows.iter().map(|row| row[..95].to_vec()).collect::<Vec<_>>();
        let found = read(&mut decoder, &golden.tokens, 5, &[3], 1);
        let difference = difference(&others(&found), &others(&case.logits));
        assert!(difference < 1e-3, "{}: {difference}", case.name);
    }
}
