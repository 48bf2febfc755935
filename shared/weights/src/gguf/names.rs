//! Which networks are read from GGUF files, and what their tensors are called on either side.

/// A kind of network.
#[derive(Debug)]
pub(super) struct Architecture {
    /// `general.architecture`, and the first part of its keys.
    pub(super) name: &'static str,
    /// `model_type` in `config.json`.
    pub(super) model_type: &'static str,
    /// The class that implements it.
    pub(super) class: &'static str,
    /// Tensors outside the layers, without their ending `.weight` or `.bias`.
    outside: &'static [(&'static str, &'static str)],
    /// What comes before the number of a layer.
    layers: &'static str,
    /// Tensors in a layer, without what comes before and without their ending.
    inside: &'static [(&'static str, &'static str)],
    /// What the file's maker did to tensors, and is undone here.
    changed: Changed,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Changed {
    Nothing,
    /// The rows of queries and keys, so that neighbours rotate with each other.
    Rows,
    /// The weights of norms: 1 was added.
    Norms,
    /// The matrices in the layers were turned.
    Turned,
}

/// What has to be done with a tensor that was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    Nothing,
    /// The rows of queries' heads back in the order of Hugging Face's rotation.
    QueryRows,
    /// The same of keys' heads.
    KeyRows,
    /// 1 is taken off.
    MinusOne,
    /// Rows become columns.
    Turn,
}

const OUTSIDE: &[(&str, &str)] = &[("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")];

const LLAMA: &[(&str, &str)] = &[
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// Norms before and after each of a layer's two parts.
const GEMMA2: &[(&str, &str)] = &[
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("post_attention_norm", "post_attention_layernorm"),
    ("ffn_norm", "pre_feedforward_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
];

const PHI3: &[(&str, &str)] = &[
    ("attn_norm", "input_layernorm"),
    ("attn_qkv", "self_attn.qkv_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_up", "mlp.gate_up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

const OUTSIDE_GPT2: &[(&str, &str)] =
    &[("token_embd", "transformer.wte"), ("position_embd", "transformer.wpe"), ("output_norm", "transformer.ln_f"), ("output", "lm_head")];

const GPT2: &[(&str, &str)] = &[
    ("attn_norm", "ln_1"),
    ("attn_qkv", "attn.c_attn"),
    ("attn_output", "attn.c_proj"),
    ("ffn_norm", "ln_2"),
    ("ffn_up", "mlp.c_fc"),
    ("ffn_down", "mlp.c_proj"),
];

const fn llama_like(name: &'static str, class: &'static str, changed: Changed) -> Architecture {
    Architecture { name, model_type: name, class, outside: OUTSIDE, layers: "model.layers.", inside: LLAMA, changed }
}

const ARCHITECTURES: &[Architecture] = &[
    llama_like("llama", "LlamaForCausalLM", Changed::Rows),
    llama_like("smollm3", "SmolLM3ForCausalLM", Changed::Rows),
    llama_like("granite", "GraniteForCausalLM", Changed::Rows),
    llama_like("qwen2", "Qwen2ForCausalLM", Changed::Nothing),
    llama_like("qwen3", "Qwen3ForCausalLM", Changed::Nothing),
    llama_like("gemma", "GemmaForCausalLM", Changed::Norms),
    Architecture { inside: GEMMA2, ..llama_like("gemma2", "Gemma2ForCausalLM", Changed::Norms) },
    Architecture { inside: GEMMA2, model_type: "gemma3_text", ..llama_like("gemma3", "Gemma3ForCausalLM", Changed::Norms) },
    Architecture { inside: PHI3, ..llama_like("phi3", "Phi3ForCausalLM", Changed::Nothing) },
    Architecture {
        outside: OUTSIDE_GPT2,
        layers: "transformer.h.",
        inside: GPT2,
        ..llama_like("gpt2", "GPT2LMHeadModel", Changed::Turned)
    },
];

impl Architecture {
    /// The one of this name; the error lists those that there are.
    pub(super) fn of(name: &str) -> Result<&'static Self, String> {
        ARCHITECTURES.iter().find(|one| one.name == name).ok_or_else(|| {
            let known: Vec<&str> = ARCHITECTURES.iter().map(|one| one.name).collect();
            format!("general.architecture is {name}; read are {}", known.join(", "))
        })
    }

    /// What Hugging Face calls a tensor, and what has to be done with it; `None` for a tensor that such a network does not have.
    pub(super) fn translate(&self, name: &str) -> Option<(String, Change)> {
        let (stem, ending) = name.rsplit_once('.').filter(|(_, ending)| ["weight", "bias"].contains(ending))?;
        let Some((number, stem)) = stem.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) else {
            return Some((format!("{}.{ending}", find(self.outside, stem)?), self.change(stem, ending)));
        };
        number.parse::<u32>().ok()?;
        Some((format!("{}{number}.{}.{ending}", self.layers, find(self.inside, stem)?), self.change(stem, ending)))
    }

    fn change(&self, stem: &str, ending: &str) -> Change {
        match self.changed {
            Changed::Rows if stem == "attn_q" => Change::QueryRows,
            Changed::Rows if stem == "attn_k" => Change::KeyRows,
            Changed::Norms if stem.ends_with("norm") && ending == "weight" => Change::MinusOne,
            Changed::Turned if ["attn_qkv", "attn_output", "ffn_up", "ffn_down"].contains(&stem) && ending == "weight" => Change::Turn,
            _ => Change::Nothing,
        }
    }
}

fn find(table: &[(&str, &'static str)], stem: &str) -> Option<&'static str> {
    table.iter().find(|(name, _)| *name == stem).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_gets_its_published_name() {
        for (architecture, name, expected, change) in [
            ("llama", "blk.11.attn_q.weight", "model.layers.11.self_attn.q_proj.weight", Change::QueryRows),
            ("llama", "output_norm.weight", "model.norm.weight", Change::Nothing),
            ("qwen2", "blk.0.attn_k.bias", "model.layers.0.self_attn.k_proj.bias", Change::Nothing),
            ("gemma2", "blk.3.ffn_norm.weight", "model.layers.3.pre_feedforward_layernorm.weight", Change::MinusOne),
            ("gpt2", "blk.3.ffn_up.weight", "transformer.h.3.mlp.c_fc.weight", Change::Turn),
            ("gpt2", "blk.3.ffn_up.bias", "transformer.h.3.mlp.c_fc.bias", Change::Nothing),
        ] {
            assert_eq!(Architecture::of(architecture).unwrap().translate(name), Some((expected.to_owned(), change)), "{name}");
        }
    }

    #[test]
    fn a_tensor_that_the_network_has_no_place_for_has_no_name() {
        let llama = Architecture::of("llama").unwrap();
        for name in ["blk.0.ffn_gate_inp.weight", "blk.x.attn_q.weight", "attn_q.weight", "blk.0.attn_norm", "weight", ""] {
            assert_eq!(llama.translate(name), None, "{name}");
        }
    }

    #[test]
    fn an_unknown_architecture_is_refused_with_those_that_are_known() {
        let problem = Architecture::of("mamba").unwrap_err();
        assert!(problem.contains("mamba") && problem.contains("llama") && problem.contains("gpt2"), "{problem}");
    }
}
