//! What stands in for a worker that writes text: it says what a test has scripted, sees who lets go of it, and how much is taken of it.

use std::{
    future::poll_fn,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream, SendStream,
    server::{self, SendResponse},
};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use prost::Message;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};
use torchmesh_api::{
    frame,
    headers::{GRPC_MESSAGE, GRPC_STATUS, X_TORCHMESH_USAGE},
    inference::{RepositoryIndexResponse, repository_index_response::ModelIndex},
    text::v1::{ChatResponse, FinishReason, GenerateResponse, ToolCallPiece, Usage},
};

use crate::{MeshSandbox, eventually, raw};

/// The model that it says it has.
pub const MODEL: &str = "writer";

/// What it does next with a call.
#[derive(Debug, Clone)]
pub enum Step {
    /// Sends a message.
    Says(Bytes),
    /// Goes on when it is told to.
    Waits(Arc<Notify>),
    /// Says nothing more, and does not end.
    Stalls,
    /// Sends a message again and again.
    NeverEnds(Bytes),
    /// Ends with this code and message.
    Fails(u16, &'static str),
    /// Resets the stream.
    BreaksOff,
}

/// One call as it arrived.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The method: `Chat` or `Generate`.
    pub method: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its message.
    pub message: Bytes,
    /// Bytes of messages that were taken of it.
    pub sent: usize,
    /// When its caller let go of it.
    pub left: Option<Instant>,
}

impl Asked {
    /// The message. Panics when it is of another form.
    pub fn as_a<M: Message + Default>(&self) -> M {
        M::decode(self.message.clone()).expect("a message of this form")
    }
}

type Script = Arc<dyn Fn(&Asked) -> Vec<Step> + Send + Sync>;

/// A server of the test's own, gone when it is dropped.
#[derive(Debug)]
pub struct Writer {
    /// Where it listens.
    pub addr: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    server: JoinHandle<()>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Clone)]
struct Shared {
    script: Script,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Writer {
    /// Starts one that answers each call with what the script has for it; after the last step it ends with OK.
    pub async fn start(script: impl Fn(&Asked) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let asked = Arc::default();
        let shared = Shared { script: Arc::new(script), asked: Arc::clone(&asked) };
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(connection(socket, shared.clone()));
            }
        });
        Self { addr, asked, server }
    }

    /// The calls so far, in the order they came.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test panicked with it").clone()
    }

    /// Waits for the first call that is as `wanted`.
    pub async fn sees(&self, what: &str, wanted: impl Fn(&Asked) -> bool) -> Asked {
        let what = format!("the writer sees {what}");
        eventually(&what, Duration::from_secs(20), async || self.asked().into_iter().find(&wanted)).await
    }
}

async fn connection(socket: TcpStream, shared: Shared) -> Result<(), h2::Error> {
    let _ = socket.set_nodelay(true);
    let mut connection = server::handshake(socket).await?;
    while let Some(call) = connection.accept().await {
        let (request, respond) = call?;
        tokio::spawn(answer(request, respond, shared.clone()));
    }
    Ok(())
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, shared: Shared) -> Result<(), h2::Error> {
    let (head, mut body) = request.into_parts();
    let method = head.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    let body = raw::read_data(&mut body).await?;
    let mut stream = respond.send_response(response(), false)?;
    if method == "RepositoryIndex" {
        let ready = ModelIndex { name: MODEL.into(), version: "1".into(), state: "READY".into(), ..Default::default() };
        raw::send_all(&mut stream, frame::encode(&RepositoryIndexResponse { models: vec![ready] }), false).await?;
        return stream.send_trailers(status(0, ""));
    }
    let message = frame::message(body).expect("one whole message");
    let asked = Asked { method, headers: head.headers, message, sent: 0, left: None };
    let steps = (shared.script)(&asked);
    let at = {
        let mut all = shared.asked.lock().expect("no test panicked with it");
        all.push(asked);
        all.len() - 1
    };
    let note = |change: &dyn Fn(&mut Asked)| change(&mut shared.asked.lock().expect("no test panicked with it")[at]);
    let answered = play(&mut stream, steps, |bytes| note(&|asked| asked.sent += bytes)).await;
    if answered.is_err() {
        note(&|asked| asked.left = Some(Instant::now()));
    }
    Ok(())
}

