//! The exported encoder against the reference of `tests/golden`.

use tempfile::TempDir;

use super::*;
use crate::engine::{self, Device, Engine, EngineError, EngineSpec};
use crate::golden::{embeds_as_transformers, fetched, golden};
use crate::manifest::Truncation;
use crate::tensor::Tensor;
use crate::text::{Source, Tokeniser};

/// The exported model, loaded.
fn minilm() -> Box<dyn Engine> {
    let folder = TempDir::new().unwrap();
    let artefact = folder.path().join("model.pt");
    encoder(&fetched("all-MiniLM-L6-v2"), &artefact).unwrap();
    engine::load(&EngineSpec { device: Device::Cpu, ..EngineSpec::new(&artefact) }).unwrap()
}

#[test]
fn tokens_are_those_of_transformers() {
    let golden = golden();
    let tokeniser = Tokeniser::load(&fetched("all-MiniLM-L6-v2").join("tokenizer.json"), golden.max_tokens).unwrap();
    for (index, item) in golden.items.iter().enumerate() {
        let read = tokeniser.encode(&Source::Text(item.text.clone()), index, Truncation::End, false).unwrap();
        let ids: Vec<i64> = read.windows[0].ids.iter().copied().map(i64::from).collect();
        assert_eq!(ids, item.input_ids, "{}", item.text);
    }
}

#[test]
fn embeddings_are_those_of_transformers_alone_and_in_a_mixed_batch() {
    embeds_as_transformers(minilm().as_mut());
}

#[test]
fn ids_that_are_not_in_the_vocabulary_and_sequences_beyond_the_last_position_are_errors() {
    let mut engine = minilm();
    for (id, length) in [(-1, 1), (30_522, 1), (100, 513)] {
        let row = Tensor::from_i64s([1, i64::try_from(length).unwrap()], &vec![id; length]);
        let error = engine.forward(&[row.clone(), row]).unwrap_err();
        assert!(matches!(&error, EngineError::Forward { summary, .. } if summary.contains("out of range")), "{id} {length}: {error}");
    }
    let row = Tensor::from_i64s([1, 512], &[100; 512]);
    assert_eq!(engine.forward(&[row.clone(), row]).unwrap()[0].shape, [1, 512, 384]);
}

#[test]
fn a_row_of_padding_alone_stays_a_number() {
    let row = Tensor::from_i64s([1, 4], &[0; 4]);
    let hidden = minilm().forward(&[row.clone(), row]).unwrap();
    assert!(hidden[0].to_f32s().unwrap().iter().all(|value| value.is_finite()));
}

/// A directory with a network of one layer and the weights that `keep` lets through.
fn tiny(keep: impl Fn(&str, &mut Vec<i64>) -> bool) -> TempDir {
    let config = serde_json::json!({
        "model_type": "bert", "hidden_act": "gelu_new", "hidden_size": 4, "intermediate_size": 6, "layer_norm_eps": 1e-5,
        "max_position_embeddings": 5, "num_attention_heads": 2, "num_hidden_layers": 1, "type_vocab_size": 1, "vocab_size": 7
    });
    let linear = |name: &str, to: i64, from: i64| [(format!("{name}.weight"), vec![to, from]), (format!("{name}.bias"), vec![to])];
    let norm = |name: &str| ["weight", "bias"].map(|part| (format!("{name}.LayerNorm.{part}"), vec![4]));
    let layer = "encoder.layer.0";
    let mut shapes = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![7, 4]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![5, 4]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![1, 4]),
    ];
    shapes.extend(["query", "key", "value"].iter().flat_map(|part| linear(&format!("{layer}.attention.self.{part}"), 4, 4)));
    shapes.extend(linear(&format!("{layer}.attention.output.dense"), 4, 4));
    shapes.extend(linear(&format!("{layer}.intermediate.dense"), 6, 4));
    shapes.extend(linear(&format!("{layer}.output.dense"), 4, 6));
    shapes.extend(["embeddings", &format!("{layer}.attention.output"), &format!("{layer}.output")].iter().flat_map(|name| norm(name)));
    shapes.retain_mut(|(name, shape)| keep(name, shape));
    let half = |(name, shape): (String, Vec<i64>)| (format!("bert.{name}"), tch::Tensor::ones(shape, (tch::Kind::Half, tch::Device::Cpu)));
    let folder = TempDir::new().unwrap();
    let tensors: Vec<_> = shapes.into_iter().map(half).collect();
    tch::Tensor::write_safetensors(&tensors, folder.path().join("model.safetensors")).unwrap();
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    folder
}

#[test]
fn half_precision_weights_under_the_name_of_a_task_model_are_taken() {
    let model = tiny(|_, _| true);
    let artefact = model.path().join("model.pt");
    encoder(model.path(), &artefact).unwrap();
    let row = Tensor::from_i64s([1, 5], &[1, 2, 3, 4, 6]);
    let hidden = engine::load(&EngineSpec::new(&artefact)).unwrap().forward(&[row.clone(), row]).unwrap();
    assert_eq!((hidden[0].datatype.name(), hidden[0].shape.as_slice()), ("FP32", &[1, 5, 4][..]));
}

#[test]
fn weights_that_do_not_fit_the_configuration_are_named() {
    let name = "encoder.layer.0.attention.self.key.weight";
    let missing = tiny(|found, _| found != name);
    let misshapen = tiny(|found, shape| {
        if found == name {
            shape.push(3);
        }
        true
    });
    for model in [missing, misshapen] {
        let error = encoder(model.path(), &model.path().join("model.pt")).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn a_missing_model_and_a_place_that_cannot_be_written_are_named() {
    let model = tiny(|_, _| true);
    let nowhere = model.path().join("no/such/folder");
    for error in [encoder(&nowhere, &model.path().join("model.pt")), encoder(model.path(), &nowhere), fixture(Fixture::Noop, &nowhere)] {
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with(nowhere.to_str().unwrap()), "{error}");
    }
}
