//! Encoders run from their directory, against transformers' answers.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    engine::{self, Attribution, Device, Dtype, Engine, EngineError, EngineSpec, Readout},
    golden::{embeds_as_transformers, embeds_within, fetched, largest_difference, padded},
    tensor::Tensor,
};

/// One small encoder of `tests/golden/encoders.json`.
#[derive(Deserialize)]
struct Case {
    config: Value,
    tensors: BTreeMap<String, Vec<i64>>,
    /// Whether the second, fourth, … token is of type 1.
    types: bool,
    rows: Vec<Vec<i64>>,
    answers: Vec<Vec<f32>>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../../../tests/golden/encoders.json")).unwrap()
}

/// What `encoders.py` says is in the tensor `name`.
fn filled(name: &str, shape: &[i64]) -> tch::Tensor {
    let seed = name.bytes().fold(2_166_136_261_u32, |seed, byte| (seed ^ u32::from(byte)).wrapping_mul(16_777_619));
    let around = if name.to_lowercase().contains("norm") && name.ends_with("weight") { 1.0 } else { 0.0 };
    let value = |place: u32| {
        let mut mixed = place.wrapping_mul(2_654_435_761).wrapping_add(seed);
        mixed ^= mixed >> 15;
        mixed = mixed.wrapping_mul(2_246_822_519);
        mixed ^= mixed >> 13;
        ((f64::from(mixed) / 2_f64.powi(32) - 0.5) * 0.4 + around) as f32
    };
    let count = u32::try_from(shape.iter().product::<i64>()).unwrap();
    tch::Tensor::from_slice(&(0..count).map(value).collect::<Vec<_>>()).reshape(shape)
}

