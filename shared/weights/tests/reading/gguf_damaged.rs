//! GGUF files as they should not be.

use proptest::prelude::*;

use crate::made::{Folder, Gguf, floats, llama, sizes};

fn file(bytes: Vec<u8>) -> Folder {
    Folder::new().with("model.gguf", bytes)
}

fn assert_refused(file: &Gguf, expected: &str) {
    let problem = file.folder().problem();
    assert!(problem.contains("model.gguf: ") && problem.contains(expected), "{expected}: {problem}");
}

#[test]
fn what_is_missing_or_cannot_be_read_is_named() {
    for (file, expected) in [
        (llama().without("general.architecture"), "general.architecture is missing"),
        (llama().text("general.architecture", "mamba"), "general.architecture is mamba; read are llama, "),
        (llama().without("llama.block_count"), "llama.block_count is missing"),
        (llama().text("llama.block_count", "1"), "llama.block_count is missing"),
        (llama().without("llama.attention.layer_norm_rms_epsilon"), "llama.attention.layer_norm_rms_epsilon is missing"),
        (llama().count("llama.attention.head_count", 0), "llama.attention.head_count is 0"),
        (llama().count("llama.attention.head_count", 3), "tensor model.layers.0.self_attn.q_proj.weight"),
        (llama().count("llama.rope.dimension_count", 2), "llama.rope.dimension_count is 2"),
        (llama().count("llama.expert_count", 8), "llama.expert_count is not 0"),
        (llama().count("split.count", 3), "one of 3 parts"),
        (llama().without("token_embd.weight"), "tensor token_embd.weight is missing"),
        (llama().counting("blk.0.ffn_gate_inp.weight", &[8]), "tensor blk.0.ffn_gate_inp.weight"),
        (llama().tensor("output.weight", &[256], 16, vec![0; 66]), "tensor output.weight is quantised in the form 16; read are F32, "),
        (llama().tensor("output.weight", &[33, 1], 8, vec![0; 34]), "tensor output.weight has rows of 33 elements"),
        (llama().counting("token_embd.weight", &[8, 2]), "has two tensors token_embd.weight"),
        (llama().text("tokenizer.ggml.model", "t5"), "tokenizer.ggml.model is t5"),
        (llama().without("tokenizer.ggml.scores"), "tokenizer.ggml.scores is missing"),
        (llama().fractions("tokenizer.ggml.scores", &[1.0]), "of different lengths"),
        (llama().integers("tokenizer.ggml.token_type", &[1]), "of different lengths"),
        (llama().count("llama.block_count", 4_000_000_000), "llama.block_count is 4000000000; at most 1024 layers are read"),
        (llama().texts("tokenizer.ggml.tokens", &vec!["x".repeat(1025).as_str(); 263]), "piece 0 has 1025 bytes"),
        (llama().count("general.alignment", 24), "general.alignment is 24"),
        (llama().count("general.alignment", 0), "general.alignment is 0"),
    ] {
        assert_refused(&file, expected);
    }
}

#[test]
fn another_file_or_another_version_is_refused() {
    let whole = llama().build();
    let with_version = |version: u32| [&whole[..4], &version.to_le_bytes(), &whole[8..]].concat();
    for (bytes, expected) in [
        (vec![], "the first bytes"),
        (b"GGUX".to_vec(), "is not a GGUF file"),
        (with_version(1), "GGUF of version 1"),
        (with_version(4), "GGUF of version 4"),
        (with_version(3_u32.swap_bytes()), "big-endian"),
    ] {
        let problem = file(bytes).problem();
        assert!(problem.contains(expected), "{expected}: {problem}");
    }
    assert!(file(with_version(2)).open().is_ok());
}

#[test]
fn a_count_or_a_length_beyond_the_file_is_refused_before_memory_is_taken() {
    let huge = u64::MAX.to_le_bytes();
    let large = (1_u64 << 40).to_le_bytes();
    let text = |length: [u8; 8]| [&8_u32.to_le_bytes()[..], &length].concat();
    let list = |kind: u32, count: [u8; 8]| [&9_u32.to_le_bytes()[..], &kind.to_le_bytes(), &count].concat();
    for number in [huge, large] {
        for at in [8, 16] {
            let mut bytes = llama().build();
            bytes[at..at + 8].copy_from_slice(&number);
            assert!(file(bytes).problem().contains("are said to follow"), "{at}");
        }
        for value in [text(number), list(8, number), list(4, number), list(0, number)] {
            let mut made = Gguf::default();
            made.keys.push(("key".to_owned(), value));
            let problem = made.folder().problem();
            assert!(problem.contains("key"), "{problem}");
        }
    }
    for (value, expected) in [
        (list(9, 1_u64.to_le_bytes()), "list of lists"),
        (99_u32.to_le_bytes().to_vec(), "of kind 99"),
        (list(99, 1_u64.to_le_bytes()), "of kind 99"),
    ] {
        let mut made = Gguf::default();
        made.keys.push(("key".to_owned(), value));
        assert_refused(&made, expected);
    }
}

