//! Running a mesh: every instance is kept up until the whole is told to stop, and then stopped in order.

mod backoff;
pub(crate) mod event;
pub(crate) mod instance;
pub(crate) mod probe;
mod state;

use std::{collections::BTreeMap, path::Path, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use self::{
    event::{Event, Listener},
    instance::{Keeper, Message, Wish},
    state::{Consequence, Known},
};
use crate::{
    error::{FAILED, Failure, Result, UNAVAILABLE},
    home::Home,
    mesh::{Kind, Mesh},
    run_file::State,
};

/// How long to wait before the files are tried again.
const PUBLISH_AGAIN: Duration = Duration::from_secs(1);
/// How long past its own grace period a service may take to end before it is killed.
const MARGIN: Duration = Duration::from_secs(5);

/// Runs the mesh until a signal asks it to stop (`Ok`) or it cannot be brought up within `limit` (`Err`). Either way nothing of it is
/// left running afterwards. The caller holds the home's lock and has checked the settings.
pub(crate) async fn run(mesh: &Mesh, home: &Home, bin_dir: &Path, limit: Duration, listener: &mut dyn Listener) -> Result<()> {
    let signals = Signals::new().map_err(|error| Failure::new(FAILED, format!("cannot listen for signals: {error}")))?;
    let mut supervisor = Supervisor::start(mesh, home, bin_dir, signals, listener)?;
    let outcome = supervisor.keep_up(limit).await;
    supervisor.stop(*outcome.as_ref().unwrap_or(&Wish::Drain)).await;
    outcome.map(|_| ())
}

/// The signals that mean "stop": the first three let calls finish, SIGQUIT does not.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    quit: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.interrupt.recv() => Wish::Drain,
            _ = self.terminate.recv() => Wish::Drain,
            _ = self.hangup.recv() => Wish::Drain,
            _ = self.quit.recv() => Wish::Kill,
        }
    }
}

struct Supervisor<'a> {
    home: &'a Home,
    listener: &'a mut dyn Listener,
    signals: Signals,
    known: Known,
    changes: mpsc::Receiver<Message>,
    /// The files could not be written, and are to be tried again.
    unpublished: bool,
    services: BTreeMap<Kind, Service>,
    /// The gateway's settings say that it speaks TLS, which the last check before "ready" does not.
    tls: bool,
}

/// The keepers of one service's instances, and what they are to do.
struct Service {
    wish: watch::Sender<Wish>,
    keepers: JoinSet<()>,
}

impl<'a> Supervisor<'a> {
    fn start(mesh: &Mesh, home: &'a Home, bin_dir: &Path, signals: Signals, listener: &'a mut dyn Listener) -> Result<Self> {
        let environment = |name: &str| std::env::var(name).ok();
        let instances = mesh.instances(home);
        let (sender, changes) = mpsc::channel(64);
        let mut known = Known::new(&instances);
        known.publish(home)?;
        listener.hear(&Event::Starting { instances: instances.iter().map(|one| one.name.clone()).collect() });
        let mut services = BTreeMap::new();
        for plan in &mesh.services {
            let (wish, wished) = watch::channel(Wish::Run);
            let mut keepers = JoinSet::new();
            for instance in instances.iter().filter(|one| one.kind == plan.kind) {
                keep_last_log(&instance.log);
                let keeper = Keeper {
                    instance: instance.clone(),
                    program: bin_dir.join(plan.kind.program()),
                    drain_limit: plan.drain_limit(environment) + MARGIN,
                    changes: sender.clone(),
                    wish: wished.clone(),
                };
                keepers.spawn(keeper.run());
            }
            services.insert(plan.kind, Service { wish, keepers });
        }
        let tls = mesh.services.iter().any(|plan| plan.kind == Kind::Gateway && plan.setting("tls.cert", environment).is_some());
        Ok(Self { home, listener, signals, known, changes, unpublished: false, services, tls })
    }

    /// Handles what happens until a signal comes (which tells how to stop) or the mesh proves hopeless.
    async fn keep_up(&mut self, limit: Duration) -> Result<Wish> {
        let deadline = Instant::now() + limit;
        let mut up = false;
        loop {
            tokio::select! {
                Some(message) = self.changes.recv() => self.take(message)?,
                () = sleep(PUBLISH_AGAIN), if self.unpublished => self.publish(),
                wish = self.signals.next() => return Ok(wish),
                () = sleep_until(deadline), if !up => return Err(self.late(limit)),
                () = answers(&self.known, self.tls), if !up && self.known.all_ready() => {
                    up = true;
                    self.known.set_state(State::Ready);
                    self.publish();
                    self.listener.hear(&Event::Up);
                }
            }
        }
    }