/// Error: the caller let go.
async fn play(stream: &mut SendStream<Bytes>, steps: Vec<Step>, sent: impl Fn(usize)) -> Result<(), h2::Error> {
    for step in steps {
        match step {
            Step::Says(message) => say(stream, message, &sent).await?,
            Step::Waits(until) => tokio::select! {
                () = until.notified() => {}
                gone = poll_fn(|cx| stream.poll_reset(cx)) => return Err(gone?.into()),
            },
            Step::Stalls => return Err(poll_fn(|cx| stream.poll_reset(cx)).await?.into()),
            Step::NeverEnds(message) => loop {
                say(stream, message.clone(), &sent).await?;
            },
            Step::Fails(code, message) => return stream.send_trailers(status(code, message)),
            Step::BreaksOff => {
                stream.send_reset(Reason::INTERNAL_ERROR);
                return Ok(());
            }
        }
    }
    stream.send_trailers(status(0, ""))
}

/// Sends a message once there is room for all of it.
async fn say(stream: &mut SendStream<Bytes>, message: Bytes, sent: impl Fn(usize)) -> Result<(), h2::Error> {
    stream.reserve_capacity(message.len());
    while stream.capacity() < message.len() {
        match poll_fn(|cx| stream.poll_capacity(cx)).await {
            Some(room) => room?,
            None => return Err(Reason::CANCEL.into()),
        };
    }
    sent(message.len());
    stream.send_data(message, false)
}

fn response() -> Response<()> {
    let mut response = Response::new(());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response.headers_mut().insert(X_TORCHMESH_USAGE, HeaderValue::from_static("writer/1 prompt=7 items=1"));
    response
}

fn status(code: u16, message: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from(code)), (GRPC_MESSAGE, HeaderValue::from_static(message))])
}

/// A piece of a message.
pub fn chat(piece: ChatResponse) -> Step {
    Step::Says(frame::encode(&ChatResponse { model: MODEL.to_owned(), model_version: "1".to_owned(), ..piece }))
}

/// The next words of an answer.
pub fn words(index: u32, content: &str) -> Step {
    chat(ChatResponse { index, content: content.to_owned(), ..Default::default() })
}

/// A piece of a call of a tool.
pub fn call(index: u32, [id, name, arguments]: [&str; 3]) -> Step {
    let [id, name, arguments] = [id, name, arguments].map(str::to_owned);
    chat(ChatResponse { tool_calls: vec![ToolCallPiece { index, id, name, arguments }], ..Default::default() })
}

/// The end of one answer.
pub fn ends(index: u32, reason: FinishReason) -> Step {
    chat(ChatResponse { index, finish_reason: reason.into(), ..Default::default() })
}

/// The end of all: 7 tokens were read, 3 of them from the cache, and 5 written.
pub fn used() -> Step {
    chat(ChatResponse { usage: Some(USED), ..Default::default() })
}

/// What [`used`] says.
pub const USED: Usage = Usage { prompt_tokens: 7, cached_tokens: 3, completion_tokens: 5 };

/// A piece of a text.
pub fn text(piece: GenerateResponse) -> Step {
    Step::Says(frame::encode(&GenerateResponse { model: MODEL.to_owned(), model_version: "1".to_owned(), ..piece }))
}

/// A mesh whose worker answers so; gateway and router have one thread each, so that all calls share their connections.
pub async fn mesh(script: impl Fn(&Asked) -> Vec<Step> + Send + Sync + 'static) -> (MeshSandbox, Writer) {
    let writer = Writer::start(script).await;
    let builder = MeshSandbox::builder().worker_at(writer.addr).set("gateway", "threads", "1").set("router", "threads", "1");
    (builder.start().await, writer)
}

/// A script: some words, in pieces, whatever was asked.
pub fn hello(_: &Asked) -> Vec<Step> {
    vec![words(0, "Grü"), words(0, "ße, "), words(0, "Welt 🌍"), ends(0, FinishReason::Stop), used()]
}

/// The body of a chat completion, with these fields too.
pub fn asks(rest: &Value) -> Value {
    let mut body = json!({ "model": MODEL, "messages": [{ "role": "user", "content": "Hi" }] });
    if let (Some(body), Some(rest)) = (body.as_object_mut(), rest.as_object()) {
        body.extend(rest.clone());
    }
    body
}

/// The text of one choice, put together from its chunks.
pub fn content(chunks: &[Value], index: u64) -> String {
    let choices = chunks.iter().filter_map(|chunk| chunk["choices"].as_array()).flatten();
    choices.filter(|choice| choice["index"] == index).filter_map(|choice| choice["delta"]["content"].as_str()).collect()
}
