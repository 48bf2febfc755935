//! A stand-in for the API server of Kubernetes, which keeps objects as it does: a `resourceVersion` for each change, conflicts, watches that go on from a version, and versions that
//! are too old for that. Each client has a token of its own, and may be treated otherwise than the others.

#![allow(dead_code, reason = "who stands on it needs a part")]

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};
use torchmesh_discovery::kubernetes::{Client, KubernetesSettings};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How a client is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As by a server that is well.
    Well,
    /// With this status.
    Refusing(u16),
    /// With what is no answer of Kubernetes'.
    Garbage,
    /// It is told nothing, and its connections stay open.
    Silent,
}

/// A change, as watches tell it.
struct Event {
    version: u64,
    kind: &'static str,
    plural: String,
    object: Value,
}

#[derive(Default)]
struct State {
    version: u64,
    /// By their kinds and names.
    objects: BTreeMap<(String, String), Value>,
    log: Vec<Event>,
    /// What changed up to this version is no longer known.
    forgotten: u64,
    moods: HashMap<String, Mood>,
    /// Each question, behind the token that it came with.
    asked: Vec<(String, String)>,
}

#[derive(Clone)]
pub(crate) struct ApiServer {
    pub(crate) addr: SocketAddr,
    state: Arc<Mutex<State>>,
    /// Another after each change.
    changed: Arc<watch::Sender<u64>>,
    /// Another when the open watches are to end.
    watches: Arc<watch::Sender<u64>>,
    tokens: Arc<tempfile::TempDir>,
}

struct Question {
    method: String,
    path: String,
    query: HashMap<String, String>,
    token: String,
    body: Value,
}

