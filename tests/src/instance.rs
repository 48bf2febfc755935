//! One process of a service.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use rustix::process::{Pid, kill_process};
use serde_json::Value;

use crate::{eventually, memory, metrics::Metrics, places, web};

pub use rustix::process::Signal;

/// How long a service may take to listen, to become ready or to end; each takes a fraction of it, and machines may be busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many lines of a log are shown when a test fails.
const SHOWN_LINES: usize = 25;

/// One running service.
#[derive(Debug)]
pub struct Instance {
    /// Such as `worker-1`.
    pub name: String,
    /// Where calls arrive.
    pub addr: SocketAddr,
    /// Where `/ready` and `/metrics` are.
    pub admin: SocketAddr,
    service: &'static str,
    folder: PathBuf,
    settings: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    child: Child,
}

/// The command line of a service that takes ports of its own, and none of its settings from the environment of the tests.
pub fn command(service: &str, settings: &[(String, String)]) -> Command {
    let mut command = Command::new(places::program(&format!("torchmesh-{service}")));
    for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
        if name.starts_with("TORCHMESH_") || name.starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    let own = [("addr", "127.0.0.1:0"), ("admin_addr", "127.0.0.1:0")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    for (key, value) in own.iter().chain(settings) {
        command.arg("--set").arg(format!("{key}={value}"));
    }
    command
}

/// Runs a service that is expected to end by itself, and gives what it said. Panics when it goes on running.
pub async fn run_to_end(service: &str, settings: &[(&str, &str)], flags: &[&str]) -> Output {
    let settings: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let mut command = command(service, &settings);
    command.args(flags).stdin(Stdio::null());
    let running = tokio::process::Command::from(command).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, running).await.unwrap_or_else(|_| panic!("torchmesh-{service} goes on running"));
    output.expect("the service starts")
}

impl Instance {
    /// Starts the service and waits until it listens; not until it is ready.
    pub(crate) async fn start(service: &'static str, name: &str, folder: &Path, settings: Vec<(String, String)>) -> Self {
        Self::start_in(Vec::new(), service, name, folder, settings).await
    }

    /// The same, with these variables of the environment beside the tests' own.
    pub(crate) async fn start_in(
        environment: Vec<(String, String)>,
        service: &'static str,
        name: &str,
        folder: &Path,
        settings: Vec<(String, String)>,
    ) -> Self {
        let announcement = folder.join(format!("{name}.json"));
        // One of an earlier process of this name.
        let _ = fs::remove_file(&announcement);
        let log = File::options().create(true).append(true).open(folder.join(format!("{name}.log"))).expect("a log file");
        let mut command = command(service, &settings);
        command.arg("--announce").arg(&announcement).current_dir(folder).envs(environment.clone()).stdin(Stdio::null());
        let child = command.stdout(log.try_clone().expect("the log file twice")).stderr(log).spawn().expect("the service starts");
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let (name, folder) = (name.to_owned(), folder.to_owned());
        let mut instance = Self { name, addr: nowhere, admin: nowhere, service, folder, settings, environment, child };
        let text = eventually("the service listens", PATIENCE, async || {
            let ended = instance.child.try_wait().expect("it is our child");
            assert!(ended.is_none(), "{} ended at its start: {}", instance.name, instance.log_tail());
            fs::read(&announcement).ok()
        });
        let told: Value = serde_json::from_slice(&text.await).expect("the announcement is JSON");
        let address = |which: &str| told["addresses"][which].as_str().and_then(|text| text.parse().ok()).expect("an address");
        (instance.addr, instance.admin) = (address("main"), address("admin"));
        instance
    }

    /// Runs the service's program once more with the same settings, to do something else than serve; gives what it said.
    pub async fn beside(&self, words: &[&str]) -> Output {
        let settings: Vec<_> = self.settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        run_to_end(self.service, &settings, words).await
    }

    /// The service's name, such as `worker`.
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether `/ready` says yes.
    pub async fn is_ready(&self) -> bool {
        web::get(self.admin, "/ready").await.is_ok_and(|answer| answer.status == 200)
    }

    /// Waits until it is ready.
    pub async fn ready(&mut self) {
        let name = self.name.clone();
        eventually(&format!("{name} is ready"), PATIENCE, async || {
            let ended = self.child.try_wait().expect("it is our child");
            assert!(ended.is_none(), "{name} ended ({ended:?}): {}", self.log_tail());
            self.is_ready().await.then_some(())
        })
        .await;
    }

    /// What `/metrics` says now.
    pub async fn metrics(&self) -> Metrics {
        let answer = web::get(self.admin, "/metrics").await.expect("/metrics answers");
        Metrics::new(answer.text())
    }

    /// Waits until a metric has a value that is `wanted`, and gives it.
    pub async fn metric_until(&self, name: &str, labels: &[(&str, &str)], bound: Duration, wanted: impl Fn(u64) -> bool) -> u64 {
        let what = format!("{name} of {} is as expected", self.name);
        eventually(&what, bound, async || Some(self.metrics().await.count(name, labels)).filter(|value| wanted(*value))).await
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Waits until the process has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let what = format!("{} ends", self.name);
        eventually(&what, PATIENCE, async || self.child.try_wait().expect("it is our child")).await
    }

    /// Sends a signal and waits until the process has ended.
    pub async fn end(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.ended().await
    }

    /// Starts the service again after it has ended, with the same settings and on new ports, and waits until it listens.
    pub(crate) async fn start_again(&mut self) {
        self.ended().await;
        let fresh = Self::start_in(self.environment.clone(), self.service, &self.name, &self.folder, self.settings.clone()).await;
        *self = fresh;
    }

    /// Memory that is in RAM now, in bytes.
    pub fn resident(&self) -> u64 {
        memory::resident(self.pid())
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join(format!("{}.log", self.name))).unwrap_or_default()
    }

    /// The end of what it has logged.
    pub(crate) fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // One that has ended already has nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("a process of ours can be signalled");
}
