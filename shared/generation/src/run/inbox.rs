//! Where jobs lie between their callers and the loop.

use parking_lot::{Condvar, Mutex};

use crate::{
    DecoderError, End, SubmitError,
    schedule::{Figures, Job},
};

/// The jobs that the loop has not seen, and what it has to know besides.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: Vec<Job>,
    /// Sequences that wait in the loop already.
    waiting: usize,
    figures: Figures,
    handles: usize,
    closed: Option<Closed>,
}

/// Why no more jobs are taken.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Closed {
    /// Somebody said so, or the loop is gone.
    Now,
    /// The model has failed for good.
    Failed(DecoderError),
}

/// What the loop does next.
pub(super) enum Word {
    /// Takes these jobs and makes a step.
    Go(Vec<Job>),
    /// Ends.
    Stop,
}

impl Inbox {
    /// Adds a job, where fewer than `most` wait.
    pub(super) fn push(&self, job: Job, most: usize) -> Result<(), SubmitError> {
        let mut state = self.state.lock();
        state.refuse()?;
        let waiting = state.waiting + state.jobs.len();
        if waiting >= most {
            return Err(SubmitError::Full { waiting });
        }
        state.jobs.push(job);
        self.changed.notify_one();
        Ok(())
    }

    /// What is to do. Waits for something where the loop is idle.
    pub(super) fn word(&self, idle: bool) -> Word {
        let mut state = self.state.lock();
        while idle && state.jobs.is_empty() && state.closed.is_none() && state.handles > 0 {
            self.changed.wait(&mut state);
        }
        if state.closed.is_some() || (idle && state.jobs.is_empty()) {
            return Word::Stop;
        }
        let jobs = std::mem::take(&mut state.jobs);
        state.waiting += jobs.len();
        state.figures.waiting += jobs.len();
        Word::Go(jobs)
    }

    /// The loop tells how it stands.
    pub(super) fn tell(&self, figures: Figures, waiting: usize) {
        let mut state = self.state.lock();
        state.figures = figures;
        state.waiting = waiting;
    }

    /// How the loop stood, with the jobs that it has not seen among those that wait.
    pub(super) fn figures(&self) -> Figures {
        let state = self.state.lock();
        Figures { waiting: state.figures.waiting + state.jobs.len(), ..state.figures }
    }

    /// Takes no jobs from now on. The first reason stands.
    pub(super) fn close(&self, why: Closed) {
        self.state.lock().closed.get_or_insert(why);
        self.changed.notify_one();
    }

    /// The jobs that nobody will do.
    pub(super) fn leftovers(&self) -> Vec<Job> {
        std::mem::take(&mut self.state.lock().jobs)
    }

    /// Why everything ends.
    pub(super) fn end(&self) -> End {
        match &self.state.lock().closed {
            Some(Closed::Failed(error)) => End::Failed(error.clone()),
            Some(Closed::Now) | None => End::Closed,
        }
    }

    pub(super) fn add_handle(&self) {
        self.state.lock().handles += 1;
    }

    pub(super) fn drop_handle(&self) {
        let mut state = self.state.lock();
        state.handles -= 1;
        self.changed.notify_one();
    }
}

impl State {
    fn refuse(&self) -> Result<(), SubmitError> {
        match &self.closed {
            Some(Closed::Now) => Err(SubmitError::Closed),
            Some(Closed::Failed(error)) => Err(SubmitError::Failed(error.clone())),
            None => Ok(()),
        }
    }
}
