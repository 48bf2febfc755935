//! Answers that are being written, and what is told of each.

use std::{future::poll_fn, task::Poll};

use tokio::sync::mpsc::Receiver;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    text::v1::Usage,
};
use torchmesh_generation::answer::{Counts, Ended, Event, Failure, Piece, likeliest};

use crate::admission::deadline_exceeded;

/// The answers to one prompt. Dropping them ends those that are not complete.
#[derive(Debug)]
pub(super) struct Answers {
    open: Vec<(usize, Receiver<Event>)>,
    /// Who is asked first, so that no answer waits for the others.
    turn: usize,
    prompt: usize,
    cached: Option<usize>,
    completion: usize,
    /// How many are told of, where only the likeliest are.
    best: Option<usize>,
    /// Those, the likeliest last, once all are complete.
    ranked: Vec<(usize, Ended)>,
}

/// What is told next.
#[derive(Debug)]
pub(super) enum Told {
    /// The text of an answer that was told before it was resumed here.
    Before(usize, String),
    /// A piece of an answer.
    Piece(usize, Piece),
    /// The end of an answer.
    Ended(usize, Ended),
}

impl Answers {
    /// Of more answers than are asked for, the likeliest are told: each whole, in that order, numbered anew, when all are complete.
    pub(super) fn new(receivers: Vec<Receiver<Event>>, prompt: usize, counts: Counts) -> Self {
        let best = counts.ranked().then_some(counts.n);
        let open = receivers.into_iter().enumerate().collect();
        Self { open, turn: 0, prompt, cached: None, completion: 0, best, ranked: Vec::new() }
    }

    /// What comes next, of whichever answer; `None` when all are complete.
    pub(super) async fn next(&mut self) -> Result<Option<Told>, ApiError> {
        if let Some(told) = self.best.take() {
            self.ranked = self.rank(told).await?;
        }
        match self.ranked.pop() {
            Some((number, ended)) => Ok(Some(Told::Ended(number, ended))),
            None => self.written().await,
        }
    }

    /// What is written next.
    async fn written(&mut self) -> Result<Option<Told>, ApiError> {
        loop {
            if self.open.is_empty() {
                return Ok(None);
            }
            let (place, event) = self.event().await;
            let number = self.open[place].0;
            match event {
                Some(Event::Before(text)) => return Ok(Some(Told::Before(number, text))),
                Some(Event::Began { cached, .. }) => {
                    // What was written before is read like a prompt, and is none.
                    self.cached.get_or_insert(cached.min(self.prompt));
                }
                Some(Event::Over { completion_tokens }) => {
                    self.open.remove(place);
                    self.completion += completion_tokens;
                }
                Some(Event::Piece(piece)) => return Ok(Some(Told::Piece(number, piece))),
                Some(Event::Ended(ended)) => {
                    self.open.remove(place);
                    self.completion += ended.completion_tokens;
                    return Ok(Some(Told::Ended(number, ended)));
                }
                Some(Event::Failed(failure)) => return Err(failed(&failure)),
                None => return Err(ApiError::new(ErrorKind::Unavailable, "the model's thread ended before the answer did; try again")),
            }
        }
    }

    async fn event(&mut self) -> (usize, Option<Event>) {
        poll_fn(|context| {
            let count = self.open.len();
            for step in 0..count {
                let place = (self.turn + step) % count;
                if let Poll::Ready(event) = self.open[place].1.poll_recv(context) {
                    self.turn = place + 1;
                    return Poll::Ready((place, event));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// The `told` likeliest of all answers, the likeliest last.
    async fn rank(&mut self, told: usize) -> Result<Vec<(usize, Ended)>, ApiError> {
        let mut whole: Vec<(Piece, Option<Ended>)> = self.open.iter().map(|_| Default::default()).collect();
        while let Some(next) = self.written().await? {
            match next {
                // Only one answer is resumed, and it is not ranked.
                Told::Before(..) => {}
                Told::Piece(number, piece) => join(&mut whole[number].0, piece),
                Told::Ended(number, mut ended) => {
                    join(&mut whole[number].0, std::mem::take(&mut ended.last));
                    whole[number].1 = Some(ended);
                }
            }
        }
        let means: Vec<Option<f64>> = whole.iter().map(|(_, ended)| ended.as_ref().and_then(|ended| ended.mean_logprob)).collect();
        let taken = likeliest(&means, told).into_iter().filter_map(|place| {
            let (piece, ended) = std::mem::take(&mut whole[place]);
            ended.map(|ended| Ended { last: piece, ..ended })
        });
        let mut ranked: Vec<_> = taken.enumerate().collect();
        ranked.reverse();
        Ok(ranked)
    }

    /// What was read and written so far.
    pub(super) fn usage(&self) -> Usage {
        let wire = |count| u32::try_from(count).unwrap_or(u32::MAX);
        Usage {
            prompt_tokens: wire(self.prompt),
            cached_tokens: wire(self.cached.unwrap_or_default()),
            completion_tokens: wire(self.completion),
        }
    }
}

fn join(whole: &mut Piece, piece: Piece) {
    whole.text.push_str(&piece.text);
    whole.tokens.extend(piece.tokens);
}

/// What a caller is told of an answer that goes on no further; the log has what the model said.
fn failed(failure: &Failure) -> ApiError {
    let kind = match failure {
        Failure::Deadline => return deadline_exceeded(),
        Failure::Model(error) => {
            tracing::error!(%error, "a language model failed at a step");
            ErrorKind::Internal
        }
        Failure::NoToken => ErrorKind::Internal,
        Failure::Form(_) => ErrorKind::InvalidArgument,
        Failure::Closed => ErrorKind::Unavailable,
    };
    ApiError::new(kind, failure.to_string())
}