/// Writes the directory of an encoder whose tensors are `filled`, those of norms as they are and all others times `scale`.
pub(crate) fn write_directory(folder: &Path, config: &Value, shapes: &BTreeMap<String, Vec<i64>>, scale: f64) {
    let scaled = |name: &str| if name.to_lowercase().contains("norm") { 1.0 } else { scale };
    let tensors: Vec<_> = shapes.iter().map(|(name, shape)| (name.as_str(), filled(name, shape) * scaled(name))).collect();
    tch::Tensor::write_safetensors(&tensors, folder.join("model.safetensors")).unwrap();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

impl Case {
    fn directory(&self) -> TempDir {
        let folder = TempDir::new().unwrap();
        write_directory(folder.path(), &self.config, &self.tensors, 1.0);
        folder
    }

    fn inputs(&self, rows: &[&[i64]]) -> Vec<Tensor> {
        let mut inputs = vec![padded(rows, |id| id), padded(rows, |_| 1)];
        if self.types {
            let shape = inputs[0].shape.clone();
            let types: Vec<i64> = (0..shape[0]).flat_map(|_| (0..shape[1]).map(|column| column % 2)).collect();
            inputs.push(Tensor::from_i64s(shape, &types));
        }
        inputs
    }

    /// What the engine answers for `rows` in one batch, cut to each row's real tokens.
    fn answers(&self, engine: &mut dyn Engine, rows: &[&[i64]]) -> Vec<Vec<f32>> {
        let output = engine.forward(&self.inputs(rows)).unwrap().remove(0);
        let whole = output.to_f32s().unwrap();
        let by_row = whole.chunks(whole.len() / rows.len()).zip(rows);
        match output.shape.as_slice() {
            [_, _, width] => by_row.map(|(row, ids)| row[..ids.len() * usize::try_from(*width).unwrap()].to_vec()).collect(),
            _ => by_row.map(|(row, _)| row.to_vec()).collect(),
        }
    }
}

fn load(folder: &Path) -> Result<Box<dyn Engine>, EngineError> {
    load_with_threads(folder, 1)
}

/// With more than one thread, the kernels are libtorch's.
fn load_with_threads(folder: &Path, intra_op_threads: usize) -> Result<Box<dyn Engine>, EngineError> {
    engine::load(&EngineSpec { device: Device::Cpu, intra_op_threads, ..EngineSpec::new(folder.join("model.safetensors")) })
}

fn failure(folder: &Path) -> String {
    load(folder).err().unwrap().to_string()
}

#[test]
fn every_family_and_head_answers_as_transformers_does_alone_and_in_a_padded_batch() {
    for case in cases() {
        let folder = case.directory();
        for threads in [1, 2] {
            let mut engine = load_with_threads(folder.path(), threads).unwrap();
            let rows: Vec<&[i64]> = case.rows.iter().map(Vec::as_slice).collect();
            let together = case.answers(engine.as_mut(), &rows);
            for (at, row) in rows.iter().enumerate() {
                let alone = case.answers(engine.as_mut(), &[row]).remove(0);
                for found in [&alone, &together[at]] {
                    let difference = largest_difference(found, &case.answers[at]);
                    assert!(difference < 1e-4, "{} with {threads} threads, row {at}: {difference}", case.config["architectures"]);
                }
            }
        }
    }
}

#[test]
fn the_attributions_of_every_familys_classifier_add_up_to_what_the_text_adds_to_the_score() {
    const STEPS: usize = 64;
    let classifies = |case: &Case| case.config["architectures"][0].as_str().unwrap().ends_with("ForSequenceClassification");
    for case in cases().into_iter().filter(classifies) {
        let folder = case.directory();
        let mut engine = load(folder.path()).unwrap();
        let (row, baseline) = (case.rows[1].as_slice(), vec![2; case.rows[1].len()]);
        let score = |engine: &mut dyn Engine, row: &[i64]| case.answers(engine, &[row])[0][0];
        let wanted = score(engine.as_mut(), row) - score(engine.as_mut(), &baseline);
        let along = Attribution { baseline, label: 0, steps: 0..STEPS, of: STEPS };
        let parts = engine.attribute(&case.inputs(&[row]), &along, Readout::Score(0)).unwrap().to_f32s().unwrap();
        let difference = (parts.iter().sum::<f32>() - wanted).abs();
        assert!(parts.len() == row.len() && difference < 1e-3, "{}: {difference} of {wanted}", case.config["architectures"]);
    }
}

#[test]
fn a_checkpoint_with_the_names_of_tensorflow_answers_as_one_with_those_of_pytorch() {
    let case = cases().remove(0);
    let folder = case.directory();
    let tensors = tch::Tensor::read_safetensors(folder.path().join("model.safetensors")).unwrap();
    let old = |name: &str| name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
    let tensors: Vec<_> = tensors.into_iter().map(|(name, tensor)| (old(&name), tensor)).collect();
    assert!(tensors.iter().any(|(name, _)| name.ends_with("gamma")));
    let row = case.rows[1].as_slice();
    let expected = case.answers(load(folder.path()).unwrap().as_mut(), &[row]);
    tch::Tensor::write_safetensors(&tensors, folder.path().join("model.safetensors")).unwrap();
    assert_eq!(case.answers(load(folder.path()).unwrap().as_mut(), &[row]), expected);
}

#[test]
fn minilm_embeds_as_transformers_alone_and_in_a_mixed_batch() {
    embeds_as_transformers(load(&fetched("all-MiniLM-L6-v2")).unwrap().as_mut());
}

#[test]
fn several_threads_and_libtorchs_kernels_give_the_same_answers() {
    let spec =
        EngineSpec { device: Device::Cpu, intra_op_threads: 2, ..EngineSpec::new(fetched("all-MiniLM-L6-v2").join("model.safetensors")) };
    embeds_as_transformers(engine::load(&spec).unwrap().as_mut());
}

#[test]
fn in_bf16_minilm_is_off_by_a_few_thousandths_at_most() {
    let spec = |dtype, intra_op_threads| EngineSpec {
        device: Device::Cpu,
        dtype,
        intra_op_threads,
        ..EngineSpec::new(fetched("all-MiniLM-L6-v2").join("model.safetensors"))
    };
    embeds_within(engine::load(&spec(Dtype::Bf16, 1)).unwrap().as_mut(), 5e-3);
    for refused in [spec(Dtype::Bf16, 2), spec(Dtype::Fp16, 1)] {
        let error = engine::load(&refused).err().unwrap().to_string();
        assert!(error.contains("dtype"), "{error}");
    }
}

#[test]
fn padding_on_the_left_and_rows_of_padding_alone_change_nothing() {
    let case = &cases()[0];
    let mut engine = load(case.directory().path()).unwrap();
    let types = Tensor::from_i64s([3, 4], &[0; 12]);
    let ids = Tensor::from_i64s([3, 4], &[0, 0, 5, 6, 1, 1, 1, 1, 5, 6, 0, 0]);
    let mask = Tensor::from_i64s([3, 4], &[0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0]);
    let output = engine.forward(&[ids, mask, types]).unwrap().remove(0);
    assert_eq!(output.shape, [3, 4, 16]);
    let values = output.to_f32s().unwrap();
    assert!(values[..32].iter().chain(&values[64..128]).chain(&values[160..]).all(|&value| value == 0.0), "padding is zero");
    assert!(values[32..64].iter().chain(&values[128..160]).all(|value| value.is_finite() && *value != 0.0));
}

#[test]
fn tokens_out_of_the_vocabulary_and_rows_that_are_too_long_are_refused_by_name() {
    let case = &cases()[0];
    let mut engine = load(case.directory().path()).unwrap();
    for (id, length, part) in [(50, 1, "input_ids holds 50; this model knows 0 to 49"), (-1, 1, "input_ids holds -1"), (7, 25, "reads 24")]
    {
        let row = vec![id; length];
        let error = engine.forward(&case.inputs(&[&row])).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert!(engine.forward(&case.inputs(&[&[7; 24]])).is_ok(), "the engine is usable after an error");
}

#[test]
fn an_empty_batch_is_answered_with_an_empty_answer() {
    let mut engine = load(cases()[0].directory().path()).unwrap();
    let empty = |shape: [i64; 2]| Tensor::from_i64s(shape, &[]);
    for shape in [[0, 4], [2, 0], [0, 0]] {
        let output = engine.forward(&[empty(shape), empty(shape)]).unwrap().remove(0);
        assert_eq!(output.shape, [shape[0], shape[1], 16]);
    }
}

#[test]
fn what_is_wrong_with_a_directory_is_said_without_its_path() {
    let case = &cases()[1];
    let broken = |change: &dyn Fn(&Path)| {
        let folder = case.directory();
        change(folder.path());
        let error = failure(folder.path());
        assert!(!error.contains(folder.path().to_str().unwrap()), "{error}");
        error
    };
    let remove = |name: &'static str| move |folder: &Path| std::fs::remove_file(folder.join(name)).unwrap();
    let write = |name: &'static str, text: &'static str| move |folder: &Path| std::fs::write(folder.join(name), text).unwrap();
    assert!(broken(&remove("config.json")).contains("config.json"));
    assert!(broken(&remove("model.safetensors")).contains("model.safetensors"));
    assert!(broken(&write("model.safetensors", "nine times nine")).contains("model.safetensors"));
    assert!(broken(&write("config.json", "{")).contains("config.json"));
}
