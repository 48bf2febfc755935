//! Files that are made for a test.

use std::{fs, path::PathBuf};

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use torchmesh_weights::{PublishedModel, WeightsError};

/// A folder that is gone after the test.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn with(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.0.path().join(name), content).unwrap();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn open(&self) -> Result<Box<dyn PublishedModel>, WeightsError> {
        torchmesh_weights::open(self.0.path())
    }

    /// What is said where the model is not read.
    pub(crate) fn problem(&self) -> String {
        match self.open() {
            Ok(model) => model.tokenizer().map(|_| ()).expect_err("it is read").to_string(),
            Err(error) => error.to_string(),
        }
    }
}

pub(crate) fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A tensor's elements as floats.
pub(crate) fn values(model: &dyn PublishedModel, name: &str) -> Vec<f32> {
    let tensor = model.tensor(name).unwrap().unwrap_or_else(|| panic!("there is no {name}"));
    tensor.bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

/// A safetensors file with this header.
pub(crate) fn safetensors(header: &Value, data: &[u8]) -> Vec<u8> {
    let header = header.to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// A safetensors file with one tensor of two floats for each name.
pub(crate) fn pairs(names: &[&str]) -> Vec<u8> {
    let entry = |(place, name): (usize, &&str)| {
        ((*name).to_owned(), json!({"dtype": "F32", "shape": [2], "data_offsets": [8 * place, 8 * place + 8]}))
    };
    let header: Map<String, Value> = names.iter().enumerate().map(entry).collect();
    let data: Vec<f32> = (0..2 * names.len()).map(|value| value as f32).collect();
    safetensors(&Value::Object(header), &floats(&data))
}

/// Builds a GGUF file.
#[derive(Clone, Default)]
pub(crate) struct Gguf {
    pub(crate) keys: Vec<(String, Vec<u8>)>,
    pub(crate) tensors: Vec<(String, Vec<u64>, u32, Vec<u8>)>,
}

fn text_bytes(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

fn tagged(kind: u32, bytes: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes(), bytes].concat()
}

impl Gguf {
    fn key(mut self, key: &str, value: Vec<u8>) -> Self {
        self.keys.retain(|(name, _)| name != key);
        self.keys.push((key.to_owned(), value));
        self
    }

    pub(crate) fn without(mut self, key: &str) -> Self {
        self.keys.retain(|(name, _)| name != key);
        self.tensors.retain(|(name, ..)| name != key);
        self
    }

    pub(crate) fn text(self, key: &str, value: &str) -> Self {
        self.key(key, tagged(8, &text_bytes(value)))
    }

    pub(crate) fn count(self, key: &str, value: u32) -> Self {
        self.key(key, tagged(4, &value.to_le_bytes()))
    }

    pub(crate) fn fraction(self, key: &str, value: f32) -> Self {
        self.key(key, tagged(6, &value.to_le_bytes()))
    }

    pub(crate) fn truth(self, key: &str, value: bool) -> Self {
        self.key(key, tagged(7, &[value.into()]))
    }

    fn list(self, key: &str, kind: u32, count: usize, elements: &[u8]) -> Self {
        self.key(key, tagged(9, &[&kind.to_le_bytes()[..], &(count as u64).to_le_bytes(), elements].concat()))
    }

    pub(crate) fn texts(self, key: &str, values: &[&str]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| text_bytes(value)).collect();
        self.list(key, 8, values.len(), &bytes)
    }

    pub(crate) fn integers(self, key: &str, values: &[i32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.list(key, 5, values.len(), &bytes)
    }

    pub(crate) fn fractions(self, key: &str, values: &[f32]) -> Self {
        self.list(key, 6, values.len(), &floats(values))
    }

    /// `sides` as the file has them: the length of a row comes first.
    pub(crate) fn tensor(mut self, name: &str, sides: &[u64], kind: u32, bytes: Vec<u8>) -> Self {
        self.tensors.push((name.to_owned(), sides.to_vec(), kind, bytes));
        self
    }

    /// Floats that count up from 0.
    pub(crate) fn counting(self, name: &str, sides: &[u64]) -> Self {
        let count = sides.iter().product::<u64>();
        let values: Vec<f32> = (0..count).map(|value| value as f32).collect();
        self.tensor(name, sides, 0, floats(&values))
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let mut out = b"GGUF\x03\0\0\0".to_vec();
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.keys.len() as u64).to_le_bytes());
        for (key, value) in &self.keys {
            out.extend(text_bytes(key));
            out.extend(value);
        }
        let mut data = Vec::new();
        for (name, sides, kind, bytes) in &self.tensors {
            out.extend(text_bytes(name));
            out.extend((sides.len() as u32).to_le_bytes());
            out.extend(sides.iter().flat_map(|side| side.to_le_bytes()));
            out.extend(kind.to_le_bytes());
            out.extend((data.len() as u64).to_le_bytes());
            data.extend(bytes);
            data.resize(data.len().next_multiple_of(32), 0);
        }
        out.resize(out.len().next_multiple_of(32), 0);
        out.extend(data);
        out
    }

    /// In a folder of its own.
    pub(crate) fn folder(&self) -> Folder {
        Folder::new().with("model.gguf", self.build())
    }
}

/// Sizes of an architecture: rows of 8, two heads of 4, one of keys, one layer.
pub(crate) fn sizes(architecture: &str) -> Gguf {
    let key = |name: &str| format!("{architecture}.{name}");
    Gguf::default()
        .text("general.architecture", architecture)
        .count(&key("block_count"), 1)
        .count(&key("context_length"), 64)
        .count(&key("embedding_length"), 8)
        .count(&key("feed_forward_length"), 12)
        .count(&key("attention.head_count"), 2)
        .count(&key("attention.head_count_kv"), 1)
        .fraction(&key("attention.layer_norm_rms_epsilon"), 1e-5)
        .fraction(&key("rope.freq_base"), 10000.0)
}

/// A whole Llama with a vocabulary of pieces: blanks, "a", "b", "ab", and bytes from 7 on.
pub(crate) fn llama() -> Gguf {
    let byte_names: Vec<String> = (0..=255).map(|byte| format!("<0x{byte:02X}>")).collect();
    let mut tokens = vec!["<unk>", "<s>", "</s>", "\u{2581}", "a", "b", "ab"];
    tokens.extend(byte_names.iter().map(String::as_str));
    let kinds: Vec<i32> = [2, 3, 3, 1, 1, 1, 1].into_iter().chain([6; 256]).collect();
    let scores: Vec<f32> = (0..tokens.len()).map(|id| -(id as f32)).collect();
    sizes("llama")
        .text("tokenizer.ggml.model", "llama")
        .texts("tokenizer.ggml.tokens", &tokens)
        .integers("tokenizer.ggml.token_type", &kinds)
        .fractions("tokenizer.ggml.scores", &scores)
        .count("tokenizer.ggml.bos_token_id", 1)
        .count("tokenizer.ggml.eos_token_id", 2)
        .count("tokenizer.ggml.unknown_token_id", 0)
        .counting("token_embd.weight", &[8, 263])
        .counting("blk.0.attn_q.weight", &[8, 8])
        .counting("blk.0.attn_k.weight", &[8, 4])
        .counting("blk.0.attn_norm.weight", &[8])
}
