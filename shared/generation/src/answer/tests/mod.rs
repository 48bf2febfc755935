mod counts;
mod endings;
mod pieces;
mod resuming;
mod telling;

use std::sync::Arc;

use tokio::sync::mpsc::Receiver;

use super::{Answer, Ended, Event, Piece, Plan, answer};
use crate::{
    Author, End, Next,
    sample::Sampling,
    write::{Stopping, Words, tests::byte_level},
};

/// The special token of the vocabulary that these tests take for the model's end.
const END: u32 = 265;

fn plan() -> Plan {
    Plan {
        words: Arc::new(Words::of(&byte_level()).unwrap()),
        prompt: Arc::from([104, 105]),
        written: Arc::default(),
        sampling: Sampling { temperature: 0.0, ..Sampling::default() },
        seed: 1,
        stopping: Stopping { end_tokens: Arc::from([END]), ..Stopping::default() },
        grammar: None,
        echo: None,
        ranked: false,
        max_new: 100,
    }
}

/// Logits by which `token` is the likeliest, in a row that is longer than the vocabulary.
fn logits(token: u32) -> Vec<f32> {
    let mut logits = vec![0.0; 300];
    logits[token as usize] = 4.0;
    logits[299] = 9.0;
    logits
}

/// Lets a model write `tokens`, and ends the answer by its length where it has not ended by itself. Gives how many tokens the sequence took in.
fn write(author: &mut Answer, tokens: &[u32]) -> usize {
    author.begin(2, 0);
    for (place, &token) in tokens.iter().enumerate() {
        match author.next(&mut logits(token)) {
            Next::Token(chosen) => assert_eq!(chosen, token),
            Next::Last => return place,
        }
    }
    author.end(End::Length);
    tokens.len()
}

fn events(receiver: &mut Receiver<Event>) -> Vec<Event> {
    std::iter::from_fn(|| receiver.try_recv().ok()).collect()
}

/// The pieces and the end of an answer that was written whole.
fn run(plan: Plan, tokens: &[u32]) -> (Vec<Piece>, Ended) {
    let (mut author, mut receiver) = answer(plan);
    write(&mut author, tokens);
    let mut events = events(&mut receiver);
    let Some(Event::Ended(ended)) = events.pop() else { panic!("the answer has not ended") };
    assert_eq!(events.remove(0), Event::Began { prompt: 2, cached: 0 });
    let piece = |event| if let Event::Piece(piece) = event { piece } else { panic!("{event:?}") };
    (events.into_iter().map(piece).collect(), ended)
}

fn text(pieces: &[Piece], ended: &Ended) -> String {
    pieces.iter().chain([&ended.last]).map(|piece| piece.text.as_str()).collect()
}

fn tokens(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}
