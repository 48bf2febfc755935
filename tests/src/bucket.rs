//! A bucket of an object store that speaks the language of Amazon's S3, as far as objects are put, read and removed; it is away when a test wants it to be.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;

use crate::{sandbox::Builder, served::Served};

const NAME: &str = "bucket";

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Bytes>,
    /// Parts by their numbers, for each upload that is not complete.
    uploads: BTreeMap<String, BTreeMap<u32, Bytes>>,
    /// How many uploads in parts were completed.
    completed: usize,
    down: bool,
}

/// The server, gone when it is dropped.
#[derive(Debug)]
pub struct Bucket {
    state: Arc<Mutex<State>>,
    server: Served,
}

impl Bucket {
    /// Starts one that is empty.
    pub async fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        let server = Served::start(move |request| answer(Arc::clone(&shared), request)).await;
        Self { state, server }
    }

    /// The gateways of a mesh have the contents of their files here.
    pub fn of(&self, mesh: Builder) -> Builder {
        let mesh = mesh.set("gateway", "batches.store", &format!("s3://{NAME}/mesh"));
        let endpoint = format!("http://{}", self.server.addr);
        let environment = [
            ("AWS_ENDPOINT", endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "of-the-test"),
            ("AWS_SECRET_ACCESS_KEY", "of-the-test"),
        ];
        environment.into_iter().fold(mesh, |mesh, (name, value)| mesh.env("gateway", name, value))
    }

    /// Answers everything with 503 from now on, or no longer.
    pub fn set_down(&self, down: bool) {
        self.change(|state| state.down = down);
    }

    /// The names of all objects.
    pub fn objects(&self) -> Vec<String> {
        self.change(|state| state.objects.keys().cloned().collect())
    }

    /// How many objects came in parts.
    pub fn in_parts(&self) -> usize {
        self.change(|state| state.completed)
    }

    fn change<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.state.lock().expect("no test panics while it holds this"))
    }
}

async fn answer(state: Arc<Mutex<State>>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return told(StatusCode::BAD_REQUEST, "") };
    let body = body.to_bytes();
    let query: BTreeMap<String, String> =
        form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).map(|(name, value)| (name.into(), value.into())).collect();
    let key = head.uri.path().trim_start_matches('/').strip_prefix(NAME).unwrap_or_default().trim_start_matches('/').to_owned();
    let mut state = state.lock().expect("no test panics while it holds this");
    if state.down {
        return told(StatusCode::SERVICE_UNAVAILABLE, "<Error><Code>SlowDown</Code></Error>");
    }
    match (head.method, query.get("uploadId")) {
        (Method::POST, None) if query.contains_key("uploads") => state.begin(&key),
        (Method::PUT, Some(id)) => state.part(id, query.get("partNumber").and_then(|number| number.parse().ok()), body),
        (Method::POST, Some(id)) => state.complete(id, key),
        (Method::DELETE, Some(id)) => {
            state.uploads.remove(id);
            told(StatusCode::NO_CONTENT, "")
        }
        (Method::PUT, None) => {
            state.objects.insert(key, body);
            tagged("")
        }
        (Method::GET, None) => match state.objects.get(&key) {
            Some(object) => tagged(object.clone()),
            None => told(StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>"),
        },
        (Method::POST, None) if query.contains_key("delete") => state.remove_all(&String::from_utf8_lossy(&body)),
        _ => told(StatusCode::NOT_IMPLEMENTED, ""),
    }
}

impl State {
    fn begin(&mut self, key: &str) -> Response<Full<Bytes>> {
        let id = format!("upload-{}", self.uploads.len() + self.completed);
        self.uploads.insert(id.clone(), BTreeMap::new());
        let told_of = format!("<Bucket>{NAME}</Bucket><Key>{key}</Key><UploadId>{id}</UploadId>");
        told(StatusCode::OK, format!("<InitiateMultipartUploadResult>{told_of}</InitiateMultipartUploadResult>"))
    }

    fn part(&mut self, id: &str, number: Option<u32>, body: Bytes) -> Response<Full<Bytes>> {
        let (Some(parts), Some(number)) = (self.uploads.get_mut(id), number) else { return told(StatusCode::NOT_FOUND, "") };
        parts.insert(number, body);
        tagged("")
    }

    fn complete(&mut self, id: &str, key: String) -> Response<Full<Bytes>> {
        let Some(parts) = self.uploads.remove(id) else { return told(StatusCode::NOT_FOUND, "") };
        self.completed += 1;
        self.objects.insert(key, parts.into_values().collect::<Vec<_>>().concat().into());
        told(StatusCode::OK, "<CompleteMultipartUploadResult><ETag>\"tag\"</ETag></CompleteMultipartUploadResult>")
    }

    /// Removes the objects that a list names, `<Key>…</Key>` each.
    fn remove_all(&mut self, list: &str) -> Response<Full<Bytes>> {
        let keys = list.split("<Key>").skip(1).filter_map(|rest| Some(rest.split_once("</Key>")?.0));
        let mut removed = String::new();
        for key in keys {
            self.objects.remove(key);
            removed.extend(["<Deleted><Key>", key, "</Key></Deleted>"]);
        }
        told(StatusCode::OK, format!("<DeleteResult>{removed}</DeleteResult>"))
    }
}

fn told(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}

fn tagged(body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = told(StatusCode::OK, body);
    response.headers_mut().insert(header::ETAG, HeaderValue::from_static("\"tag\""));
    response.headers_mut().insert(header::LAST_MODIFIED, HeaderValue::from_static("Thu, 01 Jan 2026 00:00:00 GMT"));
    response
}