#[test]
fn a_tensor_of_impossible_size_or_place_is_refused() {
    let sided = |sides: &[u64]| sizes("llama").tensor("output.weight", sides, 0, floats(&[0.0; 8]));
    for (made, expected) in [
        (sided(&[u64::MAX, 2]), "larger than any file"),
        (sided(&[1 << 62]), "larger than any file"),
        (sided(&[1 << 40]), "ends after the file's"),
        (sided(&[]), "0 dimensions"),
        (sided(&[1; 5]), "5 dimensions"),
        (sided(&[1, 4]).counting("blk.0.attn_q.weight", &[u64::from(u32::MAX), 0]), "tensor blk.0.attn_q.weight has no elements"),
        (sided(&[0, 1 << 60]), "has no elements"),
    ] {
        assert_refused(&made, expected);
    }
    let whole = llama().build();
    assert!(file(whole[..whole.len() - 1].to_vec()).problem().contains("tensor blk.0.attn_norm.weight of 32 bytes ends after"));
}

#[test]
fn tensors_over_each_other_or_at_odd_places_are_refused() {
    let whole = llama().build();
    let name = b"blk.0.attn_k.weight";
    let found = whole.windows(name.len()).position(|window| window == name).unwrap();
    // After the name: two dimensions, their sizes, the kind, and then the place.
    let place = found + name.len() + 4 + 16 + 4;
    for (at, expected) in [(0_u64, "lie over each other"), (3, "no multiple of 32"), (u64::MAX - 31, "ends after")] {
        let mut bytes = whole.clone();
        bytes[place..place + 8].copy_from_slice(&at.to_le_bytes());
        let problem = file(bytes).problem();
        assert!(problem.contains("blk.0.attn_k.weight") && problem.contains(expected), "{problem}");
    }
}

/// What a file of random mistakes may do: be read in full, or be refused.
fn read_all(folder: &Folder) {
    let Ok(model) = folder.open() else { return };
    for name in model.names() {
        if let (Ok(Some(layout)), Ok(Some(tensor))) = (model.layout(&name), model.tensor(&name)) {
            assert_eq!(tensor.bytes.len(), layout.bytes(), "{name}");
            assert_eq!((tensor.element, tensor.shape), (layout.element, layout.shape), "{name}");
        }
    }
    drop(model.tokenizer());
}

/// A small file with something of everything.
fn small() -> Vec<u8> {
    let block: Vec<u8> = (0..34).collect();
    let file = sizes("llama").texts("tokenizer.ggml.tokens", &["a", "b", "ab"]).fractions("tokenizer.ggml.scores", &[0.0, -1.0, -2.0]);
    let file = file
        .text("tokenizer.ggml.model", "llama")
        .integers("tokenizer.ggml.token_type", &[1, 1, 3])
        .count("tokenizer.ggml.bos_token_id", 2);
    file.tensor("token_embd.weight", &[32, 1], 8, block)
        .counting("blk.0.attn_q.weight", &[8, 8])
        .counting("rope_freqs.weight", &[2])
        .build()
}

proptest! {
    #[test]
    fn a_file_with_some_bytes_changed_is_read_or_refused(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = small();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        read_all(&file(bytes));
    }

    #[test]
    fn a_file_with_a_number_replaced_is_read_or_refused(at in any::<prop::sample::Index>(), value in prop_oneof![any::<u64>(), 0..300_u64, Just(u64::MAX)]) {
        let mut bytes = small();
        let at = at.index(bytes.len() - 8);
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        read_all(&file(bytes));
    }

    #[test]
    fn a_file_that_was_cut_is_refused(length in any::<prop::sample::Index>()) {
        let whole = small();
        let folder = file(whole[..length.index(whole.len() - 32)].to_vec());
        prop_assert!(folder.open().is_err());
    }
}

#[test]
fn scores_that_are_no_numbers_put_the_merges_into_some_order() {
    let tokens: Vec<String> = (0..64).map(|id| "a".repeat(1 + id % 8) + &"b".repeat(id / 8)).collect();
    let scores: Vec<f32> = (0..64).map(|id| if id % 3 == 0 { f32::NAN } else { (id * 37 % 11) as f32 }).collect();
    let made = llama()
        .texts("tokenizer.ggml.tokens", &tokens.iter().map(String::as_str).collect::<Vec<_>>())
        .integers("tokenizer.ggml.token_type", &[1; 64])
        .fractions("tokenizer.ggml.scores", &scores);
    let folder = made.folder();
    assert!(folder.open().unwrap().tokenizer().unwrap().contains("\"merges\""));
}
