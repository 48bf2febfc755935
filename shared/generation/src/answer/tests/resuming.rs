//! An answer that goes on from what another has written.

use proptest::prelude::*;

use super::*;
use crate::{
    answer::Failure,
    sample::seed_of,
    structure::{Form, Grammars},
};

/// The events of an answer that goes on behind `written`, where a model gives these logits for each place.
fn resumed(plan: Plan, written: &[u32], model: impl Fn(usize) -> Vec<f32>, most: usize) -> (String, Vec<u32>, Vec<Event>) {
    let (mut author, mut receiver) = answer(Plan { written: written.into(), ..plan });
    if author.wanted() {
        author.begin(2 + written.len(), 0);
        let mut over = false;
        for place in written.len()..most {
            if author.next(&mut model(place)) == Next::Last {
                over = true;
                break;
            }
        }
        if !over {
            author.end(End::Length);
        }
    }
    let (mut text, mut tokens, events) = (String::new(), Vec::new(), events(&mut receiver));
    for event in &events {
        if let Event::Piece(piece) | Event::Ended(Ended { last: piece, .. }) = event {
            text += &piece.text;
            tokens.extend(piece.tokens.iter().map(|token| token.id));
        }
    }
    (text, tokens, events)
}

/// What was told when so many events had come: its text and its tokens.
fn told(events: &[Event]) -> (String, Vec<u32>) {
    let pieces = events.iter().filter_map(|event| if let Event::Piece(piece) = event { Some(piece) } else { None });
    pieces.fold(Default::default(), |(text, mut tokens): (String, Vec<u32>), piece| {
        tokens.extend(piece.tokens.iter().map(|token| token.id));
        (text + &piece.text, tokens)
    })
}

proptest! {
    #[test]
    fn wherever_an_answer_breaks_off_what_follows_is_what_would_have_followed(
        logits in proptest::collection::vec(proptest::collection::vec(0.0_f32..6.0, 266), 24),
        (temperature, penalty) in (prop_oneof![Just(0.0_f32), 0.2_f32..1.5], 0.0_f32..1.5),
        seed: u64,
        breaks in 0_usize..24,
        stop in "[a-e]{1,3}",
    ) {
        let sampling = Sampling { temperature, frequency_penalty: penalty, repetition_penalty: 1.0 + penalty, ..Sampling::default() };
        let stopping = Stopping { stop: vec![stop].into(), ..plan().stopping };
        let plan = Plan { sampling, stopping, seed: seed_of(seed, 0), ..plan() };
        // Letters are likely, so that stop texts and broken characters both come up.
        let model = |place: usize| logits[place].iter().enumerate().map(|(token, logit)| logit + if (97..102).contains(&token) { 5.0 } else { 0.0 }).collect();
        let (text, tokens, events) = resumed(plan.clone(), &[], model, 24);
        let (before, written) = told(&events[..breaks.min(events.len() - 1)]);
        let (rest, more, resumed) = resumed(plan, &written, model, 24);
        prop_assert_eq!((before + &rest, [&written[..], &more].concat()), (text, tokens));
        prop_assert_eq!(written.is_empty(), !matches!(resumed[0], Event::Before(_)));
        let (Some(Event::Ended(whole)), Some(Event::Ended(ended))) = (events.last(), resumed.last()) else { panic!("{events:?} {resumed:?}") };
        prop_assert_eq!((ended.reason, ended.completion_tokens), (whole.reason, whole.completion_tokens));
    }
}

#[test]
fn what_was_complete_before_is_over_and_is_not_told_again() {
    let whole = |stopping: Stopping, written: &[u32]| resumed(Plan { stopping, ..plan() }, written, |_| logits(97), 9).2;
    let by_the_model = whole(plan().stopping, &[97, END]);
    assert_eq!(by_the_model, [Event::Over { completion_tokens: 2 }]);
    let stopping = Stopping { stop: vec!["ab".to_owned()].into(), ..plan().stopping };
    assert_eq!(whole(stopping, &tokens("xab")), [Event::Over { completion_tokens: 3 }]);
}

#[test]
fn a_character_that_was_cut_in_two_is_made_whole() {
    let (text, _, events) = resumed(plan(), &[97, 0xc3], |_| logits(0xa9), 3);
    assert_eq!((text.as_str(), &events[0]), ("é", &Event::Before("a".to_owned())));
}

#[test]
fn the_form_is_followed_from_where_it_was_left_and_what_breaks_it_is_refused() {
    let grammar = Grammars::new(&plan().words, &[END]).unwrap().compile(&Form::Regex("ab+c".to_owned())).unwrap();
    // By itself the model would write nothing but "c".
    let held = |written: &str| resumed(Plan { grammar: Some(grammar.clone()), ..plan() }, &tokens(written), |_| logits(99), 12);
    assert_eq!(held("").0, "abc");
    assert_eq!(held("a").0, "bc");
    assert_eq!(held("abb").0, "c");
    assert_eq!(held("abc").2, [Event::Over { completion_tokens: 3 }]);
    assert!(matches!(held("c").2[..], [Event::Failed(Failure::Form(_))]));
}
