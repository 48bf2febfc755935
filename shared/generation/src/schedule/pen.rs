//! An author, and what becomes of it when it panics.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Author, DecoderError, End, Next};

/// An author whose panics stay its own. After one it is only told the end, and its sequence is over.
pub(crate) struct Pen(Option<Box<dyn Author>>);

/// Why a sequence is over.
#[derive(Debug, PartialEq)]
pub(crate) enum Over {
    /// The author knows it already, or nobody waits for it.
    Known,
    /// The author has to be told.
    Tell(End),
}

impl Pen {
    pub(crate) fn new(author: Box<dyn Author>) -> Self {
        Self(Some(author))
    }

    pub(crate) fn begin(&mut self, prompt: usize, cached: usize) -> Result<(), Over> {
        self.ask(|author| author.begin(prompt, cached))
    }

    pub(crate) fn next(&mut self, logits: &mut [f32]) -> Result<u32, Over> {
        token(self.ask(|author| author.next(logits))?)
    }

    pub(crate) fn take_likeliest(&mut self, likeliest: Option<u32>) -> Result<u32, Over> {
        token(self.ask(|author| author.take_likeliest(likeliest))?)
    }

    /// An author that panics is found out when it is to write.
    pub(crate) fn takes_likeliest(&self) -> Option<usize> {
        let author = self.0.as_deref()?;
        catch_unwind(AssertUnwindSafe(|| author.takes_likeliest())).unwrap_or_default()
    }

    pub(crate) fn reads_prompt(&mut self) -> Result<bool, Over> {
        self.ask(|author| author.reads_prompt())
    }

    pub(crate) fn read(&mut self, place: usize, logits: &mut [f32]) -> Result<(), Over> {
        self.ask(|author| author.read(place, logits))
    }

    /// An author that nobody waits for is over.
    pub(crate) fn wanted(&mut self) -> Result<(), Over> {
        if self.ask(|author| author.wanted())? { Ok(()) } else { Err(Over::Known) }
    }

    /// The author's last word; it is gone afterwards.
    pub(crate) fn put_down(&mut self, over: Over) {
        let Some(mut author) = self.0.take() else { return };
        // Its drop is the author's too, so it happens in here.
        let told = catch_unwind(AssertUnwindSafe(move || {
            if let Over::Tell(end) = over {
                author.end(end);
            }
        }));
        // It has panicked while it was told the end: there is nobody left to tell.
        drop(told);
    }

    fn ask<T>(&mut self, question: impl FnOnce(&mut dyn Author) -> T) -> Result<T, Over> {
        let author = self.0.as_deref_mut().ok_or(Over::Known)?;
        catch_unwind(AssertUnwindSafe(|| question(author))).map_err(|_| failed("the answer's author panicked"))
    }
}

fn token(next: Next) -> Result<u32, Over> {
    match next {
        Next::Token(token) => Ok(token),
        Next::Last => Err(Over::Known),
    }
}

/// The end of a sequence whose own fault it is.
pub(crate) fn failed(message: &str) -> Over {
    Over::Tell(End::Failed(DecoderError { message: message.to_owned(), fatal: false }))
}
