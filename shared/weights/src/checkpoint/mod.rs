//! A checkpoint of llama2.c: seven numbers, then all weights of a Llama in 32-bit floats, one after the other; the tokenizer is in a file beside it.

mod tokenizer;

use std::{collections::BTreeMap, path::Path};

use serde_json::json;

use crate::{
    Element, PublishedModel, TensorData, TensorLayout, WeightsError,
    file::{Source, read_text},
    rows::split_pairs,
    special::Special,
};

/// The file beside a checkpoint.
pub(crate) const TOKENIZER: &str = "tokenizer.bin";
/// What such files are called; nothing in one says what it is.
pub(crate) const ENDING: &str = "bin";
const HEADER: u64 = 7 * 4;
/// The most that any of the seven numbers can be.
const LARGEST: i32 = 1 << 24;

/// The sizes of a network, as the header has them.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    hidden: usize,
    feed_forward: usize,
    layers: usize,
    heads: usize,
    key_heads: usize,
    vocabulary: usize,
    length: usize,
    tied: bool,
}

#[derive(Debug)]
struct Place {
    /// In bytes.
    at: u64,
    shape: Vec<usize>,
    /// Into how many heads its rows are split, where they rotate.
    heads: Option<usize>,
}

/// A checkpoint, opened.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    source: Source,
    config: String,
    tokenizer: String,
    places: BTreeMap<String, Place>,
    special: Special,
}

impl Checkpoint {
    pub(crate) fn open(path: &Path) -> Result<Self, WeightsError> {
        let source = Source::open(path)?;
        let sizes = Sizes::read(&source)?;
        let (places, end) = sizes.places();
        if source.length() != end {
            let problem = format!(
                "has {} bytes, and weights of these sizes {end}: it is cut, damaged, or no checkpoint of llama2.c",
                source.length()
            );
            return Err(source.wrong(problem));
        }
        let pieces = Source::open(&path.with_file_name(TOKENIZER))?;
        let tokenizer = tokenizer::read(&pieces, sizes.vocabulary)?;
        let template = path.with_file_name("chat_template.jinja");
        let special = Special {
            chat_template: if template.is_file() { Some(read_text(&template)?) } else { None },
            texts: tokenizer::special_texts(),
            // A story ends where the next one would begin.
            end: vec![tokenizer::BEGIN, tokenizer::END],
            ..Special::default()
        };
        Ok(Self { config: sizes.config(), source, tokenizer, places, special })
    }
}

impl PublishedModel for Checkpoint {
    fn config(&self) -> &str {
        &self.config
    }

    fn names(&self) -> Vec<String> {
        self.places.keys().cloned().collect()
    }

    fn layout(&self, name: &str) -> Result<Option<TensorLayout>, WeightsError> {
        Ok(self.places.get(name).map(|place| TensorLayout { element: Element::F32, shape: place.shape.clone() }))
    }

    fn tensor(&self, name: &str) -> Result<Option<TensorData>, WeightsError> {
        let Some(place) = self.places.get(name) else { return Ok(None) };
        let bytes = self.source.read(place.at, 4 * place.shape.iter().product::<usize>() as u64)?;
        let bytes = if let Some(heads) = place.heads { split_pairs(&bytes, place.shape[0], heads) } else { bytes };
        Ok(Some(TensorData { element: Element::F32, shape: place.shape.clone(), bytes }))
    }

    fn tokenizer(&self) -> Result<String, WeightsError> {
        Ok(self.tokenizer.clone())
    }

    fn special(&self) -> &Special {
        &self.special
    }
}

