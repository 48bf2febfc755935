//! A web server that models are fetched from: it knows ranges and tags, speaks as a hub where it is told to, and breaks off as a test wants.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use tokio_stream::StreamExt as _;

use crate::served::Served;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What becomes of a body behind its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// After so many bytes the connection is closed, once.
    Breaks(usize),
    /// After so many bytes nothing more comes, once.
    Stalls(usize),
}

/// One request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `GET` or `HEAD`.
    pub method: Method,
    /// With its query.
    pub path: String,
    /// The range asked for; empty for the whole.
    pub range: String,
    /// Who asks.
    pub authorization: String,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, Bytes>,
    mishaps: BTreeMap<String, Mishap>,
    asked: Vec<Asked>,
    down: bool,
    token: Option<String>,
}

/// The server, gone when it is dropped.
#[derive(Debug)]
pub struct Origin {
    /// Where it listens.
    pub addr: SocketAddr,
    state: Arc<Mutex<State>>,
    _server: Served,
}

impl Origin {
    /// Starts it without a file.
    pub async fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        let server = Served::start(move |request| std::future::ready(answer(&shared, &request))).await;
        Self { addr: server.addr, state, _server: server }
    }

    /// Where a path is.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.addr)
    }

    /// Puts a file, or another content in its place.
    pub fn put(&self, path: &str, content: impl Into<Bytes>) {
        self.change(|state| drop(state.files.insert(path.to_owned(), content.into())));
    }

    /// Puts a repository of a hub: what its listing says, and its files at the commit.
    pub fn put_repository(&self, name: &str, revision: &str, commit: &str, files: &[(&str, &[u8])]) {
        let sibling = |(path, content): &(&str, &[u8])| serde_json::json!({ "rfilename": path, "size": content.len(), "blobId": "b10b" });
        let listing = serde_json::json!({ "sha": commit, "siblings": files.iter().map(sibling).collect::<Vec<_>>() });
        for asked in [revision, commit] {
            self.put(&format!("api/models/{name}/revision/{asked}?blobs=true"), listing.to_string());
        }
        for (path, content) in files {
            self.put(&format!("{name}/resolve/{commit}/{path}"), content.to_vec());
        }
    }

    /// The next whole answer with this file goes wrong.
    pub fn mishap(&self, path: &str, mishap: Mishap) {
        self.change(|state| {
            state.mishaps.insert(path.to_owned(), mishap);
        });
    }

    /// Answers everything with 503 from now on, or no longer.
    pub fn set_down(&self, down: bool) {
        self.change(|state| state.down = down);
    }

    /// Answers only those who show this token from now on.
    pub fn require_token(&self, token: &str) {
        self.change(|state| state.token = Some(token.to_owned()));
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.change(|state| state.asked.clone())
    }

    /// The ranges of the GETs of a file, in order.
    pub fn ranges(&self, path: &str) -> Vec<String> {
        let path = format!("/{path}");
        self.asked().into_iter().filter(|asked| asked.method == Method::GET && asked.path == path).map(|asked| asked.range).collect()
    }

    fn change<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.state.lock().expect("no test panics while it holds this"))
    }
}

fn answer(state: &Mutex<State>, request: &Request<hyper::body::Incoming>) -> Response<Body> {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let asked = Asked { method: request.method().clone(), path, range: text(header::RANGE), authorization: text(header::AUTHORIZATION) };
    let mut state = state.lock().expect("no test panics while it holds this");
    state.asked.push(asked.clone());
    let key = asked.path.trim_start_matches('/').to_owned();
    let refused = state.token.as_ref().is_some_and(|token| asked.authorization != format!("Bearer {token}"));
    let status = match () {
        () if state.down => StatusCode::SERVICE_UNAVAILABLE,
        () if refused => StatusCode::UNAUTHORIZED,
        () if !state.files.contains_key(&key) => StatusCode::NOT_FOUND,
        () => StatusCode::OK,
    };
    if status != StatusCode::OK {
        return bare(status, body(Bytes::new(), None));
    }
    let content = state.files[&key].clone();
    let tag = tag(&content);
    let from = asked.range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')?.parse::<usize>().ok());
    let from = from.filter(|_| [String::new(), tag.clone()].contains(&text(header::IF_RANGE)));
    let rest = content.slice(from.unwrap_or(0).min(content.len())..);
    let (length, mishap) = (rest.len(), if asked.method == Method::HEAD { None } else { state.mishaps.remove(&key) });
    let sent = if asked.method == Method::HEAD { Bytes::new() } else { rest };
    let mut answer = bare(if from.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK }, body(sent, mishap));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::ETAG, tag.parse().expect("a tag is a header's value"));
    if let Some(from) = from {
        let range = format!("bytes {from}-{}/{}", content.len() - 1, content.len());
        headers.insert(header::CONTENT_RANGE, range.parse().expect("a range is a header's value"));
    }
    answer
}

fn bare(status: StatusCode, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
}

/// The content, as far as the mishap lets it through.
fn body(content: Bytes, mishap: Option<Mishap>) -> Body {
    let frame = |bytes: Bytes| Ok(Frame::data(bytes));
    match mishap {
        None => http_body_util::Full::new(content).map_err(|never| match never {}).boxed_unsync(),
        Some(Mishap::Breaks(after)) => {
            let broken = Err(io::Error::other("told to break off"));
            StreamBody::new(tokio_stream::iter([frame(content.slice(..after)), broken])).boxed_unsync()
        }
        Some(Mishap::Stalls(after)) => {
            let sent = tokio_stream::iter([frame(content.slice(..after))]);
            StreamBody::new(sent.chain(tokio_stream::pending())).boxed_unsync()
        }
    }
}

fn tag(content: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(content);
    format!("\"{:02x}{:02x}{:02x}{:02x}\"", digest[0], digest[1], digest[2], digest[3])
}
