//! What the chunks of a stream have in common, whatever is streamed.

use serde::Serialize;
use torchmesh_api::{error::ApiError, text::v1};

use super::{
    error,
    stamp::Stamp,
    usage::{InChunk, Usage},
};
use crate::generation::{Refused, events::Written};

/// Writes chunks.
#[derive(Debug)]
pub(super) struct Stream {
    stamp: Stamp,
    object: &'static str,
    model: String,
    /// Whether the caller wants to know what was used; then the last chunk tells.
    tells: bool,
    usage: Usage,
}

#[derive(Serialize)]
struct Chunk<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [C],
    #[serde(skip_serializing_if = "InChunk::is_unwanted")]
    usage: InChunk,
}

impl Stream {
    /// `object` is what each chunk says that it is, `model` what is told as the answer's.
    pub(super) fn new(stamp: Stamp, object: &'static str, model: String, tells: bool) -> Self {
        Self { stamp, object, model, tells, usage: Usage::default() }
    }

    /// Counts what was used.
    pub(super) fn count(&mut self, usage: Option<v1::Usage>) {
        if let Some(usage) = usage {
            self.usage.add(usage);
        }
    }

    /// A chunk with one choice.
    pub(super) fn choice<C: Serialize>(&self, choice: C, written: &mut Written) {
        self.chunk(&[choice], if self.tells { InChunk::Later } else { InChunk::Unwanted }, written);
    }

    /// What was used, where that is wanted, and the end.
    pub(super) fn end(&self, written: &mut Written) {
        if self.tells {
            self.chunk::<()>(&[], InChunk::Whole(self.usage), written);
        }
        written.words("[DONE]");
    }

    fn chunk<C: Serialize>(&self, choices: &[C], usage: InChunk, written: &mut Written) {
        let Self { stamp, object, model, .. } = self;
        written.event(&Chunk { id: &stamp.id, object, created: stamp.created, model, choices, usage });
    }
}

/// The end of a stream that failed.
pub(super) fn failed(error: ApiError, written: &mut Written) {
    let Refused { error, param } = error.into();
    written.event(&error::object(&error, param.as_deref()));
}
