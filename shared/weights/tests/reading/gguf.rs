//! GGUF files as they should be.

use serde_json::{Value, json};
use tokenizers::Tokenizer;

use crate::made::{Gguf, floats, llama, sizes, values};

fn config(file: &Gguf) -> Value {
    serde_json::from_str(file.folder().open().unwrap().config()).unwrap()
}

fn tokenizer(file: &Gguf) -> Tokenizer {
    file.folder().open().unwrap().tokenizer().unwrap().parse().unwrap()
}

#[test]
fn a_llama_gets_published_names_and_rows_in_published_order() {
    let model = llama().folder().open().unwrap();
    let layer = "model.layers.0";
    let names = [
        "model.embed_tokens.weight".to_owned(),
        format!("{layer}.input_layernorm.weight"),
        format!("{layer}.self_attn.k_proj.weight"),
        format!("{layer}.self_attn.q_proj.weight"),
    ];
    assert_eq!(model.names(), names);
    let rows = |name: &str| values(model.as_ref(), name).chunks(8).map(|row| row[0] / 8.0).collect::<Vec<_>>();
    assert_eq!(rows(&names[3]), [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    assert_eq!(rows(&names[2]), [0.0, 2.0, 1.0, 3.0]);
    assert_eq!(model.layout(&names[0]).unwrap().unwrap().shape, [263, 8]);
}

#[test]
fn metadata_is_said_in_the_words_of_a_config() {
    let found = config(&llama());
    for (field, expected) in [
        ("model_type", json!("llama")),
        ("architectures", json!(["LlamaForCausalLM"])),
        ("vocab_size", json!(263)),
        ("hidden_size", json!(8)),
        ("intermediate_size", json!(12)),
        ("num_attention_heads", json!(2)),
        ("num_key_value_heads", json!(1)),
        ("head_dim", json!(4)),
        ("max_position_embeddings", json!(64)),
        ("rms_norm_eps", json!(1e-5)),
        ("rope_theta", json!(10000.0)),
        ("rope_scaling", Value::Null),
        ("tie_word_embeddings", json!(true)),
        ("attention_bias", json!(false)),
        ("bos_token_id", json!(1)),
        ("eos_token_id", json!(2)),
    ] {
        assert_eq!(found[field], expected, "{field}");
    }
    assert_eq!(config(&llama().counting("output.weight", &[8, 263]))["tie_word_embeddings"], json!(false));
}

#[test]
fn a_stretched_rotation_is_said_in_the_words_of_a_config() {
    let linear = llama().text("llama.rope.scaling.type", "linear").fraction("llama.rope.scaling.factor", 4.0);
    assert_eq!(config(&linear)["rope_scaling"], json!({"rope_type": "linear", "factor": 4.0}));
    assert_eq!(config(&llama().fraction("llama.rope.scale_linear", 2.0))["rope_scaling"]["rope_type"], "linear");
    let yarn = linear.clone().text("llama.rope.scaling.type", "yarn").count("llama.rope.scaling.original_context_length", 16);
    assert_eq!(config(&yarn)["rope_scaling"], json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}));
    // Two rotations: one of 6 positions, which stays, and one of 628, which is shorter than 2048 and stays too.
    let table = llama().tensor("rope_freqs.weight", &[2], 0, floats(&[1.0, 1.0]));
    assert_eq!(config(&table)["rope_scaling"]["rope_type"], "llama3");
    assert!(!table.folder().open().unwrap().names().iter().any(|name| name.contains("rope")));
    let other = llama().tensor("rope_freqs.weight", &[2], 0, floats(&[3.0, 1.0])).folder().problem();
    assert!(other.contains("rope_freqs.weight"), "{other}");
    let unknown = linear.text("llama.rope.scaling.type", "longrope").folder().problem();
    assert!(unknown.contains("longrope"), "{unknown}");
}

#[test]
fn quantised_tensors_come_out_as_floats() {
    // One block of 32: the scale 2 in half precision, then the numbers -16 to 15.
    let block: Vec<u8> = [0x00, 0x40].into_iter().chain((-16..16_i8).map(i8::cast_unsigned)).collect();
    let file = sizes("qwen2").tensor("token_embd.weight", &[32, 2], 8, [block.clone(), block].concat());
    let found = values(file.folder().open().unwrap().as_ref(), "model.embed_tokens.weight");
    assert_eq!((found.len(), found[0], found[33], found[63]), (64, -32.0, -30.0, 30.0));
}