    fn take(&mut self, Message { instance, change }: Message) -> Result<()> {
        let consequence = self.known.apply(&instance, change);
        self.publish();
        match consequence {
            Consequence::Silence => {}
            Consequence::Say(event) => self.listener.hear(&event),
            Consequence::Hopeless(how) => return Err(self.hopeless(&instance, &how)),
        }
        Ok(())
    }

    /// Writes the files. A full disk is no reason to stop a mesh that works: it is said once, and the files are tried again.
    fn publish(&mut self) {
        let failure = self.known.publish(self.home).err();
        if let (Some(failure), false) = (&failure, self.unpublished) {
            self.listener.hear(&Event::Trouble { problem: format!("{}; trying again", failure.problem) });
        }
        self.unpublished = failure.is_some();
    }

    fn hopeless(&self, instance: &str, how: &str) -> Failure {
        let log = self.home.log(instance);
        let problem = format!("the {instance} does not start ({how})");
        Failure::new(FAILED, problem).help(format!("the end of {}:\n{}", log.display(), last_lines(&log)))
    }

    fn late(&self, limit: Duration) -> Failure {
        let names = self.known.not_ready();
        let who = if names.is_empty() { "the gateway's front door".to_owned() } else { names.join(", ") };
        let failure = Failure::new(UNAVAILABLE, format!("not ready within {} s: {who}", limit.as_secs()));
        // Who is called last waits for nobody, so what is wrong is most likely there.
        let Some(last) = names.last() else { return failure };
        let log = self.home.log(last);
        failure.help(format!("--timeout gives it longer; the end of {}:\n{}", log.display(), last_lines(&log)))
    }

    /// Stops one service after the other: who calls before who is called. A second signal cuts it short.
    async fn stop(mut self, mut how: Wish) {
        self.known.set_state(State::Stopping);
        for kind in Kind::ALL {
            let Some(mut service) = self.services.remove(&kind) else { continue };
            self.listener.hear(&Event::Stopping { service: kind.name().to_owned() });
            service.wish.send_replace(how);
            loop {
                // Nothing is left to be done about a file that cannot be written while everything is going away.
                let _ = self.known.publish(self.home);
                tokio::select! {
                    Some(Message { instance, change }) = self.changes.recv() => drop(self.known.apply(&instance, change)),
                    done = service.keepers.join_next() => if done.is_none() { break },
                    _ = self.signals.next() => {
                        how = Wish::Kill;
                        service.wish.send_replace(how);
                    }
                }
            }
        }
        for path in [self.home.run_file(), self.home.discovery()] {
            let _ = std::fs::remove_file(path);
        }
        self.listener.hear(&Event::Stopped);
    }
}

/// Waits until the front door answers as ready: instances may be ready a moment before they know of each other.
async fn answers(known: &Known, tls: bool) {
    let gateway = known.run().gateway().unwrap_or_default();
    while !tls && probe::http_status(gateway, "/v2/health/ready").await != Some(200) {
        sleep(Duration::from_millis(50)).await;
    }
}

/// Starts a log afresh; the one of the run before stays beside it.
fn keep_last_log(log: &Path) {
    // Absent at the first run.
    let _ = std::fs::rename(log, log.with_extension("log.1"));
}

/// The end of a log, for a message: a few lines, each cut to a readable length.
pub(crate) fn last_lines(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let tail = String::from_utf8_lossy(&text[text.len().saturating_sub(16 << 10)..]).into_owned();
    let lines: Vec<_> = tail.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(8)..].iter();
    last.map(|line| format!("  {}", line.chars().take(400).collect::<String>())).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shows_the_end_of_a_log_and_not_all_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("worker.log");
        assert_eq!(last_lines(&log), "");
        let text = (0..5000).map(|number| format!("line {number}\n\n")).collect::<Vec<_>>().concat();
        std::fs::write(&log, text + &"x".repeat(1000)).unwrap();
        let shown = last_lines(&log);
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!((lines.len(), lines[6], lines[7].len()), (8, "  line 4999", 402));
    }
}
