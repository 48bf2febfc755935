//! Executors: one OS thread an instance, which owns its engine and runs batch after batch.

mod assemble;
mod finish;
mod runner;
pub(crate) mod warmup;

use std::{sync::Arc, time::Instant};

use torchmesh_api::error::{ApiError, ErrorKind};
use torchmesh_runtime::telemetry::SPAN_TARGET;
use tracing::Span;

use crate::{
    admission::{Answered, Batch, Piece, Queue, Ticket, bell::Wake, deadline_exceeded},
    engine::{Engine, EngineError, EngineSpec},
    manifest::{Manifest, TensorSpec},
    metrics::ModelMetrics,
    stats::{BatchTimes, Ran, Stats},
};
pub use finish::Finish;
use runner::{Failure, Runner};

/// How an engine is loaded; tests put a fake in the place of libtorch.
pub type EngineLoader = Arc<dyn Fn(&EngineSpec) -> Result<Box<dyn Engine>, EngineError> + Send + Sync>;

/// What an executor needs.
#[derive(Clone)]
pub struct Assignment {
    /// The model's name, for logs and spans.
    pub model: Arc<str>,
    /// What the model takes and gives.
    pub manifest: Arc<Manifest>,
    /// What to load.
    pub spec: EngineSpec,
    /// How to load it.
    pub load: EngineLoader,
    /// What is made of its outputs.
    pub finish: Finish,
    /// Where batches come from.
    pub queue: Arc<Queue>,
    /// Where forwards are counted.
    pub metrics: ModelMetrics,
    /// Where forwards are counted for `ModelStatistics`.
    pub stats: Arc<Stats>,
}

/// What an executor learns from its engine while it warms up.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Which runtime answers.
    pub platform: &'static str,
    /// Whether its engine can explain by gradients.
    pub differentiates: bool,
    /// The outputs, with the dimensions that the manifest left open and the warm-up showed.
    pub outputs: Vec<TensorSpec>,
}

/// An executor whose engine is loaded and warm.
pub struct Executor {
    assignment: Assignment,
    runner: Runner,
}

/// Closes the queue if the executor's thread ends by a panic of our own, so that no caller waits for nobody.
struct CloseOnPanic<'a>(&'a Queue);

impl Drop for CloseOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.close(&ApiError::new(ErrorKind::Unavailable, "the model's executor broke; the worker needs a restart"));
        }
    }
}

impl Executor {
    /// Loads the engine and runs the warm-up, on the calling thread; the error is the reason for the repository index.
    pub fn prepare(assignment: Assignment) -> Result<(Self, Facts), String> {
        let mut runner = Runner::load(&assignment)?;
        let facts = warmup::run(&mut runner, &assignment)?;
        Ok((Self { assignment, runner }, facts))
    }

    /// Runs batches until the queue is closed. The error is set when the engine broke and could not be loaded again.
    pub fn run(mut self) -> Result<(), String> {
        let queue = Arc::clone(&self.assignment.queue);
        let _guard = CloseOnPanic(&queue);
        while let Some(batch) = queue.pull() {
            for piece in &batch.pieces {
                if piece.first_row == 0 && piece.part == 0 {
                    self.assignment.metrics.queue_seconds.observe(piece.ticket.age(batch.taken).as_secs_f64());
                }
                piece.ticket.leave_queue();
            }
            self.execute(batch)?;
        }
        Ok(())
    }

