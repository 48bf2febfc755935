mod stops;
mod text;
mod words;

use serde_json::{Map, Value, json};
use tokenizers::Tokenizer;

/// The letter that stands for a byte in the alphabet of GPT-2.
fn letter(byte: u8) -> char {
    let prints = |byte: u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    if prints(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&other| !prints(other)).count();
    char::from_u32(256 + before as u32).unwrap()
}

fn tokenizer(tokens: &[String], special: &[&str], decoder: &Value) -> Tokenizer {
    let vocab: Map<String, Value> = tokens.iter().enumerate().map(|(id, token)| (token.clone(), json!(id))).collect();
    let added = special.iter().enumerate().map(|(index, content)| {
        json!({"id": tokens.len() + index, "content": content, "special": !content.contains("tool"), "single_word": false, "lstrip": false, "rstrip": false, "normalized": false})
    });
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "pre_tokenizer": null, "post_processor": null,
        "added_tokens": added.collect::<Vec<_>>(), "decoder": decoder,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
                  "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": []},
    });
    Tokenizer::from_bytes(file.to_string()).unwrap()
}

/// A byte-level vocabulary: the 256 bytes, some longer tokens that begin or end within a character, two special tokens and one that is added only.
pub(crate) fn byte_level() -> Tokenizer {
    let longer: [&[u8]; 9] =
        [b" the", b"stop", b"to", b"op\nst", "é".as_bytes(), b"\xf0\x9f", b"\x98\x80!", b"\xe4\xbd", b"\xa0\xe5\xa5\xbd"];
    let bytes = (0..=u8::MAX).map(|byte| letter(byte).to_string());
    let tokens: Vec<String> = bytes.chain(longer.iter().map(|token| token.iter().map(|&byte| letter(byte)).collect())).collect();
    let decoder = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
    tokenizer(&tokens, &["<|end|>", "<|a b|>", "<tool é>"], &decoder)
}

/// A SentencePiece vocabulary with byte fallback, as Llama 2 has it.
pub(crate) fn sentencepiece() -> Tokenizer {
    let pieces = ["▁", "▁the", "▁st", "op", "st", "é", "▁▁", "s", "t", "o", "p", "好"];
    let bytes = (0..=u8::MAX).map(|byte| format!("<0x{byte:02X}>"));
    let tokens: Vec<String> = bytes.chain(pieces.map(str::to_owned)).collect();
    let decoder = json!({"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]});
    tokenizer(&tokens, &["<s>", "</s>"], &decoder)
}