impl Sizes {
    fn read(source: &Source) -> Result<Self, WeightsError> {
        let header = source.read(0, HEADER).map_err(|_| source.wrong("is too short to be a checkpoint of llama2.c"))?;
        let numbers: Vec<i32> = header.chunks_exact(4).map(|four| i32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect();
        let vocabulary = numbers[5];
        let plausible = |number: &i32| (1..=LARGEST).contains(number);
        if !numbers[..5].iter().chain([&vocabulary.saturating_abs(), &numbers[6]]).all(plausible) {
            return Err(source.wrong("the first seven numbers are no sizes of a network: it is no checkpoint of llama2.c (version 0)"));
        }
        let size = |place: usize| numbers[place].unsigned_abs() as usize;
        let sizes = Self {
            hidden: size(0),
            feed_forward: size(1),
            layers: size(2),
            heads: size(3),
            key_heads: size(4),
            vocabulary: size(5),
            length: size(6),
            // A negative size of the vocabulary says that the output has weights of its own.
            tied: vocabulary > 0,
        };
        // A tensor of another size than the file's would be refused later; these are what the places are reckoned from.
        let even = sizes.hidden.is_multiple_of(2 * sizes.heads) && sizes.heads.is_multiple_of(sizes.key_heads);
        if !even || sizes.layers > 1024 {
            return Err(
                source.wrong(format!("{} heads with {} of keys and {} layers are no network", sizes.heads, sizes.key_heads, sizes.layers))
            );
        }
        Ok(sizes)
    }

    fn head(&self) -> usize {
        self.hidden / self.heads
    }

    /// Where which tensor lies, and where the last one ends. The sums fit: no size is over 2^24, and there are at most 1024 layers.
    fn places(&self) -> (BTreeMap<String, Place>, u64) {
        let mut writer = Placing { places: BTreeMap::new(), at: HEADER };
        let keys = self.key_heads * self.head();
        let (hidden, wide) = (self.hidden, self.feed_forward);
        writer.one("model.embed_tokens.weight", &[self.vocabulary, hidden]);
        writer.layers(self.layers, "input_layernorm", &[hidden], None);
        writer.layers(self.layers, "self_attn.q_proj", &[hidden, hidden], Some(self.heads));
        writer.layers(self.layers, "self_attn.k_proj", &[keys, hidden], Some(self.key_heads));
        writer.layers(self.layers, "self_attn.v_proj", &[keys, hidden], None);
        writer.layers(self.layers, "self_attn.o_proj", &[hidden, hidden], None);
        writer.layers(self.layers, "post_attention_layernorm", &[hidden], None);
        writer.layers(self.layers, "mlp.gate_proj", &[wide, hidden], None);
        writer.layers(self.layers, "mlp.down_proj", &[hidden, wide], None);
        writer.layers(self.layers, "mlp.up_proj", &[wide, hidden], None);
        writer.one("model.norm.weight", &[hidden]);
        // Tables of the rotation's sines and cosines, which are no weights.
        writer.skip((self.length * self.head()) as u64);
        if !self.tied {
            writer.one("lm_head.weight", &[self.vocabulary, hidden]);
        }
        (writer.places, writer.at)
    }

    fn config(&self) -> String {
        json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "intermediate_size": self.feed_forward,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.key_heads,
            "head_dim": self.head(),
            "max_position_embeddings": self.length,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "rope_scaling": null,
            "hidden_act": "silu",
            "attention_bias": false,
            "mlp_bias": false,
            "tie_word_embeddings": self.tied,
            "torch_dtype": "float32",
            "bos_token_id": tokenizer::BEGIN,
            "eos_token_id": tokenizer::END,
        })
        .to_string()
    }
}

/// Lays one tensor after the other.
struct Placing {
    places: BTreeMap<String, Place>,
    at: u64,
}

impl Placing {
    fn one(&mut self, name: &str, shape: &[usize]) {
        self.place(name.to_owned(), shape, None);
    }

    /// The same tensor of every layer.
    fn layers(&mut self, layers: usize, name: &str, shape: &[usize], heads: Option<usize>) {
        for layer in 0..layers {
            self.place(format!("model.layers.{layer}.{name}.weight"), shape, heads);
        }
    }

    fn place(&mut self, name: String, shape: &[usize], heads: Option<usize>) {
        self.places.insert(name, Place { at: self.at, shape: shape.to_vec(), heads });
        self.skip(shape.iter().product::<usize>() as u64);
    }

    fn skip(&mut self, elements: u64) {
        self.at += 4 * elements;
    }
}
