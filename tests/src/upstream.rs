//! What stands in for a worker or a router: it sees what really arrives behind a hop, and behaves as badly as a test wants.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::{
    RecvStream,
    server::{self, SendResponse},
};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use torchmesh_api::{
    frame,
    headers::{GRPC_MESSAGE, GRPC_STATUS, X_TORCHMESH_LOAD, X_TORCHMESH_USAGE},
    inference::{RepositoryIndexResponse, repository_index_response::ModelIndex},
};

use crate::{eventually, raw};

const WINDOW: u32 = 1 << 20;

/// What it does with a call, once it has read it whole. Questions after its models are always answered.
#[derive(Debug, Clone)]
pub enum Manner {
    /// Answers with these bytes (a message in its frame) and OK.
    Answers(Bytes),
    /// Answers each method, by its name, with its bytes and OK; any other with nothing at all.
    AnswersEach(Vec<(&'static str, Bytes)>),
    /// The same, and says in its headers what the call has used.
    AnswersUsing(&'static str, Bytes),
    /// The same, and says in its headers how busy it is.
    AnswersSaying(&'static str, Bytes),
    /// The same, after so long: a model that is slow.
    AnswersAfter(Duration, Bytes),
    /// Says nothing.
    Silent,
    /// Sends its headers and these bytes, and then nothing more.
    StopsAfter(Bytes),
    /// Ends with this code and message.
    Refuses(u16, &'static str),
}

/// One call as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The method.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; absent while it is still coming.
    pub body: Option<Bytes>,
    /// When its caller let go of it.
    pub left: Option<Instant>,
}

impl Seen {
    /// A header as text; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A server of the test's own, gone when it is dropped.
#[derive(Debug)]
pub struct Upstream {
    /// Where it listens.
    pub addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    server: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Clone)]
struct Behaviour {
    index: Bytes,
    manner: Manner,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Upstream {
    /// Starts one that says that it has these models: of `minilm@2` version 2, of `minilm` version 1.
    pub async fn start(models: &[&str], manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let ready = |named: &&str| {
            let (name, version) = named.split_once('@').unwrap_or((named, "1"));
            ModelIndex { name: name.to_owned(), version: version.to_owned(), state: "READY".to_owned(), ..Default::default() }
        };
        let index = frame::encode(&RepositoryIndexResponse { models: models.iter().map(ready).collect() });
        let seen = Arc::default();
        let behaviour = Behaviour { index, manner, seen: Arc::clone(&seen) };
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(connection(socket, behaviour.clone()));
            }
        });
        Self { addr, seen, server }
    }

    /// The calls so far, in the order they came, the questions after its models left out.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panicked with it").clone()
    }

    /// Waits for the first call that is as `wanted`.
    pub async fn sees(&self, what: &str, wanted: impl Fn(&Seen) -> bool) -> Seen {
        let what = format!("the upstream sees {what}");
        eventually(&what, Duration::from_secs(20), async || self.seen().into_iter().find(&wanted)).await
    }
}

async fn connection(socket: TcpStream, behaviour: Behaviour) -> Result<(), h2::Error> {
    let _ = socket.set_nodelay(true);
    let handshake = server::Builder::new().initial_window_size(WINDOW).initial_connection_window_size(4 * WINDOW).handshake(socket);
    let mut connection = handshake.await?;
    while let Some(call) = connection.accept().await {
        let (request, respond) = call?;
        tokio::spawn(answer(request, respond, behaviour.clone()));
    }
    Ok(())
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, behaviour: Behaviour) -> Result<(), h2::Error> {
    let (head, mut body) = request.into_parts();
    let path = head.uri.path().to_owned();
    if path.ends_with("/RepositoryIndex") {
        return finish(respond, behaviour.index, 0, "").await;
    }
    let at = {
        let mut seen = behaviour.seen.lock().expect("no test panicked with it");
        seen.push(Seen { path: path.clone(), headers: head.headers, body: None, left: None });
        seen.len() - 1
    };
    let note = |change: &dyn Fn(&mut Seen)| change(&mut behaviour.seen.lock().expect("no test panicked with it")[at]);
    let Ok(whole) = raw::read_data(&mut body).await else {
        note(&|seen| seen.left = Some(Instant::now()));
        return Ok(());
    };
    note(&|seen| seen.body = Some(whole.clone()));
    match behaviour.manner {
        Manner::Answers(ref answer) => finish(respond, answer.clone(), 0, "").await,
        Manner::AnswersUsing(usage, ref answer) => {
            let mut head = response();
            head.headers_mut().insert(X_TORCHMESH_USAGE, HeaderValue::from_static(usage));
            finish_with(head, respond, answer.clone(), 0, "").await
        }
        Manner::AnswersSaying(load, ref answer) => {
            let mut head = response();
            head.headers_mut().insert(X_TORCHMESH_LOAD, HeaderValue::from_static(load));
            finish_with(head, respond, answer.clone(), 0, "").await
        }
        Manner::AnswersEach(ref answers) => {
            let method = path.rsplit('/').next().unwrap_or_default();
            let answer = answers.iter().find(|(name, _)| *name == method).map(|(_, answer)| answer.clone());
            finish(respond, answer.unwrap_or_default(), 0, "").await
        }
        Manner::AnswersAfter(time, ref answer) => {
            tokio::time::sleep(time).await;
            finish(respond, answer.clone(), 0, "").await
        }
        Manner::Refuses(code, message) => finish(respond, Bytes::new(), code, message).await,
        Manner::Silent => {
            // Whether by a reset or by the end of the connection.
            let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
            note(&|seen| seen.left = Some(Instant::now()));
            Ok(())
        }
        Manner::StopsAfter(ref first) => {
            let mut stream = respond.send_response(response(), false)?;
            raw::send_all(&mut stream, first.clone(), false).await?;
            let _ = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
            note(&|seen| seen.left = Some(Instant::now()));
            Ok(())
        }
    }
}

fn response() -> Response<()> {
    let mut response = Response::new(());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

async fn finish(respond: SendResponse<Bytes>, body: Bytes, code: u16, message: &'static str) -> Result<(), h2::Error> {
    finish_with(response(), respond, body, code, message).await
}

async fn finish_with(
    head: Response<()>,
    mut respond: SendResponse<Bytes>,
    body: Bytes,
    code: u16,
    message: &'static str,
) -> Result<(), h2::Error> {
    let mut stream = respond.send_response(head, false)?;
    raw::send_all(&mut stream, body, false).await?;
    let mut trailers = HeaderMap::new();
    trailers.insert(GRPC_STATUS, HeaderValue::from(code));
    trailers.insert(GRPC_MESSAGE, HeaderValue::from_static(message));
    stream.send_trailers(trailers)
}
