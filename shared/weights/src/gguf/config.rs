//! Metadata of a GGUF file in the words of a `config.json`.

use serde_json::{Map, Value, json};

use super::{metadata::Metadata, names::Architecture, rope};

/// The most layers of a network.
const MOST_LAYERS: usize = 1024;

/// What the file itself shows, beside its metadata.
#[derive(Debug)]
pub(super) struct Seen {
    /// Rows of the embedding.
    pub(super) vocabulary: usize,
    /// There is no output matrix: it is the embedding.
    pub(super) tied: bool,
    /// Queries have biases.
    pub(super) attention_bias: bool,
    /// The parts of the feed-forward network have biases.
    pub(super) mlp_bias: bool,
    /// By what each rotation's frequency is divided, where the file says it.
    pub(super) rope_divisors: Option<Vec<f32>>,
}

/// Metadata of one architecture.
pub(super) struct Keys<'a> {
    metadata: &'a Metadata,
    architecture: &'static str,
}

impl Keys<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    pub(super) fn count(&self, name: &str) -> Result<usize, String> {
        let key = self.key(name);
        self.metadata.count(&key).ok_or_else(|| format!("{key} is missing, or not the same number for every layer"))
    }

    fn layers(&self) -> Result<usize, String> {
        let layers = self.count("block_count")?;
        if layers > MOST_LAYERS {
            return Err(format!("{} is {layers}; at most {MOST_LAYERS} layers are read", self.key("block_count")));
        }
        Ok(layers)
    }

    pub(super) fn fraction(&self, name: &str) -> Option<f64> {
        self.metadata.fraction(&self.key(name))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.metadata.text(&self.key(name))
    }

    pub(super) fn optional(&self, name: &str) -> Option<usize> {
        self.metadata.count(&self.key(name))
    }
}

/// The text of the `config.json`.
pub(super) fn config(metadata: &Metadata, architecture: &'static Architecture, seen: &Seen) -> Result<String, String> {
    let keys = Keys { metadata, architecture: architecture.name };
    if keys.optional("expert_count").is_some_and(|experts| experts > 0) {
        return Err(format!("{} is not 0: mixtures of experts are not read", keys.key("expert_count")));
    }
    let mut fields = if architecture.name == "gpt2" { gpt2(&keys, seen)? } else { rotating(&keys, seen)? };
    fields.insert("architectures".to_owned(), json!([architecture.class]));
    fields.insert("model_type".to_owned(), architecture.model_type.into());
    fields.insert("torch_dtype".to_owned(), "float32".into());
    fields.insert("vocab_size".to_owned(), seen.vocabulary.into());
    fields.insert("tie_word_embeddings".to_owned(), seen.tied.into());
    // Said as null where there is none: implementations have defaults of their own.
    for (name, key) in [("bos", "bos"), ("eos", "eos"), ("pad", "padding")] {
        fields.insert(format!("{name}_token_id"), metadata.token(&format!("tokenizer.ggml.{key}_token_id")).into());
    }
    Ok(Value::Object(fields).to_string())
}

/// How many heads queries and keys have.
pub(super) fn heads(metadata: &Metadata, architecture: &'static Architecture) -> Result<(usize, usize), String> {
    let keys = Keys { metadata, architecture: architecture.name };
    let queries = keys.count("attention.head_count")?;
    Ok((queries, keys.optional("attention.head_count_kv").unwrap_or(queries)))
}

fn gpt2(keys: &Keys<'_>, seen: &Seen) -> Result<Map<String, Value>, String> {
    Ok(object(json!({
        "n_embd": keys.count("embedding_length")?,
        "n_inner": keys.count("feed_forward_length")?,
        "n_layer": keys.layers()?,
        "n_head": keys.count("attention.head_count")?,
        "n_positions": keys.count("context_length")?,
        "n_ctx": keys.count("context_length")?,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": keys.fraction("attention.layer_norm_epsilon").unwrap_or(1e-5),
        "tie_word_embeddings": seen.tied,
    })))
}

