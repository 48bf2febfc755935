//! Whoever registered a webhook: it keeps what comes, and answers as a test wants.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;

use crate::served::Served;

/// How messages are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Manner {
    /// With 200.
    #[default]
    Takes,
    /// With another status.
    Says(u16),
    /// Not at all.
    Hangs,
}

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The header `webhook-id`.
    pub id: String,
    /// The header `webhook-timestamp`.
    pub timestamp: String,
    /// The header `webhook-signature`.
    pub signature: String,
    /// The body, byte for byte.
    pub body: Bytes,
}

impl Message {
    /// The body's JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a message is JSON")
    }
}

#[derive(Debug, Default)]
struct State {
    manner: Manner,
    messages: Vec<Message>,
}

/// The receiver, gone when it is dropped.
#[derive(Debug)]
pub struct Receiver {
    state: Arc<Mutex<State>>,
    server: Served,
}

impl Receiver {
    /// Starts one on a port of its own.
    pub async fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        let server = Served::start(move |request| take(Arc::clone(&shared), request)).await;
        Self { state, server }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/hooks", self.server.addr)
    }

    /// How it answers from now on.
    pub fn set(&self, manner: Manner) {
        self.state.lock().expect("no test panics while it holds this").manner = manner;
    }

    /// What came so far.
    pub fn messages(&self) -> Vec<Message> {
        self.state.lock().expect("no test panics while it holds this").messages.clone()
    }
}

async fn take(state: Arc<Mutex<State>>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let text = |headers: &HeaderMap, name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (head, body) = request.into_parts();
    let [id, timestamp, signature] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| text(&head.headers, name));
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let manner = {
        let mut state = state.lock().expect("no test panics while it holds this");
        state.messages.push(Message { id, timestamp, signature, body });
        state.manner
    };
    let mut answer = Response::new(Full::new(Bytes::from_static(b"seen")));
    match manner {
        Manner::Takes => {}
        Manner::Says(status) => *answer.status_mut() = StatusCode::from_u16(status).expect("a status"),
        Manner::Hangs => std::future::pending().await,
    }
    answer
}