    fn execute(&mut self, batch: Batch) -> Result<(), String> {
        let failure = match self.attempt(&batch) {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        if failure.splits && batch.rows() > 1 {
            tracing::warn!(model = %self.assignment.model, rows = batch.rows(), "a batch ran out of memory; it is run in halves");
            let (front, back) = batch.halves();
            self.execute(front)?;
            return self.execute(back);
        }
        let requests = by_request(batch);
        if let [only] = requests.as_slice() {
            self.fail(&only.pieces[0].ticket, failure.error);
            return failure.fatal.map_or(Ok(()), Err);
        }
        if let Some(reason) = failure.fatal {
            for request in &requests {
                self.fail(&request.pieces[0].ticket, failure.error.clone());
            }
            return Err(reason);
        }
        // One of them is to blame: alone, only that one fails.
        tracing::warn!(model = %self.assignment.model, requests = requests.len(), "a batch failed; its requests are run one by one");
        for request in requests {
            self.execute_alone(&request)?;
        }
        Ok(())
    }

    fn execute_alone(&mut self, request: &Batch) -> Result<(), String> {
        let ticket = Arc::clone(&request.pieces[0].ticket);
        let now = Instant::now();
        if ticket.expired(now) {
            self.fail(&ticket, deadline_exceeded());
            return Ok(());
        }
        if !ticket.wanted(now) {
            return Ok(());
        }
        let Err(failure) = self.attempt(request) else { return Ok(()) };
        self.fail(&ticket, failure.error);
        failure.fatal.map_or(Ok(()), Err)
    }

    /// Parts of explanations, which share no forward. They come in batches of their own.
    fn attribute(&mut self, batch: &Batch) -> Result<(), Failure> {
        let started = Instant::now();
        let mut answers = Vec::with_capacity(batch.pieces.len());
        for Piece { part, first_row, content, .. } in &batch.pieces {
            let Some(along) = &content.attribution else { continue };
            let outputs = vec![self.runner.attribute(&content.inputs, along)?];
            answers.push(Answered { part: *part, first_row: *first_row, rows: content.rows, outputs });
        }
        let times = BatchTimes { forward: started.elapsed(), ..BatchTimes::default() };
        tickets(batch).for_each(|ticket| ticket.spend(batch.taken, times));
        Wake::all(batch.pieces.iter().zip(answers).filter_map(|(piece, answer)| piece.ticket.answer(answer)).collect());
        Ok(())
    }

    /// Runs a batch and answers its requests, or answers none of them.
    fn attempt(&mut self, batch: &Batch) -> Result<(), Failure> {
        if batch.pieces.iter().any(|piece| piece.content.attribution.is_some()) {
            return self.attribute(batch);
        }
        let started = Instant::now();
        let inputs = assemble::join(batch, &self.assignment.manifest.inputs);
        let rows = batch.rows();
        let spans = forward_spans(batch, &self.assignment.model, rows);
        let joined = Instant::now();
        let ran = self.runner.forward(&inputs);
        let forward_done = Instant::now();
        drop(spans);
        let outputs = self.runner.finish(ran?, &inputs, rows)?;
        let answers = assemble::part(batch, outputs, &self.assignment.manifest);
        let times = BatchTimes { input: joined - started, forward: forward_done - joined, output: forward_done.elapsed() };
        self.count(batch, rows, times);

        let now = Instant::now();
        for ticket in tickets(batch) {
            ticket.spend(batch.taken, times);
        }
        let mut ran = Ran { rows, times, ..Ran::default() };
        let mut wakes = Vec::with_capacity(batch.pieces.len());
        for (piece, answer) in batch.pieces.iter().zip(answers) {
            wakes.extend(match self.runner.sound(&answer.outputs) {
                Ok(()) => piece.ticket.answer(answer),
                Err(error) => piece.ticket.fail(error),
            });
        }
        for ticket in tickets(batch).filter(|ticket| ticket.finished()) {
            let spent = ticket.spent();
            ran.completed += 1;
            ran.total += ticket.age(now);
            ran.queued += spent.queue;
            ran.spent += spent.times;
        }
        // Counted before anyone is woken, so that a caller who asks for the counters finds its own request in them.
        self.assignment.stats.ran(&ran);
        Wake::all(wakes);
        Ok(())
    }

    fn count(&self, batch: &Batch, rows: usize, times: BatchTimes) {
        let (metrics, work) = (&self.assignment.metrics, batch.work());
        metrics.forward_seconds.observe(times.forward.as_secs_f64());
        metrics.batch_rows.observe(rows as f64);
        metrics.tokens.inc_by(work.tokens as u64);
        let run = if self.runner.padding_costs() { rows * work.longest } else { work.tokens };
        metrics.padded_tokens.inc_by(run as u64);
        self.assignment.queue.learn(work, times.total());
    }

    fn fail(&self, ticket: &Arc<Ticket>, error: ApiError) {
        // Its other pieces are worth nothing now.
        self.assignment.queue.forget(ticket);
        if let Some(wake) = ticket.fail(error) {
            wake.now();
        }
    }
}

/// The requests of a batch, once each: their pieces are neighbours.
fn tickets(batch: &Batch) -> impl Iterator<Item = &Arc<Ticket>> {
    batch.pieces.chunk_by(|one, other| Arc::ptr_eq(&one.ticket, &other.ticket)).map(|pieces| &pieces[0].ticket)
}

/// One span a recorded request, so that the forward is found in every trace that it served.
fn forward_spans(batch: &Batch, model: &str, rows: usize) -> Vec<Span> {
    let span = |piece: &Piece| {
        let requests = batch.pieces.len();
        tracing::info_span!(target: SPAN_TARGET, parent: &piece.ticket.span, "worker.forward", model, batch.rows = rows, batch.requests = requests)
    };
    // Allocates nothing when nobody records.
    batch.pieces.iter().filter(|piece| !piece.ticket.span.is_none()).map(span).collect()
}

/// The pieces of each request as a batch of its own. A request's pieces are neighbours in the queue, and so in the batch.
fn by_request(batch: Batch) -> Vec<Batch> {
    let taken = batch.taken;
    let mut requests: Vec<Batch> = Vec::with_capacity(batch.pieces.len());
    for piece in batch.pieces {
        match requests.last_mut() {
            Some(last) if Arc::ptr_eq(&last.pieces[0].ticket, &piece.ticket) => last.pieces.push(piece),
            _ => requests.push(Batch { pieces: vec![piece], taken }),
        }
    }
    requests
}

#[cfg(test)]
mod tests;