#[test]
fn what_the_files_maker_did_to_a_network_is_undone() {
    let gemma = sizes("gemma").counting("token_embd.weight", &[8, 2]).counting("blk.0.attn_norm.weight", &[8]);
    let model = gemma.folder().open().unwrap();
    assert_eq!(values(model.as_ref(), "model.layers.0.input_layernorm.weight")[..3], [-1.0, 0.0, 1.0]);
    let gpt2 = sizes("gpt2").counting("token_embd.weight", &[8, 2]).counting("blk.0.ffn_up.weight", &[2, 3]);
    let model = gpt2.folder().open().unwrap();
    assert_eq!(model.layout("transformer.h.0.mlp.c_fc.weight").unwrap().unwrap().shape, [2, 3]);
    assert_eq!(values(model.as_ref(), "transformer.h.0.mlp.c_fc.weight"), [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
    let qwen = sizes("qwen3").counting("token_embd.weight", &[8, 2]).counting("blk.0.attn_q.weight", &[8, 8]);
    let rows: Vec<f32> = (0..64).map(|value| value as f32).collect();
    assert_eq!(values(qwen.folder().open().unwrap().as_ref(), "model.layers.0.self_attn.q_proj.weight"), rows);
}

#[test]
fn a_vocabulary_of_pieces_becomes_a_tokenizer_that_falls_back_to_bytes() {
    let tokenizer = tokenizer(&llama());
    for (text, expected) in [("ab", vec![1, 3, 6]), ("ba ab", vec![1, 3, 5, 4, 3, 6]), ("é", vec![1, 3, 7 + 0xC3, 7 + 0xA9]), ("", vec![1])]
    {
        let found = tokenizer.encode(text, true).unwrap();
        assert_eq!(found.get_ids(), expected, "{text}");
        assert_eq!(tokenizer.decode(found.get_ids(), true).unwrap(), text);
    }
    assert_eq!(tokenizer.encode("a</s>", false).unwrap().get_ids(), [3, 4, 2]);
}

#[test]
fn blanks_and_beginnings_are_added_as_the_file_says() {
    let bare = llama().truth("tokenizer.ggml.add_bos_token", false).truth("tokenizer.ggml.add_space_prefix", false);
    assert_eq!(tokenizer(&bare).encode("ab a", true).unwrap().get_ids(), [6, 3, 4]);
    assert_eq!(tokenizer(&bare).decode(&[3, 6], true).unwrap(), " ab");
}

/// A vocabulary over bytes, cut as `cutting` says.
fn over_bytes(cutting: &str) -> Gguf {
    let tokens = ["<|end|>", "<tool>", "a", "b", "ab", "1", "2", "12", "\u{120}", "\u{120}ab", "\u{120}1", "\u{120}\u{120}"];
    sizes("llama")
        .counting("token_embd.weight", &[8, 12])
        .text("tokenizer.ggml.model", "gpt2")
        .text("tokenizer.ggml.pre", cutting)
        .texts("tokenizer.ggml.tokens", &tokens)
        .texts("tokenizer.ggml.merges", &["a b", "\u{120} ab", "1 2", "\u{120} 1", "\u{120} \u{120}"])
        .integers("tokenizer.ggml.token_type", &[3, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1])
        .count("tokenizer.ggml.bos_token_id", 0)
        .count("tokenizer.ggml.eos_token_id", 0)
}

#[test]
fn a_text_is_cut_as_the_file_says_before_bytes_are_merged() {
    for (cutting, text, expected) in [
        ("gpt-2", "ab ab12", vec![4, 9, 7]),
        ("gpt-2", "  12", vec![8, 8, 7]),
        ("smollm", "ab ab12", vec![4, 9, 5, 6]),
        ("smollm", "  12", vec![11, 5, 6]),
        ("qwen2", "ab 12", vec![4, 8, 5, 6]),
        ("llama-bpe", " 121212", vec![0, 8, 7, 5, 6, 7]),
        ("default", "ab 1212", vec![4, 8, 7, 5, 6]),
        ("gpt-2", "ab<tool><|end|>", vec![4, 1, 0]),
    ] {
        let found = tokenizer(&over_bytes(cutting)).encode(text, true).unwrap();
        assert_eq!(found.get_ids(), expected, "{cutting}: {text:?} {:?}", found.get_tokens());
    }
    let problem = over_bytes("martian").folder().problem();
    assert!(problem.contains("tokenizer.ggml.pre is martian"), "{problem}");
}

#[test]
fn special_tokens_end_an_answer_and_are_named_for_templates() {
    let file = over_bytes("smollm").text("tokenizer.chat_template", "{{ messages }}").count("tokenizer.ggml.eot_token_id", 4);
    let model = file.folder().open().unwrap();
    let special = model.special();
    assert_eq!((&special.end[..], special.begin, special.chat_template.as_deref()), (&[0, 4][..], None, Some("{{ messages }}")));
    assert_eq!(special.texts["eos_token"], "<|end|>");
    let other_end = over_bytes("smollm").count("tokenizer.ggml.eos_token_id", 3).folder().open().unwrap();
    assert_eq!(other_end.special().end, [3, 0]);
}

#[test]
fn a_file_without_a_tokenizer_still_gives_its_network() {
    let model = sizes("llama").counting("token_embd.weight", &[8, 2]).folder().open().unwrap();
    assert_eq!(values(model.as_ref(), "model.embed_tokens.weight").len(), 16);
    assert!(model.tokenizer().unwrap_err().to_string().contains("tokenizer.ggml.tokens is missing"));
    assert_eq!((&model.special().end[..], model.special().texts.len()), (&[][..], 0));
}