impl ApiServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            addr: listener.local_addr().unwrap(),
            state: Arc::default(),
            changed: Arc::new(watch::Sender::new(0)),
            watches: Arc::new(watch::Sender::new(0)),
            tokens: Arc::new(tempfile::tempdir().unwrap()),
        };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(accepting.clone().answer(stream));
            }
        });
        server
    }

    pub(crate) fn settings(&self, token: &str) -> KubernetesSettings {
        let token_file = self.tokens.path().join(token);
        std::fs::write(&token_file, token).unwrap();
        KubernetesSettings {
            address: Some(format!("http://{}", self.addr)),
            namespace: Some("models".into()),
            token_file,
            prefix: "shop".into(),
            ..KubernetesSettings::default()
        }
    }

    pub(crate) fn client(&self, token: &str) -> Client {
        Client::new(&self.settings(token)).unwrap()
    }

    /// How the client with this token is treated from now on. Watches that are open stay so.
    pub(crate) fn treat(&self, token: &str, mood: Mood) {
        self.state().moods.insert(token.to_owned(), mood);
    }

    /// Ends the watches that are open.
    pub(crate) fn end_watches(&self) {
        self.watches.send_modify(|count| *count += 1);
    }

    /// No longer knows what has changed until now.
    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.forgotten = state.version;
        state.log.clear();
    }

    /// An object as it is.
    pub(crate) fn object(&self, plural: &str, name: &str) -> Option<Value> {
        self.state().objects.get(&(plural.to_owned(), name.to_owned())).cloned()
    }

    /// Puts an object there, whatever is there.
    pub(crate) fn put(&self, plural: &str, object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        self.state().write(plural, &name, object);
        self.tell();
    }

    pub(crate) fn remove(&self, plural: &str, name: &str) {
        self.state().remove(plural, name);
        self.tell();
    }

    /// How often the client with this token has asked what begins so.
    pub(crate) fn times_asked(&self, token: &str, line: &str) -> usize {
        self.state().asked.iter().filter(|(who, asked)| who == token && asked.starts_with(line)).count()
    }

    /// Waits until the client with this token has asked more often than so.
    pub(crate) async fn until_asked(&self, token: &str, line: &str, more_than: usize) {
        let asked = async {
            while self.times_asked(token, line) <= more_than {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("{token} does not ask {line}"));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    async fn answer(self, mut stream: TcpStream) {
        let Some(question) = read(&mut stream).await else { return };
        let line = format!("{} {}", question.method, question.path);
        let mood = {
            let mut state = self.state();
            let is_watch = question.query.contains_key("watch");
            state.asked.push((question.token.clone(), if is_watch { line.replace("GET", "WATCH") } else { line }));
            state.moods.get(&question.token).copied().unwrap_or(Mood::Well)
        };
        let (status, body) = match mood {
            Mood::Silent => return std::future::pending().await,
            Mood::Refusing(status) => refusal(status, "Forbidden", "it may not"),
            Mood::Garbage => (200, json!({ "it": "works" })),
            Mood::Well if question.query.contains_key("watch") => match self.watch(&mut stream, &question).await {
                Some(refused) => refused,
                None => return,
            },
            Mood::Well => {
                let answer = self.state().answer(&question);
                self.tell();
                answer
            }
        };
        let body = body.to_string();
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    }

    /// Tells what changes until the watch ends; what it refuses instead.
    async fn watch(&self, stream: &mut TcpStream, question: &Question) -> Option<(u16, Value)> {
        let mut from: u64 = question.query["resourceVersion"].parse().unwrap();
        let (mut changed, mut watches) = (self.changed.subscribe(), self.watches.subscribe());
        if from < self.state().forgotten {
            return Some(refusal(410, "Expired", "too old resource version"));
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n").await;
        loop {
            let lines: Vec<_> = {
                let state = self.state();
                let (plural, _) = place(&question.path);
                let new =
                    state.log.iter().filter(|event| event.version > from && event.plural == plural && is_selected(&event.object, question));
                let lines = new.map(|event| format!("{}\n", json!({ "type": event.kind, "object": event.object }))).collect();
                from = state.version;
                lines
            };
            for line in lines {
                if stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).await.is_err() {
                    return None;
                }
            }
            tokio::select! {
                _ = changed.changed() => {}
                _ = watches.changed() => break,
            }
        }
        let _ = stream.write_all(b"0\r\n\r\n").await;
        None
    }
}

impl State {
    fn answer(&mut self, question: &Question) -> (u16, Value) {
        let (plural, name) = place(&question.path);
        let key = (plural.clone(), name.clone().or(question.body["metadata"]["name"].as_str().map(str::to_owned)).unwrap_or_default());
        let there = self.objects.get(&key).cloned();
        let given = &question.body["metadata"]["resourceVersion"];
        let bytes: usize = question.body["data"].as_object().into_iter().flatten().map(|(_, text)| text.as_str().unwrap().len()).sum();
        match (question.method.as_str(), name, there) {
            ("GET", None, _) => {
                let of_kind = self.objects.iter().filter(|((kind, _), object)| *kind == plural && is_selected(object, question));
                let items: Vec<_> = of_kind.map(|(_, object)| object.clone()).collect();
                (200, json!({ "kind": "List", "metadata": { "resourceVersion": self.version.to_string() }, "items": items }))
            }
            (_, Some(name), None) => refusal(404, "NotFound", &format!("{plural} {name:?} not found")),
            ("GET", Some(_), Some(object)) => (200, object),
            _ if bytes > 1 << 20 => refusal(422, "Invalid", "data: Too long: may not be more than 1048576 bytes"),
            ("POST", None, Some(_)) => refusal(409, "AlreadyExists", "it already exists"),
            ("POST", None, None) if given.is_null() => (201, self.write(&plural, &key.1, question.body.clone())),
            ("PUT", Some(_), Some(there)) if *given == there["metadata"]["resourceVersion"] => {
                // What changes nothing is no change.
                let is_same = ["data", "spec"].iter().all(|part| there[*part] == question.body[*part]);
                (200, if is_same { there } else { self.write(&plural, &key.1, question.body.clone()) })
            }
            ("PUT", ..) => refusal(409, "Conflict", "the object has been modified; please apply your changes to the latest version"),
            (method, ..) => refusal(405, "MethodNotAllowed", method),
        }
    }

    fn write(&mut self, plural: &str, name: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let before = self.objects.insert((plural.to_owned(), name.to_owned()), object.clone());
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.log.push(Event { version: self.version, kind, plural: plural.to_owned(), object: object.clone() });
        object
    }

    fn remove(&mut self, plural: &str, name: &str) {
        let Some(mut object) = self.objects.remove(&(plural.to_owned(), name.to_owned())) else { return };
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.log.push(Event { version: self.version, kind: "DELETED", plural: plural.to_owned(), object });
    }
}

async fn read(stream: &mut TcpStream) -> Option<Question> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let header =
        |name: &str| head.lines().find_map(|line| line.to_lowercase().strip_prefix(name).map(|_| line[name.len()..].trim().to_owned()));
    let mut body = vec![0; header("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    let mut words = head.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let decoded = |text: &str| text.replace("%2F", "/").replace("%3D", "=").replace("%2C", ",");
    let query = query.split('&').filter_map(|pair| pair.split_once('=')).map(|(key, value)| (key.to_owned(), decoded(value)));
    let token = header("authorization:")?.trim_start_matches("Bearer ").to_owned();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Some(Question { method, path: path.to_owned(), query: query.collect(), token, body })
}

/// The kind of object that a path is of, and which one: what is behind the namespace.
fn place(path: &str) -> (String, Option<String>) {
    let mut parts = path.split_once("/namespaces/models/").unwrap_or_else(|| panic!("{path} is of no namespace")).1.split('/');
    (parts.next().unwrap().to_owned(), parts.next().map(str::to_owned))
}

fn is_selected(object: &Value, question: &Question) -> bool {
    let pairs = |key: &str| question.query.get(key).cloned().unwrap_or_default();
    let labels = pairs("labelSelector");
    let mut labels = labels.split(',').filter_map(|pair| pair.split_once('='));
    let is_labelled = labels.all(|(label, value)| object["metadata"]["labels"][label] == value);
    let name = pairs("fieldSelector");
    is_labelled && name.strip_prefix("metadata.name=").is_none_or(|name| object["metadata"]["name"] == name)
}

fn refusal(status: u16, reason: &str, message: &str) -> (u16, Value) {
    (status, json!({ "kind": "Status", "code": status, "reason": reason, "message": message }))
}
