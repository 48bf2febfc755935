//! One run: its callers, its clock, its tally.

use std::{
    io::{self, Write as _},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time,
};

use super::{
    arrivals::Arrivals,
    call::{Outcome, Template, call},
    connection::{Connection, Held},
    options::{Options, OptionsError},
    pace,
    tally::{Tally, round},
};
use crate::procstat::own_cpu_time;

/// What is still without an answer so long after the end counts as `unfinished`.
const LAST_ANSWERS: Duration = Duration::from_secs(10);
/// How long after its deadline a call is given up: whoever is asked may say that time is up, and that takes a moment too.
const PATIENCE: Duration = Duration::from_millis(250);
/// A caller that cannot connect waits so long before it tries again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// What all callers of a run share.
pub(super) struct Run {
    template: Template,
    deadline: Option<Duration>,
    started: Instant,
    /// Calls that may still begin.
    left: AtomicU64,
    in_flight: AtomicU64,
    retried: AtomicU64,
    opened: Arc<AtomicU64>,
    totals: Mutex<Tally>,
    this_second: Option<Mutex<Second>>,
    stop: watch::Sender<bool>,
}

/// What has come since the last line was printed.
struct Second {
    began: Instant,
    tally: Tally,
}

impl Second {
    fn new() -> Self {
        Self { began: Instant::now(), tally: Tally::default() }
    }
}

/// Runs the load and returns the report; prints a line a second meanwhile if asked to.
pub async fn run(options: &Options) -> Result<Value, OptionsError> {
    options.validate()?;
    let run = Arc::new(Run::new(options)?);
    let connections: Vec<_> =
        (0..options.connections.min(options.callers)).map(|_| Connection::new(options.address, run.opened.clone())).collect();
    let clock = tokio::spawn(stop_in_time(run.clone(), options.length()));
    let printer = options.every_second.then(|| tokio::spawn(print_seconds(run.clone())));
    match options.rate {
        Some(rate) => pace::in_open_loop(&run, &connections, Arrivals::new(rate, options.poisson), options.callers).await,
        None => pace::in_closed_loop(&run, &connections, options.callers).await,
    }
    clock.abort();
    if let Some(printer) = printer {
        printer.abort();
        print_line(&run.end_second());
    }
    options.save_answer(&run.template.last_answer())?;
    Ok(run.report(options))
}

async fn stop_in_time(run: Arc<Run>, length: Option<Duration>) {
    match length {
        Some(length) => time::sleep(length).await,
        None => until_signal().await,
    }
    run.stop();
}

/// Without signal handlers (the runtime refuses them only when it shuts down) a signal ends the process, which stops the run too.
async fn until_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

async fn print_seconds(run: Arc<Run>) {
    let mut ticks = time::interval(Duration::from_secs(1));
    ticks.tick().await;
    loop {
        ticks.tick().await;
        print_line(&run.end_second());
    }
}

/// A reader that has gone away ends nobody's run.
fn print_line(line: &Value) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

impl Run {
    fn new(options: &Options) -> Result<Self, OptionsError> {
        Ok(Self {
            template: options.template()?,
            deadline: options.deadline(),
            started: Instant::now(),
            left: AtomicU64::new(options.requests.unwrap_or(u64::MAX)),
            in_flight: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            opened: Arc::default(),
            totals: Mutex::default(),
            this_second: options.every_second.then(|| Mutex::new(Second::new())),
            stop: watch::Sender::new(false),
        })
    }

    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether one more call may begin; counts it as begun.
    pub(super) fn may_begin(&self) -> bool {
        if *self.stop.borrow() || self.left.load(Ordering::Relaxed) == 0 {
            return false;
        }
        self.left.fetch_sub(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Waits for the stop, and then a while for the answers that are still to come.
    pub(super) async fn until_last_answers(&self) {
        // The sender lives as long as `self`: waiting cannot fail.
        let _ = self.stop.subscribe().wait_for(|stopped| *stopped).await;
        time::sleep(LAST_ANSWERS).await;
    }

    /// Makes one call that was due at `due`, over `connection`, and counts how it ended.
    pub(super) async fn call_once(&self, connection: &Connection, held: &mut Option<Held>, due: Instant) {
        let message = self.template.next_body();
        for attempt in 0..2 {
            if held.is_none() {
                match connection.get(None).await {
                    Ok(fresh) => *held = Some(fresh),
                    Err(error) => return self.unreachable(&error).await,
                }
            }
            let Some(usable) = held.as_mut() else { return };
            let Some(outcome) = self.within_patience(usable, &message).await else {
                return self.finish(Tally::record_hang);
            };
            if matches!(outcome, Outcome::NotProcessed | Outcome::Broken(_)) {
                *held = connection.get(Some(usable)).await.ok();
            }
            if outcome == Outcome::NotProcessed && attempt == 0 {
                self.retried.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let latency = due.elapsed();
            let outcome = self.in_view_of_the_deadline(outcome, latency);
            return self.finish(|tally, now| tally.record(&outcome, latency, now));
        }
    }

    fn in_view_of_the_deadline(&self, outcome: Outcome, latency: Duration) -> Outcome {
        let late = outcome == Outcome::Answered && self.deadline.is_some_and(|deadline| latency > deadline);
        if late { Outcome::Late } else { outcome }
    }

    /// `None` when the call hangs.
    async fn within_patience(&self, held: &mut Held, message: &Bytes) -> Option<Outcome> {
        let calling = call(&mut held.sender, &self.template, message);
        match self.deadline {
            None => Some(calling.await),
            Some(deadline) => time::timeout(deadline + PATIENCE, calling).await.ok(),
        }
    }

    async fn unreachable(&self, error: &io::Error) {
        self.finish(|tally, now| tally.record_unreachable(error, now));
        time::sleep(RECONNECT_PAUSE).await;
    }

    /// Counts a call that an open loop wanted and that could not begin.
    pub(super) fn skip(&self) {
        self.finish(Tally::record_unsent);
    }

    fn finish(&self, count: impl Fn(&mut Tally, Duration)) {
        let now = self.started.elapsed();
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        count(&mut lock(&self.totals), now);
        if let Some(second) = &self.this_second {
            count(&mut lock(second).tally, now);
        }
    }

    fn end_second(&self) -> Value {
        let second = self.this_second.as_ref().map_or_else(Second::new, |second| std::mem::replace(&mut *lock(second), Second::new()));
        let mut line = second.tally.report(second.began.elapsed());
        line["kind"] = json!("second");
        line["at"] = json!(round(self.started.elapsed().as_secs_f64(), 1));
        line
    }

    fn report(&self, options: &Options) -> Value {
        let elapsed = self.started.elapsed();
        let mut totals = lock(&self.totals);
        totals.record_unfinished(self.in_flight.load(Ordering::Relaxed));
        let mut report = totals.report(elapsed);
        report["kind"] = json!("summary");
        report["callers"] = json!(options.callers);
        report["connections"] = json!(options.connections.min(options.callers));
        report["connections_opened"] = json!(self.opened.load(Ordering::Relaxed));
        report["retried"] = json!(self.retried.load(Ordering::Relaxed));
        report["request_bytes"] = json!(self.template.body_bytes());
        let cpu = own_cpu_time().map(|cpu| cpu.as_secs_f64());
        report["cpu_seconds"] = json!(cpu);
        report["cpu_us_per_request"] = json!(cpu.map(|cpu| round(cpu * 1e6 / (totals.requests().max(1) as f64), 1)));
        report
    }
}

/// A tally is whole after each count, so one that a panic left behind is still right.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
