//! Asking an instance how it is: the file it announces itself with, and `/ready` on its admin port.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// What an instance writes once it listens.
#[derive(Debug, Deserialize)]
struct Announcement {
    pid: u32,
    addresses: BTreeMap<String, String>,
}

/// The addresses that the process `pid` announced; `None` until it did. Another process's file does not count.
pub(super) fn announced(path: &Path, pid: u32) -> Option<BTreeMap<String, String>> {
    let announcement: Announcement = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    (announcement.pid == pid).then_some(announcement.addresses)
}

/// The HTTP status of `GET path`; `None` when no answer came in time.
pub(crate) async fn http_status(address: &str, path: &str) -> Option<u16> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        // "HTTP/1.1 200" is all that is wanted of the answer.
        let mut line = [0; 12];
        stream.read_exact(&mut line).await.ok()?;
        std::str::from_utf8(&line[9..]).ok()?.parse().ok()
    };
    timeout(PATIENCE, ask).await.ok().flatten()
}

/// Whether an instance takes calls, from what it answered so far.
#[derive(Debug, Default)]
pub(super) struct Readiness {
    ready: bool,
    silent: u32,
}

/// A busy machine may leave a few probes without an answer; that alone is no reason to send its callers elsewhere.
const SILENCE: u32 = 5;

impl Readiness {
    /// Takes one answer; the new state, if it changed.
    pub(super) fn heard(&mut self, answer: Option<u16>) -> Option<bool> {
        self.silent = if answer.is_none() { self.silent.saturating_add(1) } else { 0 };
        let now = match answer {
            Some(status) => status == 200,
            None => self.ready && self.silent < SILENCE,
        };
        let changed = now != self.ready;
        self.ready = now;
        changed.then_some(now)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn answers(answer: &'static [u8]) -> Option<u16> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 200]).await;
            stream.write_all(answer).await.unwrap();
        };
        tokio::join!(serve, http_status(&address, "/ready")).1
    }

    #[tokio::test]
    async fn the_status_of_an_answer_is_read() {
        assert_eq!(answers(b"HTTP/1.1 200 OK\r\n\r\n").await, Some(200));
        assert_eq!(answers(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").await, Some(503));
        assert_eq!(answers(b"SSH-2.0-OpenSSH").await, None);
        assert_eq!(answers(b"").await, None);
    }

    #[test]
    fn a_refusal_counts_at_once_and_silence_only_when_it_lasts() {
        let mut readiness = Readiness::default();
        assert_eq!(readiness.heard(Some(503)), None);
        assert_eq!(readiness.heard(Some(200)), Some(true));
        for _ in 1..SILENCE {
            assert_eq!(readiness.heard(None), None);
        }
        assert_eq!(readiness.heard(None), Some(false));
        assert_eq!(readiness.heard(Some(200)), Some(true));
        assert_eq!(readiness.heard(Some(503)), Some(false));
    }

    #[test]
    fn an_announcement_of_an_earlier_process_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker.json");
        assert_eq!(announced(&path, 7), None);
        std::fs::write(&path, r#"{"service":"worker","pid":7,"addresses":{"main":"127.0.0.1:1","admin":"127.0.0.1:2"}}"#).unwrap();
        assert_eq!(announced(&path, 8), None);
        assert_eq!(announced(&path, 7).unwrap()["admin"], "127.0.0.1:2");
    }
}
