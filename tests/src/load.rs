//! A steady load, by a client that behaves as gRPC's own do: it knows several addresses, leaves a connection that says GOAWAY, and sends
//! a call again that a server has certainly not touched. Everything else counts as an error.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    eventually,
    raw::{Call, Connection},
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
    client: Arc<Client>,
    report: Arc<Mutex<Report>>,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

#[derive(Debug)]
struct Client {
    doors: Mutex<Vec<Arc<Door>>>,
    turn: AtomicUsize,
    call: Call,
}

/// One address, and the connection that its calls share.
#[derive(Debug)]
struct Door {
    address: SocketAddr,
    open: tokio::sync::Mutex<Option<Arc<Connection>>>,
}

fn doors(addresses: &[SocketAddr]) -> Vec<Arc<Door>> {
    addresses.iter().map(|&address| Arc::new(Door { address, open: tokio::sync::Mutex::default() })).collect()
}

impl Load {
    /// Begins.
    pub fn start(plan: Plan) -> Self {
        let report = Arc::default();
        let (stop, stopped) = watch::channel(false);
        let call = plan.call.clone().within(plan.deadline);
        let client = Arc::new(Client { doors: Mutex::new(doors(&plan.addresses)), turn: AtomicUsize::new(0), call });
        let running = tokio::spawn(run(plan, Arc::clone(&client), Arc::clone(&report), stopped));
        Self { client, report, stop, running }
    }

    /// The addresses are others from now on.
    pub fn go_to(&self, addresses: &[SocketAddr]) {
        *lock(&self.client.doors) = doors(addresses);
    }

    /// What has come of it so far.
    pub fn report(&self) -> Report {
        lock(&self.report).clone()
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
    pub async fn stop(mut self) -> Report {
        self.stop.send_replace(true);
        (&mut self.running).await.expect("no call panicked");
        self.report()
    }
}

async fn run(plan: Plan, client: Arc<Client>, report: Arc<Mutex<Report>>, stopped: watch::Receiver<bool>) {
    let mut ticks = interval(Duration::from_secs_f64(1.0 / plan.rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut calls = JoinSet::new();
    while !*stopped.borrow() {
        ticks.tick().await;
        let (client, report, patience) = (Arc::clone(&client), Arc::clone(&report), plan.deadline + GRACE);
        calls.spawn(async move {
            let began = Instant::now();
            let outcome = timeout(patience, client.call_once()).await.unwrap_or_else(|_| Err("hangs beyond its deadline".to_owned()));
            let mut report = lock(&report);
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
        let doors = lock(&self.doors).clone();
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut refused = String::from("no address");
        // Twice around: one connection may have been open and leaving, and the next address may be gone.
        for door in doors.iter().cycle().skip(first % doors.len()).take(2 * doors.len()) {
            let connection = match door.connection().await {
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
                    door.forget(&connection).await;
                    if !untouched(&error) {
                        return Err(format!("broken: {error}"));
                    }
                    refused = format!("refused: {error}");
                }
            }
        }
        Err(refused)
    }
}

impl Door {
    async fn connection(&self) -> std::io::Result<Arc<Connection>> {
        let mut held = self.open.lock().await;
        if let Some(connection) = &*held {
            return Ok(Arc::clone(connection));
        }
        let fresh = Arc::new(Connection::open(self.address).await?);
        *held = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    /// Whoever still waits for an answer on it keeps it alive.
    async fn forget(&self, broken: &Arc<Connection>) {
        let mut held = self.open.lock().await;
        if held.as_ref().is_some_and(|now| Arc::ptr_eq(now, broken)) {
            *held = None;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no call panicked")
}

/// Whether the server has certainly not begun the call: it said so, or it had said before that it takes no more.
fn untouched(error: &h2::Error) -> bool {
    let leaving = error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR);
    leaving || error.reason() == Some(h2::Reason::REFUSED_STREAM)
}
