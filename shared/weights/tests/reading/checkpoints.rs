//! Checkpoints of llama2.c.

use serde_json::{Value, json};
use tokenizers::Tokenizer;

use crate::made::{Folder, floats, values};

/// Hidden size 4, one head of 4, two layers, a feed-forward part of 3, texts of 2 tokens.
const SIZES: [i32; 7] = [4, 3, 2, 1, 1, VOCABULARY, 2];
const VOCABULARY: i32 = 264;

/// A checkpoint whose weights count up.
fn checkpoint(sizes: [i32; 7], count: usize) -> Vec<u8> {
    let weights: Vec<f32> = (0..count).map(|value| value as f32).collect();
    [sizes.iter().flat_map(|size| size.to_le_bytes()).collect(), floats(&weights)].concat()
}

/// How many weights those sizes take.
fn weights(vocabulary: usize) -> usize {
    let layer = 4 + 16 + 16 + 16 + 16 + 4 + 12 + 12 + 12;
    vocabulary * 4 + 2 * layer + 4 + 2 * 4
}

/// Llama 2's first pieces, and some of letters; bytes are written as the older form has them where `older`.
fn pieces(older: bool) -> Vec<u8> {
    let mut texts: Vec<String> = ["<unk>", "\n<s>\n", "\n</s>\n"].map(str::to_owned).to_vec();
    texts.extend((0..=255_u8).map(|byte| if older { char::from(byte).to_string() } else { format!("<0x{byte:02X}>") }));
    texts.extend([" ", "a", "b", "ab", " ab"].map(str::to_owned));
    let mut bytes = 9_i32.to_le_bytes().to_vec();
    for (id, text) in texts.iter().enumerate() {
        bytes.extend((-(id as f32)).to_le_bytes());
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

fn folder() -> Folder {
    Folder::new().with("model.bin", checkpoint(SIZES, weights(VOCABULARY as usize))).with("tokenizer.bin", pieces(false))
}

#[test]
fn a_checkpoint_gives_the_tensors_of_a_llama() {
    let model = folder().open().unwrap();
    let config: Value = serde_json::from_str(model.config()).unwrap();
    assert_eq!(
        (&config["model_type"], &config["intermediate_size"], &config["tie_word_embeddings"]),
        (&json!("llama"), &json!(3), &json!(true))
    );
    assert_eq!(model.names().len(), 2 + 2 * 9);
    let after_embedding = 4 * VOCABULARY as usize;
    assert_eq!(values(model.as_ref(), "model.layers.0.input_layernorm.weight")[0] as usize, after_embedding);
    assert_eq!(model.layout("model.layers.1.mlp.down_proj.weight").unwrap().unwrap().shape, [4, 3]);
    assert_eq!(values(model.as_ref(), "model.norm.weight")[3] as usize, weights(VOCABULARY as usize) - 1 - 8);
}

#[test]
fn rows_that_rotate_are_in_the_order_of_the_published_implementation() {
    let model = folder().open().unwrap();
    let first = 4.0 * VOCABULARY as f32 + 8.0;
    let rows: Vec<f32> = values(model.as_ref(), "model.layers.0.self_attn.q_proj.weight").chunks(4).map(|row| row[0] - first).collect();
    assert_eq!(rows, [0.0, 8.0, 4.0, 12.0]);
    let rows: Vec<f32> = values(model.as_ref(), "model.layers.0.self_attn.v_proj.weight").chunks(4).map(|row| row[0]).collect();
    assert!(rows.is_sorted(), "{rows:?}");
}

#[test]
fn a_negative_vocabulary_means_an_output_of_its_own() {
    let mut sizes = SIZES;
    sizes[5] = -VOCABULARY;
    let count = weights(VOCABULARY as usize) + 4 * VOCABULARY as usize;
    let folder = Folder::new().with("model.bin", checkpoint(sizes, count)).with("tokenizer.bin", pieces(false));
    let model = folder.open().unwrap();
    assert_eq!(values(model.as_ref(), "lm_head.weight").last(), Some(&(count as f32 - 1.0)));
    assert!(model.config().contains("\"tie_word_embeddings\":false"));
}

#[test]
fn a_checkpoint_of_another_length_or_with_impossible_sizes_is_refused() {
    let whole = weights(VOCABULARY as usize);
    let at = |place: usize, size: i32| {
        let mut sizes = SIZES;
        sizes[place] = size;
        sizes
    };
    for (bytes, expected) in [
        (checkpoint(SIZES, whole - 1), "cut, damaged"),
        (checkpoint(SIZES, whole + 1), "cut, damaged"),
        (checkpoint(at(0, i32::MAX), whole), "no sizes of a network"),
        (checkpoint(at(5, i32::MIN), whole), "no sizes of a network"),
        (checkpoint(at(2, 0), whole), "no sizes of a network"),
        (checkpoint(at(2, 1 << 24), whole), "are no network"),
        (checkpoint(at(3, 3), whole), "are no network"),
        (checkpoint([1 << 24, 1 << 24, 1024, 1, 1, 1 << 24, 1 << 24], whole), "cut, damaged"),
        (vec![0; 27], "too short"),
    ] {
        let problem = Folder::new().with("model.bin", bytes).with("tokenizer.bin", pieces(false)).problem();
        assert!(problem.contains("model.bin: ") && problem.contains(expected), "{expected}: {problem}");
    }
}

#[test]
fn a_damaged_tokenizer_is_refused_with_the_piece() {
    let whole = pieces(false);
    let mut negative = whole.clone();
    negative[8..12].copy_from_slice(&(-1_i32).to_le_bytes());
    for (bytes, expected) in [
        (&whole[..whole.len() - 1], "in the middle of piece 263"),
        (&negative, "piece 0"),
        (&whole[..100], "takes more"),
        (&[], "takes more"),
    ] {
        let problem =
            Folder::new().with("model.bin", checkpoint(SIZES, weights(VOCABULARY as usize))).with("tokenizer.bin", bytes).problem();
        assert!(problem.contains("tokenizer.bin: ") && problem.contains(expected), "{expected}: {problem}");
    }
}

#[test]
fn both_forms_of_bytes_in_a_vocabulary_are_read_alike() {
    for older in [false, true] {
        let folder = Folder::new().with("model.bin", checkpoint(SIZES, weights(VOCABULARY as usize))).with("tokenizer.bin", pieces(older));
        let tokenizer: Tokenizer = folder.open().unwrap().tokenizer().unwrap().parse().unwrap();
        for (text, expected) in
            [("ab", vec![1, 263]), ("é", vec![1, 259, 3 + 0xC3, 3 + 0xA9]), ("", vec![1]), ("b a", vec![1, 259, 261, 259, 260])]
        {
            let found = tokenizer.encode(text, true).unwrap();
            assert_eq!(found.get_ids(), expected, "{text}, older: {older}");
            assert_eq!(tokenizer.decode(found.get_ids(), true).unwrap(), text);
        }
    }
}
