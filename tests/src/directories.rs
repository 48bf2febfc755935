//! Small Hugging Face directories, as `tests/golden/directories.py` has them: vocabularies and weights, and no `tokenizer.json`.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Map, Value, json};

use crate::places;

/// A directory, and what transformers makes of texts in it.
#[derive(Debug)]
pub struct Directory {
    case: Value,
}

impl Directory {
    /// All of them: BERT cased and uncased, MPNet and RoBERTa, of one layer to six.
    pub fn all() -> Vec<Self> {
        let file = places::repository().join("tests/golden/directories.json");
        let cases: Vec<Value> = serde_json::from_slice(&fs::read(file).expect("the directories")).expect("JSON");
        cases.into_iter().map(|case| Self { case }).collect()
    }

    /// Texts and the vectors that they have.
    pub fn known(&self) -> Vec<(String, Vec<f32>)> {
        let texts: Vec<String> = serde_json::from_value(self.case["texts"].clone()).expect("texts");
        let embeddings: Vec<Vec<f32>> = serde_json::from_value(self.case["embeddings"].clone()).expect("vectors");
        texts.into_iter().zip(embeddings).collect()
    }

    /// Writes it to a folder that is there: the small files first and the weights last, as most tools copy.
    pub fn write(&self, folder: &Path) {
        let files = self.case["files"].as_object().expect("files");
        let put = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).expect("a file of the directory");
        files.iter().for_each(|(name, text)| put(name, text.as_str().expect("a text").as_bytes()));
        put("config.json", self.case["config"].to_string().as_bytes());
        put("model.safetensors", &self.weights());
    }

    /// The weights in the form that is read: how long the description is, the description, the numbers.
    fn weights(&self) -> Vec<u8> {
        let shapes: BTreeMap<String, Vec<usize>> = serde_json::from_value(self.case["tensors"].clone()).expect("shapes");
        let (mut header, mut data) = (Map::new(), Vec::new());
        for (name, shape) in shapes {
            let begin = data.len();
            let scale = if name.to_lowercase().contains("norm") { 1.0 } else { 4.0 };
            data.extend(filled(&name, shape.iter().product()).flat_map(|value| (value * scale).to_le_bytes()));
            header.insert(name, json!({ "dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()] }));
        }
        let header = Value::Object(header).to_string().into_bytes();
        [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
    }
}

/// What `tests/golden/encoders.py` says is in the tensor `name`.
fn filled(name: &str, count: usize) -> impl Iterator<Item = f32> {
    let seed = name.bytes().fold(2_166_136_261_u32, |seed, byte| (seed ^ u32::from(byte)).wrapping_mul(16_777_619));
    let around = if name.to_lowercase().contains("norm") && name.ends_with("weight") { 1.0 } else { 0.0 };
    (0..u32::try_from(count).expect("a small tensor")).map(move |place| {
        let mut mixed = place.wrapping_mul(2_654_435_761).wrapping_add(seed);
        mixed ^= mixed >> 15;
        mixed = mixed.wrapping_mul(2_246_822_519);
        mixed ^= mixed >> 13;
        ((f64::from(mixed) / 2_f64.powi(32) - 0.5) * 0.4 + around) as f32
    })
}
