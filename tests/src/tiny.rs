//! Language models that are made on the spot: a Llama of any sizes, with weights by a formula and bytes for tokens.

use std::{fs, path::Path};

use serde_json::{Map, Value, json};
use torchmesh_weights::formula;

/// The sizes of one, as its `config.json` has them.
#[derive(Debug, Clone, Copy)]
pub struct Tiny {
    /// Values of a token between the layers.
    pub hidden: usize,
    /// How many layers.
    pub layers: usize,
    /// Heads of queries, and of keys and values.
    pub heads: (usize, usize),
    /// Values of a head.
    pub head: usize,
    /// Values of a token in the middle of a layer's second half.
    pub inner: usize,
    /// Rows of the embeddings: 258 or more. Those over 258 stand for no text.
    pub vocabulary: usize,
    /// The base of the rotary positions.
    pub theta: f64,
    /// Tokens in the longest sequence.
    pub context: usize,
}

/// The token that ends an answer; the one before it begins a text, and those before that are the bytes.
pub const END: usize = 257;

impl Tiny {
    /// One that writes slowly enough for a test to do something meanwhile, and for long.
    pub fn endless() -> Self {
        Self { hidden: 256, layers: 4, heads: (4, 2), head: 64, inner: 512, vocabulary: 258, theta: 10_000.0, context: 32_768 }
    }

    /// Writes `config.json`, `generation_config.json`, `tokenizer.json` and `model.safetensors` into a folder.
    pub fn write(&self, folder: &Path) {
        fs::create_dir_all(folder).expect("a folder for the model");
        let write = |name: &str, text: &[u8]| fs::write(folder.join(name), text).expect("a file of the model");
        write("config.json", self.config().to_string().as_bytes());
        write("generation_config.json", json!({ "eos_token_id": END }).to_string().as_bytes());
        write("tokenizer.json", tokenizer().to_string().as_bytes());
        write("model.safetensors", &self.weights());
    }

    fn config(&self) -> Value {
        json!({
            "architectures": ["SomethingElseForCausalLM"], "model_type": "somethingelse", "vocab_size": self.vocabulary,
            "hidden_size": self.hidden, "num_hidden_layers": self.layers, "num_attention_heads": self.heads.0,
            "num_key_value_heads": self.heads.1, "head_dim": self.head, "intermediate_size": self.inner, "rope_theta": self.theta,
            "max_position_embeddings": self.context, "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": false,
            "eos_token_id": END,
        })
    }

    /// The names and shapes of the tensors.
    fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (queries, keys) = (self.heads.0 * self.head, self.heads.1 * self.head);
        let mut all = vec![
            ("model.embed_tokens.weight".to_owned(), vec![self.vocabulary, self.hidden]),
            ("lm_head.weight".to_owned(), vec![self.vocabulary, self.hidden]),
            ("model.norm.weight".to_owned(), vec![self.hidden]),
        ];
        for layer in 0..self.layers {
            let of_layer = [
                ("input_layernorm", vec![self.hidden]),
                ("self_attn.q_proj", vec![queries, self.hidden]),
                ("self_attn.k_proj", vec![keys, self.hidden]),
                ("self_attn.v_proj", vec![keys, self.hidden]),
                ("self_attn.o_proj", vec![self.hidden, queries]),
                ("post_attention_layernorm", vec![self.hidden]),
                ("mlp.gate_proj", vec![self.inner, self.hidden]),
                ("mlp.up_proj", vec![self.inner, self.hidden]),
                ("mlp.down_proj", vec![self.hidden, self.inner]),
            ];
            all.extend(of_layer.map(|(name, shape)| (format!("model.layers.{layer}.{name}.weight"), shape)));
        }
        all
    }

    fn weights(&self) -> Vec<u8> {
        let (mut header, mut elements) = (Map::new(), Vec::new());
        for (name, shape) in self.tensors() {
            let begin = elements.len();
            elements.extend(formula::elements(&name, shape.iter().product()).into_iter().flat_map(f32::to_le_bytes));
            header.insert(name, json!({ "dtype": "F32", "shape": shape, "data_offsets": [begin, elements.len()] }));
        }
        let mut header = Value::Object(header).to_string().into_bytes();
        header.resize(header.len().next_multiple_of(8), b' ');
        let length = u64::try_from(header.len()).expect("a short header");
        [&length.to_le_bytes()[..], &header, &elements].concat()
    }
}

/// Every byte is a token, by the letters that byte-level tokenizers write bytes with.
fn tokenizer() -> Value {
    let mut others = 256..;
    let letter = |byte: u8| match byte {
        b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
        _ => others.next().and_then(char::from_u32).expect("a letter"),
    };
    let vocabulary: Map<String, Value> =
        (0..=255_u8).map(letter).zip(0..).map(|(letter, token): (char, u32)| (letter.to_string(), token.into())).collect();
    let special = |token: usize, text: &str| json!({ "id": token, "content": text, "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false });
    let bytes = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false });
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [special(END - 1, "<s>"), special(END, "</s>")],
        "normalizer": null, "pre_tokenizer": bytes, "post_processor": null, "decoder": bytes,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": false, "byte_fallback": false, "vocab": vocabulary, "merges": [],
        },
    })
}
