//! Where one answer is in its form.

use llguidance::{TokenParser, toktrie::SimpleVob};

use super::grammar::plain;

/// The form cannot be followed any further: it needs more than a step may cost.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the answer cannot be held to its form any further: {why}")]
pub struct Broken {
    /// Why, in words for the form's author.
    pub why: String,
}

/// Which tokens may come next.
#[derive(Debug)]
pub struct Mask {
    tokens: SimpleVob,
}

impl Mask {
    /// A bit for each token, from the lowest of the first word on.
    pub fn words(&self) -> &[u32] {
        self.tokens.as_slice()
    }

    /// Whether `token` may come.
    pub fn allows(&self, token: u32) -> bool {
        (token as usize) < self.tokens.len() && self.tokens.is_allowed(token)
    }
}

/// Follows one answer through its form.
pub struct Matcher {
    inner: llguidance::Matcher,
    json: bool,
}

impl Matcher {
    pub(super) fn new(parser: TokenParser, json: bool) -> Self {
        Self { inner: llguidance::Matcher::new(Ok(parser)), json }
    }

    /// Which tokens may come next; at the end of the form its end tokens only.
    pub fn mask(&mut self) -> Result<Mask, Broken> {
        self.inner.compute_mask_or_eos().map(|tokens| Mask { tokens }).map_err(|error| broken(&error))
    }

    /// Takes the token that was chosen; it is one that the mask allows.
    pub fn take(&mut self, token: u32) -> Result<(), Broken> {
        self.inner.consume_token(token).map_err(|error| broken(&error))
    }

    /// Whether the form is complete and nothing can follow but an end.
    pub fn is_done(&self) -> bool {
        self.inner.is_stopped()
    }

    /// Whether nothing but blanks can follow `last`, the bytes of the token that was taken last: JSON is complete with the bracket or quote that closes it,
    /// and models that may go on with blanks do.
    pub fn is_closed_by(&mut self, last: &[u8]) -> bool {
        let closes = last.trim_ascii_end().last().is_some_and(|byte| matches!(byte, b'}' | b']' | b'"'));
        self.json && closes && self.is_complete()
    }

    /// Whether the answer would have its form if it ended here.
    pub fn is_complete(&mut self) -> bool {
        self.inner.is_stopped() && !self.inner.is_error() || self.inner.is_accepting().unwrap_or_default()
    }
}

fn broken(error: &dyn std::fmt::Display) -> Broken {
    Broken { why: plain(&error.to_string()) }
}

impl std::fmt::Debug for Matcher {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Matcher").field("done", &self.is_done()).finish()
    }
}
