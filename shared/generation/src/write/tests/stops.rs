use std::sync::Arc;

use proptest::prelude::*;

use crate::write::{Stopping, Stops};

fn stops(texts: &[String]) -> Stops {
    Stops::new(Arc::from(texts))
}

/// The text in front of the stop text that is complete first, by looking at every end of every beginning.
fn naive<'a>(text: &'a str, texts: &[String]) -> (&'a str, bool) {
    for end in (0..=text.len()).filter(|&end| text.is_char_boundary(end)) {
        let longest = texts.iter().filter(|stop| text[..end].ends_with(stop.as_str())).map(String::len).max();
        if let Some(length) = longest {
            return (&text[..end - length], true);
        }
    }
    (text, false)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn an_answer_is_cut_at_the_first_stop_text_however_it_is_split(
        pieces in prop::collection::vec("[ab¡é]{0,4}", 0..20),
        texts in prop::collection::vec("[ab¡é]{1,5}", 0..4),
    ) {
        let whole = pieces.concat();
        let (expected, stopped) = naive(&whole, &texts);
        let (mut search, mut shown, mut stop) = (stops(&texts), String::new(), None);
        for piece in &pieces {
            stop = search.push(piece, &mut shown);
            prop_assert!(expected.starts_with(&shown), "{:?} has leaked of {:?}", shown, expected);
            if stop.is_some() {
                break;
            }
        }
        if stop.is_none() {
            search.finish(&mut shown);
        }
        prop_assert_eq!((&*shown, stop.is_some()), (expected, stopped));
    }
}

#[test]
fn what_may_be_a_stop_text_is_held_back_and_comes_when_it_is_none() {
    let (mut search, mut shown) = (stops(&["\n\nUser:".to_owned()]), String::new());
    assert_eq!(search.push("Hi\n", &mut shown), None);
    assert_eq!(shown, "Hi");
    assert_eq!(search.push("\nUse", &mut shown), None);
    assert_eq!(shown, "Hi");
    assert_eq!(search.push("ful", &mut shown), None);
    assert_eq!(shown, "Hi\n\nUseful");
    assert_eq!(search.push("!\n\nUser: what", &mut shown), Some(0));
    assert_eq!(shown, "Hi\n\nUseful!");
}

#[test]
fn stops_out_of_their_range_are_named() {
    let check = |stopping: Stopping| stopping.check(10).unwrap_err().to_string();
    let texts = |texts: Vec<String>| Stopping { stop: texts.into(), ..Stopping::default() };
    assert_eq!(check(texts(vec!["x".to_owned(); 17])), "stop: must be at most 16 texts, not 17");
    assert_eq!(check(texts(vec![String::new()])), "stop: each text must have 1 to 256 bytes, not 0");
    assert_eq!(check(texts(vec!["x".repeat(257)])), "stop: each text must have 1 to 256 bytes, not 257");
    let tokens = |stop_tokens| Stopping { stop_tokens, ..Stopping::default() };
    assert_eq!(check(tokens(vec![1; 65])), "stop_tokens: must be at most 64 tokens, not 65");
    assert_eq!(check(tokens(vec![10])), "stop_tokens: token 10 is not in the vocabulary, which ends at 9");
    assert_eq!(tokens(vec![9]).check(10), Ok(()));
}
