//! A mail server that answers as it is told to.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// What it does where it would say yes otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    /// Answers MAIL so, for letters to this address only where one is said.
    Answers(&'static str, Option<&'static str>),
    /// Answers AUTH so.
    Shuts(&'static str),
    /// Says nothing when a letter is for this address.
    Hangs(&'static str),
    /// Closes the connection when half of a letter for this address has come.
    Cuts(&'static str),
    /// Does not offer STARTTLS.
    Clear,
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    state: Arc<State>,
}

struct State {
    mood: Mutex<Mood>,
    taken: Mutex<Vec<String>>,
    tls: Option<TlsAcceptor>,
}

impl Server {
    pub(super) async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { mood: Mutex::new(Mood::Well), taken: Mutex::default(), tls });
        let served = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, Arc::clone(&served)));
            }
        });
        Self { address, state }
    }

    pub(super) fn mood(&self, mood: Mood) {
        *self.state.mood.lock().unwrap() = mood;
    }

    /// The letters that have come, and forgets them.
    pub(super) fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.state.taken.lock().unwrap())
    }
}

async fn talk(mut stream: TcpStream, state: Arc<State>) {
    let begun = stream.write_all(b"220 mail\r\n").await.is_ok() && session(&mut stream, &state, false).await;
    if let Some(tls) = state.tls.as_ref().filter(|_| begun)
        && let Ok(mut stream) = tls.accept(stream).await
    {
        session(&mut stream, &state, true).await;
    }
}

/// One dialogue; gives whether it ends with TLS being begun.
async fn session(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), state: &State, safe: bool) -> bool {
    let (mut lines, mut to) = (BufReader::new(stream), String::new());
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).await.unwrap_or(0) == 0 {
            return false;
        }
        let mood = *state.mood.lock().unwrap();
        let begins = !safe && state.tls.is_some() && mood != Mood::Clear;
        let answer = match (line.trim_end(), mood) {
            (hello, _) if hello.starts_with("EHLO") => {
                if begins { "250-mail\r\n250 STARTTLS" } else { "250-mail\r\n250-8BITMIME\r\n250 AUTH PLAIN" }.to_owned()
            }
            ("STARTTLS", _) => "220 go on".to_owned(),
            (auth, Mood::Shuts(code)) if auth.starts_with("AUTH") => format!("{code} no"),
            // torchmesh, secret.
            ("AUTH PLAIN AHRvcmNobWVzaABzZWNyZXQ=", _) => "235 well".to_owned(),
            (auth, _) if auth.starts_with("AUTH") => "535 no".to_owned(),
            (mail, Mood::Answers(code, None)) if mail.starts_with("MAIL") => format!("{code} no"),
            (rcpt, Mood::Hangs(whom)) if rcpt.starts_with("RCPT") && rcpt.contains(whom) => std::future::pending().await,
            (rcpt, Mood::Answers(code, Some(whom))) if rcpt.starts_with("RCPT") && rcpt.contains(whom) => format!("{code} no <{whom}>"),
            (rcpt, _) if rcpt.starts_with("RCPT") => {
                rcpt.clone_into(&mut to);
                "250 well".to_owned()
            }
            ("DATA", _) => "354 go on".to_owned(),
            _ => "250 well".to_owned(),
        };
        let reading = line.starts_with("DATA");
        if lines.get_mut().write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return false;
        }
        if line.starts_with("STARTTLS") {
            return true;
        }
        if reading {
            let mut text = format!("{to}\n");
            if matches!(mood, Mood::Cuts(whom) if to.contains(whom)) {
                let _ = lines.read_line(&mut text).await;
                return false;
            }
            while !text.ends_with("\r\n.\r\n") {
                if lines.read_line(&mut text).await.unwrap_or(0) == 0 {
                    return false;
                }
            }
            state.taken.lock().unwrap().push(text);
            if lines.get_mut().write_all(b"250 taken\r\n").await.is_err() {
                return false;
            }
        }
    }
}
