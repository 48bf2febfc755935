use proptest::prelude::*;

use crate::write::Text;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn pieces_of_any_bytes_together_are_what_the_whole_is(pieces in prop::collection::vec(bytes(), 0..30)) {
        let (mut text, mut all) = (Text::default(), String::new());
        for piece in &pieces {
            text.push(piece, &mut all);
        }
        text.finish(&mut all);
        let whole = String::from_utf8_lossy(&pieces.concat()).into_owned();
        prop_assert_eq!(all, whole);
    }
}

/// Bytes that are likely to begin and to break characters.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), prop::sample::select(vec![0xf0, 0x9f, 0x98, 0x80, 0xe4, 0xbd, 0xa0, 0xc3, 0xa9, 0xed, 0xf4, b'a'])];
    prop::collection::vec(byte, 0..4)
}

#[test]
fn a_character_is_held_back_until_it_is_whole() {
    let (mut text, mut shown) = (Text::default(), String::new());
    for (byte, after) in "a😀é".bytes().zip(["a", "a", "a", "a", "a😀", "a😀", "a😀é"]) {
        text.push(&[byte], &mut shown);
        assert_eq!(shown, after);
    }
}
