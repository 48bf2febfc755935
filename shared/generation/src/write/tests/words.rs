use proptest::prelude::*;
use serde_json::json;

use super::{byte_level, sentencepiece, tokenizer};
use crate::write::{Text, Words, WordsError};

/// What is written token by token.
fn stream(words: &Words, tokens: &[u32]) -> String {
    let (mut text, mut all) = (Text::default(), String::new());
    for &token in tokens {
        text.push(&words.written(token), &mut all);
    }
    text.finish(&mut all);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn byte_level_pieces_together_are_what_the_tokenizer_decodes_at_once(tokens in prop::collection::vec(0..270_u32, 0..40)) {
        let tokenizer = byte_level();
        let words = Words::of(&tokenizer).unwrap();
        let whole = tokenizer.decode(&tokens, true).unwrap();
        prop_assert_eq!(&stream(&words, &tokens), &whole);
        prop_assert_eq!(words.text(&tokens), whole);
    }

    #[test]
    fn sentencepiece_pieces_after_a_prompt_are_what_the_tokenizer_decodes_at_once(prompt in pieces(1), answer in pieces(0)) {
        let tokenizer = sentencepiece();
        let words = Words::of(&tokenizer).unwrap();
        let whole = tokenizer.decode(&[prompt.clone(), answer.clone()].concat(), true).unwrap();
        prop_assert_eq!(words.text(&prompt) + &stream(&words, &answer), whole);
    }
}

/// SentencePiece tokens that are text: pieces, special tokens, and characters of one to four bytes in fallback. At least `least` show.
fn pieces(least: usize) -> impl Strategy<Value = Vec<u32>> {
    let fallback = any::<char>().prop_map(|letter| letter.to_string().bytes().map(u32::from).collect());
    let piece = prop_oneof![3 => (256..268_u32).prop_map(|id| vec![id]), 1 => (268..270_u32).prop_map(|id| vec![id]), 1 => fallback];
    (prop::collection::vec(256..268_u32, least..=least), prop::collection::vec(piece, 0..15))
        .prop_map(|(first, rest)| [first, rest.concat()].concat())
}

#[test]
fn each_token_stands_for_its_own_bytes() {
    let words = Words::of(&byte_level()).unwrap();
    assert_eq!(&words.bytes(0)[..], [0]);
    assert_eq!(&words.bytes(32)[..], b" ");
    assert_eq!(&words.bytes(255)[..], [255]);
    assert_eq!(&words.bytes(261)[..], b"\xf0\x9f");
    assert_eq!((&words.bytes(265)[..], words.is_special(265), &words.written(265)[..]), (&b"<|end|>"[..], true, &b""[..]));
    assert_eq!((&words.bytes(267)[..], words.is_special(267)), ("<tool é>".as_bytes(), false));
    assert_eq!((&words.bytes(9999)[..], words.len()), (&b""[..], 268));
    let words = Words::of(&sentencepiece()).unwrap();
    assert_eq!((&words.bytes(0x41)[..], &words.bytes(257)[..]), (&b"A"[..], &b" the"[..]));
}

#[test]
fn a_decoder_that_does_not_write_token_by_token_is_refused_by_its_name() {
    let tokens = ["a".to_owned()];
    let wordpiece = json!({"type": "WordPiece", "prefix": "##", "cleanup": true});
    let refused = Words::of(&tokenizer(&tokens, &[], &wordpiece)).unwrap_err();
    assert_eq!(refused, WordsError::Decoder { part: "WordPiece".to_owned() });
    assert!(Words::of(&tokenizer(&tokens, &[], &json!(null))).unwrap_err().to_string().contains("(none)"));
    let cut = json!({"type": "Strip", "content": " ", "start": 0, "stop": 1});
    assert!(Words::of(&tokenizer(&tokens, &[], &cut)).is_err());
}

#[test]
fn metaspace_is_a_space() {
    let tokens = ["▁a".to_owned(), "b▁".to_owned()];
    let tokenizer = tokenizer(&tokens, &[], &json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}));
    let words = Words::of(&tokenizer).unwrap();
    assert_eq!(words.text(&[0, 1, 0]), tokenizer.decode(&[0, 1, 0], true).unwrap());
    assert_eq!(words.text(&[0, 1, 0]), "ab  a");
}

#[test]
fn marks_that_are_special_show_where_they_are_asked_for() {
    let words = Words::of(&byte_level()).unwrap().showing(&["<|end|>", "no such token"]);
    assert_eq!(words.text(&[97, 265, 266, 98]), "a<|end|>b");
    assert!(!words.is_special(265) && words.is_special(266));
}
