//! The author itself.

use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::event::{Ended, Event, Failure, Piece, Reason, Written, WrittenLikely};
use crate::{
    Author, End, Next,
    sample::{Choice, Likely, Sampler, Sampling},
    structure::{Grammar, Mask, Matcher},
    write::{Stopping, Stops, Text, Words},
};

/// What one answer is to be. Everything in it has been checked.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The model's tokens.
    pub words: Arc<Words>,
    /// The prompt's tokens.
    pub prompt: Arc<[u32]>,
    /// Tokens of the answer that were written, and told, before this began: it goes on behind them. Neither with an echo nor ranked.
    pub written: Arc<[u32]>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// What the draws depend on; for the answers of one request [`seed_of`](crate::sample::seed_of) the request's seed.
    pub seed: u64,
    /// When the answer is complete.
    pub stopping: Stopping,
    /// The form that it is held to.
    pub grammar: Option<Grammar>,
    /// The prompt's text, where it is to be told in front of the answer.
    pub echo: Option<String>,
    /// Whether [`Ended::mean_logprob`] is needed, to choose among several answers.
    pub ranked: bool,
    /// The most tokens that the scheduler lets the answer have, behind those that were written before.
    pub max_new: usize,
}

/// Writes one answer. Made by [`answer`].
#[derive(Debug)]
pub struct Answer {
    plan: Plan,
    sampler: Sampler,
    matcher: Option<Matcher>,
    text: Text,
    stops: Stops,
    events: Sender<Event>,
    /// What is not told yet.
    piece: Piece,
    /// The prompt's tokens, while they are read to be told.
    echoed: Vec<Written>,
    completion_tokens: usize,
    logprobs: f64,
    over: bool,
}

/// What a token does to its answer.
enum Effect {
    GoesOn,
    /// It is complete, with all text that was held back.
    Finishes(Reason),
    /// It is complete with the text that there is.
    Closes(Reason),
    Fails(Failure),
}

/// An author for `plan`, and where it tells what it writes. Dropping the receiver ends the answer.
///
/// The channel has room for everything that can be told, so the author, who may not wait, never finds it full; it takes memory only for what is
/// in it.
///
/// Where nobody [wants](Author::wanted) the author any more, what was written before is the whole answer already.
pub fn answer(plan: Plan) -> (Answer, Receiver<Event>) {
    // What was written before, Began, the echo, one event for each token, and the end.
    let (events, receiver) = channel(plan.max_new.saturating_add(4).min(tokio::sync::Semaphore::MAX_PERMITS));
    let mut sampling = plan.sampling.clone();
    if plan.ranked {
        sampling.logprobs.get_or_insert(0);
    }
    let mut answer = Answer {
        sampler: Sampler::new(sampling, plan.seed, &plan.prompt),
        matcher: plan.grammar.as_ref().map(Grammar::matcher),
        text: Text::default(),
        stops: Stops::new(plan.stopping.stop.clone()),
        events,
        piece: Piece::default(),
        echoed: Vec::new(),
        completion_tokens: 0,
        logprobs: 0.0,
        over: false,
        plan,
    };
    answer.replay();
    (answer, receiver)
}

impl Author for Answer {
    fn begin(&mut self, prompt: usize, cached: usize) {
        self.tell(Event::Began { prompt, cached });
        if !self.reads_prompt() && self.plan.echo.is_some() {
            self.echoed = self.plan.prompt.iter().map(|&token| plain(&self.plan.words, token)).collect();
            self.tell_echo();
        }
    }

    fn next(&mut self, logits: &mut [f32]) -> Next {
        self.tell_echo();
        match self.choose(logits) {
            Ok(choice) => self.write(choice),
            Err(failure) => self.fail(failure),
        }
    }

    fn takes_likeliest(&self) -> Option<usize> {
        (self.matcher.is_none() && self.sampler.takes_likeliest()).then(|| self.plan.words.len())
    }

    fn take_likeliest(&mut self, likeliest: Option<u32>) -> Next {
        self.tell_echo();
        match likeliest {
            Some(token) => {
                self.sampler.wrote(token);
                self.write(Choice { token, logprob: None, likeliest: Vec::new() })
            }
            None => self.fail(Failure::NoToken),
        }
    }

    fn reads_prompt(&self) -> bool {
        self.plan.echo.is_some() && self.plan.sampling.logprobs.is_some()
    }

    fn read(&mut self, place: usize, logits: &mut [f32]) {
        if !self.reads_prompt() {
            return;
        }
        if self.echoed.is_empty() {
            self.echoed.extend(self.plan.prompt.first().map(|&token| plain(&self.plan.words, token)));
        }
        // After a preemption the prompt is read once more.
        if place == self.echoed.len() && place < self.plan.prompt.len() {
            let known = logits.len().min(self.plan.words.len());
            let choice = self.sampler.read(&logits[..known], self.plan.prompt[place]);
            self.echoed.push(written(&self.plan.words, choice));
        }
    }

    fn wanted(&self) -> bool {
        !self.over && !self.events.is_closed()
    }

    fn end(&mut self, end: End) {
        self.tell_echo();
        match end {
            End::Length => drop(self.finish(Reason::Length)),
            End::Deadline => drop(self.fail(Failure::Deadline)),
            End::Failed(error) => drop(self.fail(Failure::Model(error))),
            End::Closed => drop(self.fail(Failure::Closed)),
        }
    }
}

