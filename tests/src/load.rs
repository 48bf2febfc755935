//! A steady load, by a client that behaves as gRPC's own do: it knows several addresses, leaves a connection that says GOAWAY, and sends
//! a call again that a server has certainly not touched. Everything else counts as an error.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex, watch},
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    eventually,
    raw::{self, Call, Connection},
};

/// A call that has not ended so long after its deadline hangs.
const GRACE: Duration = Duration::from_millis(250);

/// What is sent, and how often.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where to; all of them serve the same.
    pub addresses: Vec<SocketAddr>,
    /// The call, without a deadline.
    pub call: Call,
    /// Calls a second.
    pub rate: f64,
    /// The deadline of each call, sent and kept.
    pub deadline: Duration,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Calls that were answered with OK.
    pub ok: u64,
    /// The others: what happened, and how often.
    pub errors: BTreeMap<String, u64>,
    /// The longest that a call took, however it ended.
    pub longest: Duration,
}

impl Report {
    /// The calls that ended in an error.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// A load under way.
#[derive(Debug)]
pub struct Load {
    report: Arc<std::sync::Mutex<Report>>,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

struct Client {
    addresses: Vec<SocketAddr>,
    connections: Vec<Mutex<Option<Arc<Connection>>>>,
    turn: AtomicUsize,
    call: Call,
}

impl Load {
    /// Begins.
    pub fn start(plan: Plan) -> Self {
        let report = Arc::default();
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(run(plan, Arc::clone(&report), stopped));
        Self { report, stop, running }
    }

    /// What has come of it so far.
    pub fn report(&self) -> Report {
        self.report.lock().expect("no call panicked").clone()
    }

    /// Waits until so many more calls have been answered: the load has gone on.
    pub async fn answers(&self, more: u64) {
        let before = self.report().ok;
        let what = format!("{more} more answers under load");
        eventually(&what, Duration::from_secs(30), async || {
            let report = self.report();
            (report.ok >= before + more).then_some(())
        })
        .await;
    }

    /// Stops, waits for the last answers, and reports.
    pub async fn stop(self) -> Report {
        self.stop.send_replace(true);
        self.running.await.expect("no call panicked");
        let report = self.report.lock().expect("no call panicked");
        report.clone()
    }
}

async fn run(plan: Plan, report: Arc<std::sync::Mutex<Report>>, stopped: watch::Receiver<bool>) {
    let connections = plan.addresses.iter().map(|_| Mutex::default()).collect();
    let call = plan.call.within(plan.deadline);
    let client = Arc::new(Client { addresses: plan.addresses, connections, turn: AtomicUsize::new(0), call });
    let mut ticks = interval(Duration::from_secs_f64(1.0 / plan.rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut calls = JoinSet::new();
    while !*stopped.borrow() {
        ticks.tick().await;
        let (client, report, patience) = (Arc::clone(&client), Arc::clone(&report), plan.deadline + GRACE);
        calls.spawn(async move {
            let began = Instant::now();
            let outcome = timeout(patience, client.call_once()).await.unwrap_or_else(|_| Err("hangs beyond its deadline".to_owned()));
            let mut report = report.lock().expect("no call panicked");
            report.longest = report.longest.max(began.elapsed());
            match outcome {
                Ok(()) => report.ok += 1,
                Err(what) => *report.errors.entry(what).or_default() += 1,
            }
        });
        while calls.try_join_next().is_some() {}
    }
    calls.join_all().await;
}

impl Client {
    async fn call_once(&self) -> Result<(), String> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut refused = String::from("no address");
        // Twice around: one connection may have been open and leaving, and the next address may be gone.
        for at in (first..first + 2 * self.addresses.len()).map(|at| at % self.addresses.len()) {
            let connection = match self.connection(at).await {
                Ok(connection) => connection,
                Err(error) => {
                    refused = format!("unreachable: {error}");
                    continue;
                }
            };
            match connection.call(&self.call).await {
                Ok(answer) if answer.status().code() == tonic::Code::Ok => return Ok(()),
                Ok(answer) => return Err(format!("{:?}: {}", answer.status().code(), answer.status().message())),
                Err(error) => {
                    self.forget(at, &connection).await;
                    if !untouched(&error) {
                        return Err(format!("broken: {error}"));
                    }
                    refused = format!("refused: {error}");
                }
            }
        }
        Err(refused)
    }

    async fn connection(&self, at: usize) -> std::io::Result<Arc<Connection>> {
        let mut held = self.connections[at].lock().await;
        if let Some(connection) = &*held {
            return Ok(Arc::clone(connection));
        }
        let fresh = Arc::new(raw::Connection::open(self.addresses[at]).await?);
        *held = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    /// Whoever still waits for an answer on it keeps it alive.
    async fn forget(&self, at: usize, broken: &Arc<Connection>) {
        let mut held = self.connections[at].lock().await;
        if held.as_ref().is_some_and(|now| Arc::ptr_eq(now, broken)) {
            *held = None;
        }
    }
}

/// Whether the server has certainly not begun the call: it said so, or it had said before that it takes no more.
fn untouched(error: &h2::Error) -> bool {
    let leaving = error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR);
    leaving || error.reason() == Some(h2::Reason::REFUSED_STREAM)
}
