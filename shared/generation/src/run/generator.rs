//! How jobs are given to a model.

use std::sync::Arc;

use super::inbox::{Closed, Inbox};
use crate::{
    DecoderFacts, SubmitError,
    schedule::{Figures, Job, Limits},
};

/// A handle to a running model. When the last one is dropped, the model finishes what it has and ends.
pub struct Generator {
    pub(super) inbox: Arc<Inbox>,
    pub(super) limits: Limits,
    pub(super) most_waiting: usize,
    pub(super) facts: Arc<DecoderFacts>,
}

impl Generator {
    /// Gives the model a job. It is refused at once where it can never be done, or where too many wait; otherwise its author hears the rest.
    pub fn submit(&self, job: Job) -> Result<(), SubmitError> {
        self.limits.check(&job)?;
        self.inbox.push(job, self.most_waiting)
    }

    /// How the model stood after its last step.
    pub fn figures(&self) -> Figures {
        self.inbox.figures()
    }

    /// What the model is.
    pub fn facts(&self) -> &DecoderFacts {
        &self.facts
    }

    /// Ends everything after the step at hand: authors are told [`crate::End::Closed`], and no more jobs are taken.
    pub fn close_now(&self) {
        self.inbox.close(Closed::Now);
    }
}

impl Clone for Generator {
    fn clone(&self) -> Self {
        self.inbox.add_handle();
        Self { inbox: self.inbox.clone(), limits: self.limits, most_waiting: self.most_waiting, facts: self.facts.clone() }
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.inbox.drop_handle();
    }
}
