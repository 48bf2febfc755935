use std::sync::Arc;

use proptest::prelude::*;

use super::{END, plan, run, text};
use crate::{
    answer::Reason,
    write::{Stopping, tests::byte_level},
};

/// Tokens of the vocabulary that are likely to make characters and stop texts, and some that are likely to break them.
fn stream() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(
        prop_oneof![4 => 256..265_u32, 3 => prop::sample::select(b"stop\n ".map(u32::from).to_vec()), 1 => 0..268_u32],
        0..40,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn the_pieces_together_are_the_whole_text_up_to_the_first_stop_text(
        stream in stream(),
        stop in prop::collection::vec(prop_oneof![Just("stop".to_owned()), Just("op\nsto".to_owned()), Just("😀!".to_owned()), "[a-z é]{1,3}"], 0..3),
    ) {
        let whole = byte_level().decode(stream.split(|&token| token == END).next().unwrap(), true).unwrap();
        let cut = (0..=whole.len()).filter(|&end| whole.is_char_boundary(end)).find_map(|end| {
            let longest = stop.iter().filter(|stop| whole[..end].ends_with(stop.as_str())).map(String::len).max()?;
            Some(&whole[..end - longest])
        });
        let stopping = Stopping { stop: stop.into(), ..plan().stopping };
        let (pieces, ended) = run(crate::answer::Plan { stopping, ..plan() }, &stream);
        prop_assert_eq!(text(&pieces, &ended), cut.unwrap_or(&whole));
        prop_assert_eq!(cut.is_some(), matches!(ended.reason, Reason::StopText(_)));
        prop_assert!(pieces.iter().all(|piece| !piece.text.is_empty() && !piece.tokens.is_empty()));
        let told: Vec<u32> = pieces.iter().chain([&ended.last]).flat_map(|piece| &piece.tokens).map(|token| token.id).collect();
        prop_assert_eq!(told.len(), ended.completion_tokens);
        prop_assert_eq!(&told[..], &stream[..told.len()]);
    }
}

#[test]
fn tokens_whose_text_is_held_back_come_with_the_piece_that_has_it() {
    let stopping = Stopping { stop: Arc::from(["!!".to_owned()]), ..plan().stopping };
    let (pieces, ended) = run(crate::answer::Plan { stopping, ..plan() }, &[97, 0xc3, 0xa9, 33, 98]);
    let shown: Vec<_> = pieces.iter().map(|piece| (piece.text.as_str(), piece.tokens.len())).collect();
    assert_eq!(shown, [("a", 1), ("é", 2), ("!b", 2)]);
    assert_eq!((ended.last.text.as_str(), ended.last.tokens.len(), ended.reason), ("", 0, Reason::Length));
    assert_eq!(&pieces[1].tokens[0].bytes[..], [0xc3]);
}
