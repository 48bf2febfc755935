//! Who chooses a sequence's tokens.

use crate::DecoderError;

/// What chooses the tokens of one sequence and tells them to its caller. It is asked on the executor's thread, so it neither waits nor takes long.
pub trait Author: Send {
    /// The sequence has its place and is about to be read; `cached` tokens of its prompt were in the cache. Called once, before anything else; not
    /// again after a preemption.
    fn begin(&mut self, prompt: usize, cached: usize);

    /// Chooses the token that follows, by the logits behind the last one, which may be changed on the way. The choice is final: the token is
    /// part of the sequence from now on.
    fn next(&mut self, logits: &mut [f32]) -> Next;

    /// Among how many of the vocabulary's first tokens it takes the likeliest next, whatever else the logits say. Then it may be told that token by
    /// [`Author::take_likeliest`], and not be asked. `None`: it has to see the logits.
    fn takes_likeliest(&self) -> Option<usize> {
        None
    }

    /// The token that follows is the likeliest, this one; `None`: no logit is a finite number. Instead of [`Author::next`], of an author that
    /// [takes it](Author::takes_likeliest).
    fn take_likeliest(&mut self, _likeliest: Option<u32>) -> Next {
        Next::Last
    }

    /// Whether it wants to be told what the model says of the prompt's own tokens ([`Author::read`]). The prompt is then read whole, cache or not.
    fn reads_prompt(&self) -> bool {
        false
    }

    /// The logits in front of the prompt's token at `place` (1 and up).
    fn read(&mut self, _place: usize, _logits: &mut [f32]) {}

    /// Whether anybody still waits for the answer. Where nobody does, the sequence is dropped before the next step.
    fn wanted(&self) -> bool;

    /// The scheduler ends the sequence; the author has not. Called once at most, and not after [`Next::Last`].
    fn end(&mut self, end: End);
}

/// What an author has chosen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// This token; the sequence goes on.
    Token(u32),
    /// The answer is complete, and its caller has been told why.
    Last,
}

/// Why the scheduler ends a sequence.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// It has as many tokens as were asked for, or as the model's context takes.
    Length,
    /// Its deadline has passed.
    Deadline,
    /// The model failed.
    Failed(DecoderError),
    /// The model is not served any more.
    Closed,
}