impl Answer {
    fn choose(&mut self, logits: &mut [f32]) -> Result<Choice, Failure> {
        // A model's rows may be longer than its vocabulary, for the sake of a round number.
        let known = logits.len().min(self.plan.words.len());
        let mask = self.matcher.as_mut().map(Matcher::mask).transpose()?;
        let choice = self.sampler.choose(&mut logits[..known], mask.as_ref().map(Mask::words));
        choice.map_err(|_| Failure::NoToken)
    }

    /// Makes text of a token that was chosen, and tells what is ready.
    fn write(&mut self, choice: Choice) -> Next {
        let token = choice.token;
        self.logprobs += f64::from(choice.logprob.unwrap_or_default());
        self.piece.tokens.push(written(&self.plan.words, self.told(choice)));
        match self.take(token) {
            Effect::GoesOn => {}
            Effect::Finishes(reason) => return self.finish(reason),
            Effect::Closes(reason) => return self.close(reason),
            Effect::Fails(failure) => return self.fail(failure),
        }
        if !self.piece.text.is_empty() {
            let piece = std::mem::take(&mut self.piece);
            self.tell(Event::Piece(piece));
        }
        Next::Token(token)
    }

    /// Makes a token part of the answer.
    fn take(&mut self, token: u32) -> Effect {
        self.completion_tokens += 1;
        if let Some(reason) = self.ends(token) {
            return Effect::Finishes(reason);
        }
        let mut whole = String::new();
        self.text.push(&self.plan.words.written(token), &mut whole);
        if let Some(stop) = self.stops.push(&whole, &mut self.piece.text) {
            return Effect::Closes(Reason::StopText(stop));
        }
        if let Some(matcher) = &mut self.matcher {
            if let Err(broken) = matcher.take(token) {
                return Effect::Fails(broken.into());
            }
            if matcher.is_done() || matcher.is_closed_by(&self.plan.words.written(token)) {
                return Effect::Finishes(Reason::Form);
            }
        }
        Effect::GoesOn
    }

    /// Takes what was written before, as if it were chosen now, and tells none of it again.
    fn replay(&mut self) {
        let written = Arc::clone(&self.plan.written);
        if written.is_empty() {
            return;
        }
        for &token in written.iter() {
            self.sampler.wrote(token);
            match self.take(token) {
                Effect::GoesOn => {}
                Effect::Finishes(_) | Effect::Closes(_) => {
                    self.tell(Event::Over { completion_tokens: self.completion_tokens });
                    self.over = true;
                    return;
                }
                Effect::Fails(failure) => {
                    self.fail(failure);
                    return;
                }
            }
        }
        let text = std::mem::take(&mut self.piece.text);
        self.tell(Event::Before(text));
    }

    /// The choice without what only the ranking needs.
    fn told(&self, choice: Choice) -> Choice {
        if self.plan.sampling.logprobs.is_some() { choice } else { Choice { logprob: None, ..choice } }
    }

    fn ends(&self, token: u32) -> Option<Reason> {
        let stopping = &self.plan.stopping;
        if stopping.end_tokens.contains(&token) && (!stopping.ignore_end || self.matcher.is_some()) {
            return Some(Reason::End);
        }
        stopping.stop_tokens.contains(&token).then_some(Reason::StopToken(token))
    }

    /// Ends the answer with all text that was held back.
    fn finish(&mut self, reason: Reason) -> Next {
        let mut rest = String::new();
        self.text.finish(&mut rest);
        if let Some(stop) = self.stops.push(&rest, &mut self.piece.text) {
            return self.close(Reason::StopText(stop));
        }
        self.stops.finish(&mut self.piece.text);
        self.close(reason)
    }

    /// Ends the answer with what text there is.
    fn close(&mut self, reason: Reason) -> Next {
        let known = (self.plan.ranked || self.plan.sampling.logprobs.is_some()) && self.completion_tokens > 0;
        let mean_logprob = known.then(|| self.logprobs / self.completion_tokens as f64);
        let last = std::mem::take(&mut self.piece);
        self.tell(Event::Ended(Ended { last, reason, completion_tokens: self.completion_tokens, mean_logprob }));
        self.over = true;
        Next::Last
    }

    fn fail(&mut self, failure: Failure) -> Next {
        self.tell(Event::Failed(failure));
        self.over = true;
        Next::Last
    }

    fn tell_echo(&mut self) {
        if let Some(text) = self.plan.echo.take() {
            let tokens = std::mem::take(&mut self.echoed);
            self.tell(Event::Piece(Piece { text, tokens }));
        }
    }

    /// Nobody may be there any more; the scheduler finds that out by [`Author::wanted`].
    fn tell(&self, event: Event) {
        if !self.over {
            drop(self.events.try_send(event));
        }
    }
}

/// A token of which nothing more is told.
fn plain(words: &Words, id: u32) -> Written {
    Written { id, bytes: words.bytes(id), logprob: None, likeliest: Vec::new() }
}

fn written(words: &Words, choice: Choice) -> Written {
    let likely = |likely: Likely| WrittenLikely { id: likely.token, bytes: words.bytes(likely.token), logprob: likely.logprob };
    Written {
        id: choice.token,
        bytes: words.bytes(choice.token),
        logprob: choice.logprob,
        likeliest: choice.likeliest.into_iter().map(likely).collect(),
    }
}
