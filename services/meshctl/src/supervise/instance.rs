//! Keeping one instance running: start it, look after it, start it again when it ends, stop it when told.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::PathBuf,
    process::ExitStatus,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    backoff::{failures_in_a_row, restart_delay},
    probe::{Readiness, announced, http_status},
};
use crate::{launch, mesh::Instance};

/// Whether an instance is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// It is to run.
    Run,
    /// It is to finish its calls and end.
    Drain,
    /// It is to end now.
    Kill,
}

/// What became of an instance.
#[derive(Debug)]
pub(super) enum Change {
    /// Its process was started.
    Started { pid: u32 },
    /// It listens.
    Listening { addresses: BTreeMap<String, String> },
    /// It takes calls (true), or no longer does.
    Ready(bool),
    /// Its process ended, for the so-many-th time in a row, and nobody had told it to.
    Exited { how: String, code: Option<i32>, failures: u32, retry_in: Duration },
    /// It was stopped as wished.
    Stopped,
}

/// A change and whose it is.
#[derive(Debug)]
pub(super) struct Message {
    /// The instance's name.
    pub(super) instance: String,
    /// What became of it.
    pub(super) change: Change,
}

/// Looks after one instance.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) instance: Instance,
    pub(super) program: PathBuf,
    /// How long the service may take to end after SIGTERM; then it is killed.
    pub(super) drain_limit: Duration,
    pub(super) changes: mpsc::Sender<Message>,
    pub(super) wish: watch::Receiver<Wish>,
}

/// Why the process is no longer there.
enum End {
    Stopped,
    Exited { how: String, code: Option<i32> },
}

impl Keeper {
    /// Runs until the wish is to stop and the process is gone.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            let started = Instant::now();
            let end = match self.start() {
                Ok(child) => self.look_after(child).await,
                Err(error) => End::Exited { how: format!("could not be started: {error}"), code: None },
            };
            let End::Exited { how, code } = end else { break };
            failures = failures_in_a_row(failures, started.elapsed());
            let retry_in = restart_delay(failures);
            self.tell(Change::Exited { how, code, failures, retry_in }).await;
            tokio::select! {
                () = sleep(retry_in) => {}
                _ = self.wish.wait_for(|wish| *wish != Wish::Run) => break,
            }
        }
        self.tell(Change::Stopped).await;
    }

    fn start(&self) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(&self.instance.log)?;
        match std::fs::remove_file(&self.instance.announce) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut command = launch::command(&self.program, &self.instance.arguments);
        command.stdout(log.try_clone()?).stderr(log);
        Command::from(command).spawn()
    }

    async fn look_after(&mut self, mut child: Child) -> End {
        let Some(pid) = child.id() else { return End::Exited { how: "ended at once".to_owned(), code: None } };
        self.tell(Change::Started { pid }).await;
        let watch = Watch { instance: self.instance.clone(), pid, changes: self.changes.clone() };
        let _watching = AbortOnDrop(tokio::spawn(watch.run()));
        let stop = tokio::select! {
            status = child.wait() => return exited(status),
            stop = self.wish.wait_for(|wish| *wish != Wish::Run) => stop.map_or(Wish::Drain, |wish| *wish),
        };
        self.stop(child, pid, stop).await;
        End::Stopped
    }

    async fn stop(&mut self, mut child: Child, pid: u32, wish: Wish) {
        if wish == Wish::Drain {
            terminate(pid);
            let drained = async {
                tokio::select! {
                    _ = child.wait() => true,
                    _ = self.wish.wait_for(|wish| *wish == Wish::Kill) => false,
                }
            };
            if timeout(self.drain_limit, drained).await == Ok(true) {
                return;
            }
        }
        // An error means that the process is gone already.
        let _ = child.kill().await;
    }

    async fn tell(&self, change: Change) {
        // The supervisor listens until every keeper is done; if it does not, there is nobody to tell.
        let _ = self.changes.send(Message { instance: self.instance.name.clone(), change }).await;
    }
}

fn exited(status: io::Result<ExitStatus>) -> End {
    match status {
        Ok(status) => End::Exited { how: status.to_string(), code: status.code() },
        Err(error) => End::Exited { how: error.to_string(), code: None },
    }
}

/// Sends SIGTERM. A process that is gone already needs none.
pub(crate) fn terminate(pid: u32) {
    send(pid, Signal::TERM);
}

/// Sends a signal to a process.
pub(crate) fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Ends a task together with the scope that started it.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Watches whether a process takes calls.
struct Watch {
    instance: Instance,
    pid: u32,
    changes: mpsc::Sender<Message>,
}

/// Between two looks: while starting (somebody is waiting), and afterwards.
const EAGER: Duration = Duration::from_millis(25);
const CALM: Duration = Duration::from_millis(150);

impl Watch {
    async fn run(self) {
        let addresses = loop {
            match announced(&self.instance.announce, self.pid) {
                Some(addresses) => break addresses,
                None => sleep(EAGER).await,
            }
        };
        let admin = addresses.get("admin").cloned().unwrap_or_default();
        self.tell(Change::Listening { addresses }).await;
        let (mut readiness, mut pause) = (Readiness::default(), EAGER);
        loop {
            if let Some(ready) = readiness.heard(http_status(&admin, "/ready").await) {
                pause = CALM;
                self.tell(Change::Ready(ready)).await;
            }
            sleep(pause).await;
        }
    }

    async fn tell(&self, change: Change) {
        let _ = self.changes.send(Message { instance: self.instance.name.clone(), change }).await;
    }
}
