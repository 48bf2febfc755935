//! Whoever gets messages, over a socket.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::webhooks::{Received, Unverified, verify};

/// What came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Got {
    pub(super) id: String,
    pub(super) timestamp: String,
    pub(super) signature: String,
    pub(super) body: String,
}

impl Got {
    pub(super) fn verified(&self, secret: &str, now_ms: i64) -> Result<(), Unverified> {
        let received = Received { id: &self.id, timestamp: &self.timestamp, signature: &self.signature, body: self.body.as_bytes() };
        verify(secret, received, now_ms / 1000)
    }

    /// Which key or whatever else it is about.
    pub(super) fn name(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        body["data"]["name"].as_str().unwrap_or_default().to_owned()
    }
}

/// How something is answered.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Status(u16),
    /// Leads elsewhere.
    To(String),
    /// Says 200, and goes on for as long as somebody listens.
    Endless,
    /// Says 200, and never the rest.
    Stalls,
    Never,
}

#[derive(Debug, Default)]
struct Inner {
    got: Vec<Got>,
    answers: VecDeque<Answer>,
    always: Option<u16>,
}

/// A receiver on a port of its own.
#[derive(Debug, Clone)]
pub(super) struct Receiver {
    port: u16,
    inner: Arc<Mutex<Inner>>,
}

impl Receiver {
    pub(super) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self { port: listener.local_addr().unwrap().port(), inner: Arc::default() };
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                // Whoever hangs up has what they wanted.
                tokio::spawn(async move { serving.serve(stream).await.unwrap_or_default() });
            }
        });
        receiver
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hooks", self.port)
    }

    /// How the next ones are answered; then 200.
    pub(super) fn answers(&self, answers: &[Answer]) {
        self.inner.lock().unwrap().answers.extend(answers.iter().cloned());
    }

    /// How all of them are answered from now on; none: 200.
    pub(super) fn always(&self, status: Option<u16>) {
        self.inner.lock().unwrap().always = status;
    }

    pub(super) fn got(&self) -> Vec<Got> {
        self.inner.lock().unwrap().got.clone()
    }

    /// What the messages so far are about.
    pub(super) fn names(&self) -> Vec<String> {
        self.got().iter().map(Got::name).collect()
    }

    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let (mut got, mut length, mut line) = (Got::default(), 0, String::new());
            loop {
                line.clear();
                if stream.read_line(&mut line).await? == 0 {
                    return Ok(());
                }
                if line.trim().is_empty() {
                    break;
                }
                let Some((name, value)) = line.trim().split_once(": ") else { continue };
                match name {
                    "webhook-id" => value.clone_into(&mut got.id),
                    "webhook-timestamp" => value.clone_into(&mut got.timestamp),
                    "webhook-signature" => value.clone_into(&mut got.signature),
                    "content-length" => length = value.parse().unwrap(),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await?;
            got.body = String::from_utf8(body).unwrap();
            let answer = {
                let mut inner = self.inner.lock().unwrap();
                inner.got.push(got);
                let always = inner.always.map_or(Answer::Status(200), Answer::Status);
                inner.answers.pop_front().unwrap_or(always)
            };
            reply(&mut stream, answer).await?;
        }
    }
}

async fn reply(stream: &mut BufReader<TcpStream>, answer: Answer) -> std::io::Result<()> {
    match answer {
        Answer::Status(status) => stream.write_all(format!("HTTP/1.1 {status} x\r\ncontent-length: 2\r\n\r\nok").as_bytes()).await,
        Answer::To(url) => stream.write_all(format!("HTTP/1.1 307 x\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await,
        Answer::Never => std::future::pending().await,
        Answer::Stalls => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await?;
            std::future::pending().await
        }
        Answer::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await?;
            loop {
                stream.write_all(&[b'a'; 1024]).await?;
            }
        }
    }
}
