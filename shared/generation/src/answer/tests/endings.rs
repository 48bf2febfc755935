use std::sync::Arc;

use super::{END, events, logits, plan, run, text, tokens, write};
use crate::{
    Author, DecoderError, End, Next,
    answer::{Event, Failure, Plan, Reason, answer},
    structure::{Form, Grammars},
    write::Stopping,
};

#[test]
fn the_end_token_ends_the_answer_and_is_counted_and_shows_in_no_text() {
    let (pieces, ended) = run(plan(), &[104, 105, END, 106]);
    assert_eq!((text(&pieces, &ended).as_str(), ended.reason, ended.completion_tokens), ("hi", Reason::End, 3));
    assert_eq!(ended.last.tokens[0].id, END);
}

#[test]
fn the_end_token_ends_nothing_where_it_is_to_be_ignored() {
    let stopping = Stopping { ignore_end: true, ..plan().stopping };
    let (pieces, ended) = run(Plan { stopping, ..plan() }, &[104, END, 106]);
    assert_eq!((text(&pieces, &ended).as_str(), ended.reason, ended.completion_tokens), ("hj", Reason::Length, 3));
}

#[test]
fn a_stop_token_ends_the_answer_without_its_text() {
    let stopping = Stopping { stop_tokens: vec![105], ..plan().stopping };
    let (pieces, ended) = run(Plan { stopping, ..plan() }, &[104, 105, 106]);
    assert_eq!((text(&pieces, &ended).as_str(), ended.reason, ended.completion_tokens), ("h", Reason::StopToken(105), 2));
}

#[test]
fn a_stop_text_within_one_token_ends_the_answer_in_the_middle_of_it() {
    let stopping = Stopping { stop: Arc::from(["x".to_owned(), "\ns".to_owned()]), ..plan().stopping };
    let (pieces, ended) = run(Plan { stopping, ..plan() }, &[97, 259, 98]);
    assert_eq!((text(&pieces, &ended).as_str(), ended.reason, ended.completion_tokens), ("aop", Reason::StopText(1), 2));
}

#[test]
fn text_that_was_held_back_comes_at_the_end() {
    let stopping = Stopping { stop: Arc::from(["!!".to_owned()]), ..plan().stopping };
    let (pieces, ended) = run(Plan { stopping: stopping.clone(), ..plan() }, &[97, 33, END]);
    assert_eq!((text(&pieces, &ended).as_str(), ended.last.text.as_str()), ("a!", "!"));
    let (pieces, ended) = run(Plan { stopping, ..plan() }, &[97, 0xf0, 0x9f]);
    assert_eq!(text(&pieces, &ended), "a\u{fffd}");
}

#[test]
fn a_form_that_is_complete_ends_the_answer_without_an_end_token() {
    let grammars = Grammars::new(&plan().words, &[END]).unwrap();
    let grammar = grammars.compile(&Form::Regex("ab+c".to_owned())).unwrap();
    // The model would rather write something else each time.
    let (mut author, mut receiver) = answer(Plan { grammar: Some(grammar), ..plan() });
    author.begin(2, 0);
    let mut wish = |wish: u32, second: u32| {
        let mut row = logits(wish);
        row[second as usize] = 2.0;
        author.next(&mut row)
    };
    assert_eq!(wish(98, 120), Next::Token(97));
    assert_eq!(wish(END, 98), Next::Token(98), "an end is not allowed yet");
    assert_eq!(wish(97, 99), Next::Last);
    let told = events(&mut receiver);
    let Some(Event::Ended(ended)) = told.last() else { panic!("{told:?}") };
    assert_eq!((ended.reason, ended.last.text.as_str(), ended.completion_tokens), (Reason::Form, "c", 3));
}

#[test]
fn a_model_that_gives_no_number_fails_the_answer() {
    let (mut author, mut receiver) = answer(plan());
    author.begin(2, 0);
    assert_eq!(author.next(&mut [f32::NAN; 300]), Next::Last);
    assert_eq!(events(&mut receiver).last(), Some(&Event::Failed(Failure::NoToken)));
    assert!(!author.wanted());
}

#[test]
fn what_the_scheduler_ends_is_told() {
    let model = DecoderError { message: "no memory".to_owned(), fatal: true };
    for (end, failure) in
        [(End::Deadline, Failure::Deadline), (End::Closed, Failure::Closed), (End::Failed(model.clone()), Failure::Model(model))]
    {
        let (mut author, mut receiver) = answer(plan());
        author.begin(2, 0);
        author.end(end);
        assert_eq!(events(&mut receiver).last(), Some(&Event::Failed(failure)));
    }
}

#[test]
fn an_answer_that_nobody_receives_is_not_wanted() {
    let (mut author, receiver) = answer(plan());
    assert!(author.wanted());
    drop(receiver);
    assert!(!author.wanted());
    write(&mut author, &tokens("on"));
}

#[test]
fn the_channel_takes_every_event_of_the_longest_answer() {
    let long = Plan { max_new: 50, echo: Some("hi".to_owned()), ..plan() };
    let (mut author, mut receiver) = answer(long);
    write(&mut author, &[97; 50]);
    let told = events(&mut receiver);
    assert_eq!(told.len(), 53);
    assert!(matches!(told.last(), Some(Event::Ended(_))));
}
