//! A server that speaks as Stripe documents its Checkout, over a socket.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use ring::hmac;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use torchmesh_ledger::usage::hex;

pub(super) const KEY: &str = "sk_test_0123456789012345678901234567";
pub(super) const SECRET: &str = "whsec_0123456789012345678901234567";

/// How something is answered in place of what was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    /// An error: its status, its type and its message.
    Error(u16, &'static str, &'static str),
    /// Done, and nothing is said of it.
    DoneAndNever,
    Never,
    Text(&'static str),
    Endless,
    /// A redirect to this address.
    To(&'static str),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) line: String,
    pub(super) key: String,
    authorization: String,
    content_type: String,
    pub(super) form: Vec<(String, String)>,
}

impl Request {
    pub(super) fn field(&self, name: &str) -> &str {
        self.form.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }
}

#[derive(Debug)]
struct Session {
    asked: Request,
    told: Value,
}

#[derive(Debug, Default)]
struct Inner {
    got: Vec<Request>,
    sessions: Vec<Session>,
    answers: VecDeque<Answer>,
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Fake {
    port: u16,
    inner: Arc<Mutex<Inner>>,
}

impl Fake {
    pub(super) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self { port: listener.local_addr().unwrap().port(), inner: Arc::default() };
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                // Whoever hangs up has what they wanted.
                tokio::spawn(async move { serving.serve(stream).await.unwrap_or_default() });
            }
        });
        fake
    }

    pub(super) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How the next ones are answered.
    pub(super) fn answers(&self, answers: &[Answer]) {
        self.inner.lock().unwrap().answers.extend(answers);
    }

    pub(super) fn got(&self) -> Vec<Request> {
        self.inner.lock().unwrap().got.clone()
    }

    pub(super) fn sessions(&self) -> usize {
        self.inner.lock().unwrap().sessions.len()
    }

    /// Changes a session as Stripe would.
    pub(super) fn set(&self, session: &str, change: &Value) {
        let mut inner = self.inner.lock().unwrap();
        let session = inner.sessions.iter_mut().find(|kept| kept.told["id"] == session).unwrap();
        for (name, value) in change.as_object().unwrap() {
            session.told[name] = value.clone();
        }
    }

    /// Somebody pays a session.
    pub(super) fn pay(&self, session: &str, intent: &str) {
        self.set(session, &json!({ "status": "complete", "payment_status": "paid", "payment_intent": intent }));
    }

    /// The event of a session as it is now.
    pub(super) fn event(&self, kind: &str, session: &str) -> Vec<u8> {
        let inner = self.inner.lock().unwrap();
        let session = inner.sessions.iter().find(|kept| kept.told["id"] == session).unwrap();
        json!({ "id": "evt_1", "object": "event", "type": kind, "data": { "object": session.told } }).to_string().into_bytes()
    }

    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        while let Some(request) = read(&mut stream).await? {
            let answer = {
                let mut inner = self.inner.lock().unwrap();
                inner.got.push(request.clone());
                inner.answers.pop_front()
            };
            let (status, body) = match answer {
                None => self.answer(request),
                Some(Answer::Error(status, kind, message)) => (status, error(kind, message)),
                Some(Answer::Text(text)) => (200, text.to_owned()),
                Some(Answer::DoneAndNever) => {
                    self.answer(request);
                    std::future::pending().await
                }
                Some(Answer::Never) => std::future::pending().await,
                Some(Answer::To(url)) => {
                    stream.write_all(format!("HTTP/1.1 307 x\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await?;
                    continue;
                }
                Some(Answer::Endless) => {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await?;
                    loop {
                        stream.write_all(&[b'a'; 4096]).await?;
                    }
                }
            };
            stream.write_all(format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await?;
        }
        Ok(())
    }

    fn answer(&self, request: Request) -> (u16, String) {
        if request.authorization != format!("Bearer {KEY}") {
            return (401, error("invalid_request_error", "Invalid API Key provided: sk_test_****4567"));
        }
        let mut inner = self.inner.lock().unwrap();
        let (method, path) = request.line.split_once(' ').unwrap();
        let Some(rest) = path.strip_prefix("/v1/checkout/sessions") else {
            return (404, error("invalid_request_error", "no such address"));
        };
        match (method, rest.trim_start_matches('/')) {
            ("POST", "") => inner.begin(request),
            ("GET", id) => {
                inner.sessions.iter().find(|kept| kept.told["id"] == id).map_or_else(absent, |kept| (200, kept.told.to_string()))
            }
            ("POST", rest) => {
                let id = rest.strip_suffix("/expire").unwrap_or_default();
                let Some(kept) = inner.sessions.iter_mut().find(|kept| kept.told["id"] == id) else { return absent() };
                if kept.told["status"] != "open" {
                    return (400, error("invalid_request_error", "Only Checkout Sessions with a status in [\"open\"] can be expired."));
                }
                kept.told["status"] = "expired".into();
                (200, kept.told.to_string())
            }
            _ => absent(),
        }
    }
}

impl Inner {
    fn begin(&mut self, asked: Request) -> (u16, String) {
        let wrong = |message: &str| (400, error("invalid_request_error", message));
        if asked.content_type != "application/x-www-form-urlencoded" {
            return wrong("Invalid content type");
        }
        if let Some(kept) = self.sessions.iter().find(|kept| kept.asked.key == asked.key) {
            if kept.asked.form != asked.form {
                return (400, error("idempotency_error", "Keys for idempotent requests can only be used with the same parameters."));
            }
            return (200, kept.told.to_string());
        }
        let item = |name: &str| asked.field(&format!("line_items[0][{name}")).to_owned();
        let amount = item("price_data][unit_amount]").parse::<u64>();
        let Ok(amount) = amount else { return wrong("Invalid integer") };
        let currency = item("price_data][currency]");
        let links = [asked.field("success_url"), asked.field("cancel_url")];
        let whole = asked.field("mode") == "payment"
            && item("quantity]") == "1"
            && currency.len() == 3
            && currency.chars().all(|c| c.is_ascii_lowercase())
            && !item("price_data][product_data][name]").is_empty()
            && links.iter().all(|link| link.starts_with("https://"));
        if !whole || asked.key.is_empty() {
            return wrong("Missing required param");
        }
        let id = format!("cs_test_{}", self.sessions.len() + 1);
        let metadata = ["payment", "tenant", "invoice"].map(|name| (name, asked.field(&format!("metadata[{name}]"))));
        let metadata: HashMap<&str, &str> = metadata.into_iter().collect();
        let told = json!({
            "id": id, "object": "checkout.session", "status": "open", "payment_status": "unpaid", "payment_intent": null,
            "client_reference_id": asked.field("client_reference_id"), "metadata": metadata, "amount_total": amount, "currency": currency,
            "url": format!("https://checkout.stripe.com/c/pay/{id}"),
        });
        self.sessions.push(Session { asked, told: told.clone() });
        (200, told.to_string())
    }
}

fn error(kind: &str, message: &str) -> String {
    json!({ "error": { "type": kind, "message": message } }).to_string()
}

fn absent() -> (u16, String) {
    (404, error("invalid_request_error", "No such checkout.session"))
}

async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let (mut request, mut length, mut line) = (Request::default(), 0, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let text = line.trim();
        if text.is_empty() {
            break;
        }
        match text.split_once(": ") {
            None => request.line = text.rsplit_once(' ').unwrap().0.to_owned(),
            Some(("authorization", value)) => value.clone_into(&mut request.authorization),
            Some(("content-type", value)) => value.clone_into(&mut request.content_type),
            Some(("idempotency-key", value)) => value.clone_into(&mut request.key),
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(_) => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    request.form = form_urlencoded::parse(&body).into_owned().collect();
    Ok(Some(request))
}

/// The header `Stripe-Signature` of a body at a time.
pub(super) fn signature(body: &[u8], at_ms: i64) -> String {
    let (key, at) = (hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), at_ms / 1000);
    let tag = hmac::sign(&key, &[at.to_string().as_bytes(), b".", body].concat());
    format!("t={at},v1={}", hex(tag.as_ref()))
}
