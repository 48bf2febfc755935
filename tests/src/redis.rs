//! A real Redis, of which a test is the only user.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::{Signal, eventually, instance, places};

const PATIENCE: Duration = Duration::from_secs(20);

/// A server without persistence.
#[derive(Debug)]
pub struct Redis {
    /// Where it listens.
    pub addr: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Redis {
    /// Starts one that is empty, and waits until it answers.
    pub async fn start() -> Self {
        let folder = TempDir::new().expect("a folder for Redis");
        let addr = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let redis = Self { addr, child: spawn(addr, &folder), folder };
        redis.ready().await;
        redis
    }

    /// As the gateways' setting has it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.addr)
    }

    /// Sends one command in a line, and gives the beginning of its answer as it came.
    pub fn ask(&self, command: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.addr)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    }

    async fn ready(&self) {
        let pong = async || self.ask("PING").is_ok_and(|answer| answer.starts_with("+PONG")).then_some(());
        eventually("Redis answers", PATIENCE, pong).await;
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

    /// Starts it again after [`Self::kill`], at the same address, with nothing of what it knew.
    pub async fn start_again(&mut self) {
        self.child = spawn(self.addr, &self.folder);
        self.ready().await;
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(addr: SocketAddr, folder: &TempDir) -> Child {
    let log = File::options().create(true).append(true).open(folder.path().join("log")).expect("a log file");
    Command::new(program())
        .args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1"])
        .arg("--port")
        .arg(addr.port().to_string())
        .arg("--dir")
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("the log file twice"))
        .stderr(log)
        .spawn()
        .expect("Redis starts")
}

/// The one of the tests, or the one that is installed. Panics with what to do when there is none.
fn program() -> PathBuf {
    let own = places::cache().join("redis-6.2.14/bin/redis-server");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|folder| folder.join("redis-server"));
    let found = std::iter::once(own).chain(installed).find(|path| path.is_file());
    found.expect("there is no Redis; run `make test`, or `make redis` before this test, or install one")
}
