//! The loop that owns a model and makes step after step.

mod generator;
mod inbox;
#[cfg(test)]
mod tests;

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

pub use generator::Generator;
use inbox::{Closed, Inbox, Word};

use crate::{
    Decoder, DecoderError, End, Logits, Span,
    schedule::{Limits, Scheduler, Settings},
};

/// A model that is ready to run. It is made and run on the model's own thread.
pub struct Runner {
    decoder: Box<dyn Decoder>,
    scheduler: Scheduler,
    inbox: Arc<Inbox>,
    settings: Settings,
}

impl Runner {
    /// A model with an empty cache.
    pub fn new(decoder: Box<dyn Decoder>, settings: Settings) -> Self {
        let scheduler = Scheduler::new(decoder.facts(), settings.clone());
        let inbox = Arc::new(Inbox::default());
        inbox.tell(scheduler.figures(), 0);
        Self { decoder, scheduler, inbox, settings }
    }

    /// A handle to it. Without one, [`Runner::run`] ends at once.
    pub fn generator(&self) -> Generator {
        self.inbox.add_handle();
        let facts = self.decoder.facts();
        let (inbox, most_waiting) = (self.inbox.clone(), self.settings.max_waiting);
        Generator { inbox, limits: Limits::of(facts), most_waiting, facts: Arc::new(facts.clone()) }
    }

    /// Makes steps on this thread until the model is closed, has failed for good, or is idle and has no handle left. The decoder is dropped
    /// here, after all authors have heard how their sequences end. The error is what it failed with.
    pub fn run(mut self) -> Result<(), DecoderError> {
        while let Word::Go(jobs) = self.inbox.word(self.scheduler.is_empty()) {
            for job in jobs {
                self.scheduler.add(job);
            }
            let planned = self.scheduler.plan(Instant::now());
            // A place in the queue is free when its sequence starts, not a step later.
            self.tell();
            if planned {
                self.step();
                self.tell();
            }
        }
        match self.inbox.end() {
            End::Failed(error) => Err(error),
            _ => Ok(()),
        }
    }

    fn tell(&self) {
        self.inbox.tell(self.scheduler.figures(), self.scheduler.fresh());
    }

    fn step(&mut self) {
        let started = Instant::now();
        let result = attempt(&mut *self.decoder, &self.scheduler.spans());
        let fatal = result.as_ref().err().filter(|error| error.fatal).cloned();
        self.scheduler.apply(started.elapsed(), result);
        if let Some(error) = fatal {
            self.inbox.close(Closed::Failed(error));
        }
    }
}

impl Drop for Runner {
    /// However it ends, nobody is left waiting.
    fn drop(&mut self) {
        self.inbox.close(Closed::Now);
        let end = self.inbox.end();
        for job in self.inbox.leftovers() {
            self.scheduler.add(job);
        }
        self.scheduler.end_all(&end);
        self.tell();
    }
}

/// A step, whose panic is a failure like others.
fn attempt(decoder: &mut dyn Decoder, spans: &[Span<'_>]) -> Result<Logits, DecoderError> {
    catch_unwind(AssertUnwindSafe(|| decoder.step(spans)))
        .unwrap_or_else(|panic| Err(DecoderError { message: format!("the decoder panicked: {}", words(&*panic)), fatal: false }))
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}
