//! The two demo models as they are published: what the reference implementation says of them.

use std::{env, path::PathBuf};

use serde_json::Value;
use tokenizers::Tokenizer;
use torchmesh_weights::PublishedModel;

const GOLDEN: &str = include_str!("../../../../tests/golden/language_tokens.json");

/// A model that `make setup` fetched.
fn fetched(folder: &str) -> Box<dyn PublishedModel> {
    let var = |name: &str| env::var_os(name).map(PathBuf::from);
    let user = || var("XDG_CACHE_HOME").unwrap_or_else(|| var("HOME").unwrap().join(".cache")).join("torchmesh");
    let path = var("TORCHMESH_CACHE").unwrap_or_else(user).join("models").join(folder);
    torchmesh_weights::open(&path).unwrap_or_else(|error| panic!("{error}; `make setup` fetches it"))
}

fn assert_tokens(model: &dyn PublishedModel, name: &str, least: usize) {
    let tokenizer: Tokenizer = model.tokenizer().unwrap().parse().unwrap();
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let mut compared = 0;
    for case in golden["cases"].as_array().unwrap() {
        let Some(expected) = case[name].as_array() else { continue };
        let expected: Vec<u32> = expected.iter().map(|id| id.as_u64().unwrap() as u32).collect();
        let text = case["text"].as_str().unwrap();
        assert_eq!(tokenizer.encode(text, true).unwrap().get_ids(), expected, "{text:?}");
        let skip = !text.contains("<|") && !text.contains("<repo");
        assert_eq!(tokenizer.decode(&expected, skip).unwrap(), text);
        compared += 1;
    }
    assert!(compared >= least, "{compared}");
}

#[test]
fn smollm2_has_the_tokens_of_the_reference() {
    assert_tokens(fetched("SmolLM2-135M-Instruct").as_ref(), "smollm2", 208);
}

#[test]
fn stories_has_the_tokens_of_its_own_program() {
    assert_tokens(fetched("stories15M").as_ref(), "stories", 200);
}

#[test]
fn smollm2_is_a_llama_that_ends_with_its_turn() {
    let model = fetched("SmolLM2-135M-Instruct");
    let config: Value = serde_json::from_str(model.config()).unwrap();
    assert_eq!((config["num_key_value_heads"].as_u64(), config["rope_theta"].as_f64()), (Some(3), Some(100_000.0)));
    assert_eq!((model.names().len(), &model.special().end[..], model.special().begin), (272, &[2][..], None));
    assert_eq!(model.special().texts["bos_token"], "<|im_start|>");
    assert!(model.special().chat_template.as_deref().unwrap().contains("add_generation_prompt"));
    let tensor = model.tensor("model.layers.29.mlp.down_proj.weight").unwrap().unwrap();
    assert_eq!((tensor.shape, tensor.bytes.len()), (vec![576, 1536], 576 * 1536 * 4));
}
