//! A language model's engine: one step for many sequences at once, with a cache of blocks.
//!
//! Which sequences run, which blocks are theirs and which token comes next is decided outside: the engine knows numbers only.

/// Why a step failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct DecoderError {
    /// What went wrong, in words for the model's operator.
    pub message: String,
    /// Whether the decoder is of no use any more.
    pub fatal: bool,
}

/// A loaded language model. It lives on one executor thread.
pub trait Decoder: Send {
    /// What the model is and how much its cache holds.
    fn facts(&self) -> &DecoderFacts;

    /// Reads each span's tokens, stores their keys and values in the span's blocks, and gives the logits that were asked for.
    ///
    /// Spans are independent of each other: an answer does not depend on what else is in the step, beyond rounding. A failed step leaves the
    /// engine usable; the content of the blocks that the step wrote to is then undefined.
    fn step(&mut self, spans: &[Span<'_>]) -> Result<Logits, DecoderError>;
}

/// What a scheduler has to know of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderFacts {
    /// Tokens in the vocabulary: the length of one row of [`Logits`].
    pub vocabulary: usize,
    /// The longest sequence, in tokens.
    pub max_tokens: usize,
    /// Tokens in one block of the cache.
    pub block_tokens: usize,
    /// Blocks in the cache, numbered from 0.
    pub blocks: usize,
    /// Bytes that one block takes.
    pub block_bytes: usize,
    /// Whether it takes the likeliest token for less than it gives the logits: then it may be asked for [`Wants::Likeliest`].
    pub chooses: bool,
}

/// The next tokens of one sequence.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// The tokens to read: a prompt, a part of one, the last token that was chosen, or guesses of the next ones. At least one.
    pub tokens: &'a [u32],
    /// How many tokens of the sequence are in its blocks already: the position of `tokens[0]`.
    pub cached: usize,
    /// The sequence's blocks in order; they hold `cached + tokens.len()` tokens at least.
    pub blocks: &'a [u32],
    /// Which logits are wanted.
    pub wants: Wants,
}

/// Which of a span's tokens the caller wants to know the successors of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wants {
    /// None: the prompt goes on in a later step.
    Nothing,
    /// That of the last token.
    Last,
    /// That of every token.
    Every,
    /// That of the last token, of which it is enough to know the likeliest among the first so many of the vocabulary. Only of a decoder that
    /// [chooses](DecoderFacts::chooses).
    Likeliest(usize),
}

/// The logits of a step, span after span, row after row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logits {
    /// Rows of [`DecoderFacts::vocabulary`] values each.
    pub values: Vec<f32>,
    /// For each span that wants it, the likeliest token; `None` where no logit is a finite number.
    pub likeliest: Vec<Option<u32>>,
}