/// What all networks with rotary embeddings say, and what each adds.
fn rotating(keys: &Keys<'_>, seen: &Seen) -> Result<Map<String, Value>, String> {
    let (hidden, queries) = (keys.count("embedding_length")?, keys.count("attention.head_count")?);
    if queries == 0 || hidden == 0 {
        return Err(format!("{} or {} is 0", keys.key("embedding_length"), keys.key("attention.head_count")));
    }
    let head = keys.optional("attention.key_length").unwrap_or(hidden / queries);
    let rotated = keys.optional("rope.dimension_count").unwrap_or(head);
    if rotated != head && keys.architecture != "phi3" {
        return Err(format!("{} is {rotated}, and a head has {head}: rotating a part of it is not read", keys.key("rope.dimension_count")));
    }
    let mut fields = object(json!({
        "hidden_size": hidden,
        "intermediate_size": keys.count("feed_forward_length")?,
        "num_hidden_layers": keys.layers()?,
        "num_attention_heads": queries,
        "num_key_value_heads": keys.optional("attention.head_count_kv").unwrap_or(queries),
        "head_dim": head,
        "max_position_embeddings": keys.count("context_length")?,
        "rms_norm_eps": keys.fraction("attention.layer_norm_rms_epsilon").ok_or_else(|| format!("{} is missing", keys.key("attention.layer_norm_rms_epsilon")))?,
        "rope_theta": keys.fraction("rope.freq_base").unwrap_or(10000.0),
        "rope_scaling": rope::scaling(keys, head, seen.rope_divisors.as_deref())?,
        "hidden_act": "silu",
        "attention_bias": seen.attention_bias,
    }));
    fields.extend(own(keys, seen, rotated, head)?);
    Ok(fields)
}

/// What one architecture has and others have not.
fn own(keys: &Keys<'_>, seen: &Seen, rotated: usize, head: usize) -> Result<Map<String, Value>, String> {
    let layers = keys.layers()?;
    let gemma = || json!({"hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh"});
    Ok(object(match keys.architecture {
        "llama" => json!({"mlp_bias": seen.mlp_bias}),
        "smollm3" => {
            json!({"no_rope_layers": (1..=layers).map(|layer| u8::from(layer % 4 != 0)).collect::<Vec<_>>(), "use_sliding_window": false})
        }
        "granite" => json!({
            "mlp_bias": seen.mlp_bias,
            "attention_multiplier": keys.fraction("attention.scale").unwrap_or(1.0),
            "embedding_multiplier": keys.fraction("embedding_scale").unwrap_or(1.0),
            "residual_multiplier": keys.fraction("residual_scale").unwrap_or(1.0),
            "logits_scaling": keys.fraction("logit_scale").unwrap_or(1.0),
        }),
        "qwen2" => json!({"use_sliding_window": false}),
        "phi3" => json!({
            "partial_rotary_factor": rotated as f64 / head.max(1) as f64,
            "original_max_position_embeddings": keys.optional("rope.scaling.original_context_length").map_or_else(|| keys.count("context_length"), Ok)?,
            "sliding_window": keys.optional("attention.sliding_window").filter(|window| *window > 0),
        }),
        "gemma" => gemma(),
        "gemma2" => merged(gemma(), gemma2(keys, layers, head)?),
        "gemma3" => merged(gemma(), gemma3(keys, layers, head)?),
        _ => json!({}),
    }))
}

/// By the square root of which scores are divided is not in the file; it follows from the published sizes, of which one is an exception.
fn gemma2(keys: &Keys<'_>, layers: usize, head: usize) -> Result<Value, String> {
    let largest = if layers == 46 { keys.count("embedding_length")? / keys.count("attention.head_count")? } else { head };
    Ok(json!({
        "query_pre_attn_scalar": largest,
        "attn_logit_softcapping": keys.fraction("attn_logit_softcapping").unwrap_or(50.0),
        "final_logit_softcapping": keys.fraction("final_logit_softcapping").unwrap_or(30.0),
        "sliding_window": keys.optional("attention.sliding_window").unwrap_or(4096),
    }))
}

/// The same here; five layers of six look at a window, and rotate with a theta of their own.
fn gemma3(keys: &Keys<'_>, layers: usize, head: usize) -> Result<Value, String> {
    let largest = if layers == 62 { keys.count("embedding_length")? / keys.count("attention.head_count")? } else { head };
    Ok(json!({
        "query_pre_attn_scalar": largest,
        "sliding_window": keys.optional("attention.sliding_window").unwrap_or(1024),
        "sliding_window_pattern": 6,
        "rope_theta": keys.fraction("rope.freq_base").unwrap_or(1_000_000.0),
        "rope_local_base_freq": keys.fraction("rope.freq_base_swa").unwrap_or(10000.0),
        "attn_logit_softcapping": null,
        "final_logit_softcapping": keys.fraction("final_logit_softcapping"),
    }))
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(fields) = value { fields } else { Map::new() }
}

fn merged(first: Value, second: Value) -> Value {
    Value::Object(object(first).into_iter().chain(object(second)).collect())
}
