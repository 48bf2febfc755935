mod cache;
mod ends;
mod failures;
mod guessing;
mod order;
mod preemption;
mod random;
mod speed;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::*;
use crate::{
    Decoder, DecoderError, Wants,
    testing::{FakeDecoder, Reader, Seen, facts},
};

/// A scheduler and the model that it schedules for.
struct Pair {
    scheduler: Scheduler,
    decoder: FakeDecoder,
    seen: Arc<Mutex<Seen>>,
    now: Instant,
}

impl Pair {
    fn new(blocks: usize, block_tokens: usize, settings: Settings) -> Self {
        Self::with(FakeDecoder::new(&facts(blocks, block_tokens)), settings)
    }

    fn with(decoder: FakeDecoder, settings: Settings) -> Self {
        let scheduler = Scheduler::new(decoder.facts(), settings);
        Self { scheduler, seen: decoder.seen.clone(), decoder, now: Instant::now() }
    }

    fn add(&mut self, (job, reader): (Job, Reader)) -> Reader {
        self.scheduler.limits.check(&job).unwrap();
        self.scheduler.add(job);
        reader
    }

    /// Makes one step, if there is one to make, and checks what always holds.
    fn step(&mut self) -> bool {
        self.now += Duration::from_millis(1);
        let planned = self.scheduler.plan(self.now);
        self.check();
        assert_eq!(planned, !self.scheduler.is_empty(), "there is a step while there is a sequence");
        if planned {
            let result = self.decoder.step(&self.scheduler.spans());
            self.scheduler.apply(Duration::from_millis(1), result);
            self.check();
        }
        planned
    }

    fn steps(&mut self, steps: usize) {
        for _ in 0..steps {
            self.step();
        }
    }

    fn run_out(&mut self) {
        for _ in 0..100_000 {
            if !self.step() {
                return self.check_empty();
            }
        }
        panic!("it goes on for ever");
    }

    fn check(&self) {
        self.scheduler.pool.check(self.scheduler.running.iter().map(|sequence| &sequence.table));
        assert!(self.scheduler.running.is_sorted_by_key(|sequence| sequence.rank));
        assert!(self.scheduler.running.len() <= self.scheduler.settings.max_running);
        let tokens: usize = self.scheduler.running.iter().map(|sequence| sequence.part).sum();
        assert!(tokens <= self.scheduler.settings.step_tokens);
        let rows: usize = self.scheduler.running.iter().map(|sequence| sequence.rows().saturating_sub(1)).sum();
        assert!(rows <= self.scheduler.settings.extra_rows);
    }

    fn check_empty(&self) {
        let figures = self.scheduler.figures();
        assert_eq!((figures.running, figures.waiting, figures.blocks_used), (0, 0, 0));
    }

    /// What the spans of the last step were: (tokens, cached, wants).
    fn last(&self) -> Vec<(usize, usize, Wants)> {
        self.seen.lock().steps.last().cloned().unwrap_or_default()
    }
}

fn error(message: &str) -> DecoderError {
    DecoderError { message: message.to_owned(), fatal: false }
}
