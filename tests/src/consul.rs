//! A real Consul, of which a test is the only user.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Request;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Signal, eventually, instance, places, web};

/// Starting takes two seconds, of which one is an election among one server.
const PATIENCE: Duration = Duration::from_secs(30);

/// An agent that is the only server of its datacenter.
#[derive(Debug)]
pub struct Agent {
    /// Where its HTTP API is.
    pub addr: SocketAddr,
    ports: Vec<u16>,
    child: Child,
    folder: TempDir,
}

impl Agent {
    /// Starts one that knows nothing yet, and waits until it has a leader.
    pub async fn start() -> Self {
        let folder = TempDir::new().expect("a folder for Consul");
        // Held until all are known, so that no port comes twice; the agent takes them a moment later.
        let held: Vec<_> = (0..4).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
        let ports: Vec<_> = held.iter().map(|listener| listener.local_addr().expect("its address").port()).collect();
        drop(held);
        let child = spawn(folder.path(), &ports);
        let agent = Self { addr: SocketAddr::from(([127, 0, 0, 1], ports[0])), ports, child, folder };
        agent.ready().await;
        agent
    }

    /// Waits until it has a leader, and with that answers.
    pub async fn ready(&self) {
        eventually("Consul has a leader", PATIENCE, async || {
            let answer = web::get(self.addr, "/v1/status/leader").await.ok()?;
            (answer.status == 200 && answer.text().contains(':')).then_some(())
        })
        .await;
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        instance::send(self.child.id(), signal);
    }

    /// Kills it, as a machine does that loses its power.
    pub fn kill(&mut self) {
        // It is our child and has not been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again after [`Self::kill`], at the same address, and waits until it answers; with `memory` it knows what it knew.
    pub async fn start_again(&mut self, memory: bool) {
        if !memory {
            fs::remove_dir_all(self.folder.path().join("data")).expect("its data");
        }
        self.child = spawn(self.folder.path(), &self.ports);
        self.ready().await;
    }

    /// The ids of the instances of a service that are well, in order.
    pub async fn well(&self, service: &str) -> Vec<String> {
        let Ok(answer) = web::get(self.addr, &format!("/v1/health/service/{service}?passing=true")).await else { return Vec::new() };
        let listed: Value = serde_json::from_str(&answer.text()).unwrap_or_default();
        let id = |entry: &Value| entry["Service"]["Meta"]["instance"].as_str().map(str::to_owned);
        let mut ids: Vec<_> = listed.as_array().into_iter().flatten().filter_map(id).collect();
        ids.sort();
        ids
    }

    /// Registers an instance that cannot do so itself.
    pub async fn register(&self, service: &str, instance: &str, addr: SocketAddr) {
        let wanted =
            json!({ "Name": service, "ID": instance, "Address": addr.ip(), "Port": addr.port(), "Meta": { "instance": instance } });
        let request = Request::put("/v1/agent/service/register").body(wanted.to_string().into()).expect("a request");
        let answer = web::Connection::http1(self.addr).await.expect("a connection").send(request).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// What the holder of a lock is called; none while nobody holds it.
    pub async fn holder(&self, key: &str) -> Option<String> {
        let answer = web::get(self.addr, &format!("/v1/kv/{key}")).await.ok().filter(|answer| answer.status == 200)?;
        let pair = answer.json()[0].take();
        pair["Session"].as_str()?;
        let name = STANDARD.decode(pair["Value"].as_str()?).ok()?;
        String::from_utf8(name).ok()
    }

    /// Waits until so many instances of a service are well.
    pub async fn until_well(&self, service: &str, count: usize) {
        let what = format!("{count} instances of {service} are well in Consul");
        eventually(&what, PATIENCE, async || (self.well(service).await.len() == count).then_some(())).await;
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("--- the end of the log of Consul\n{}", lines[lines.len().saturating_sub(15)..].join("\n"));
        }
    }
}

fn spawn(folder: &Path, ports: &[u16]) -> Child {
    let [http, server, lan, wan] = ports else { panic!("four ports") };
    let log = File::options().create(true).append(true).open(folder.join("log")).expect("a log file");
    // An election among one server need not wait for others, and nobody leaves this one on purpose.
    fs::write(folder.join("fast.json"), r#"{"performance": {"raft_multiplier": 1}, "skip_leave_on_interrupt": true}"#)
        .expect("its settings");
    Command::new(program())
        .args([
            "agent",
            "-server",
            "-bootstrap-expect=1",
            "-bind=127.0.0.1",
            "-client=127.0.0.1",
            "-node=test",
            "-dns-port=-1",
            "-grpc-port=-1",
        ])
        .arg(format!("-http-port={http}"))
        .arg(format!("-server-port={server}"))
        .arg(format!("-serf-lan-port={lan}"))
        .arg(format!("-serf-wan-port={wan}"))
        .arg(format!("-data-dir={}", folder.join("data").display()))
        .arg(format!("-config-file={}", folder.join("fast.json").display()))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("the log file twice"))
        .stderr(log)
        .spawn()
        .expect("Consul starts")
}

/// The one of the tests, or the one that is installed. Panics with what to do when there is none.
fn program() -> PathBuf {
    let own = places::cache().join("consul-1.8.7/bin/consul");
    let installed =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).map(|folder| folder.join("consul")).collect::<Vec<_>>());
    let found = std::iter::once(own).chain(installed.unwrap_or_default()).find(|path| path.is_file());
    found.expect("there is no Consul; run `make test`, or `make consul` before this test, or install one")
}
