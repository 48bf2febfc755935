//! A payment processor: it speaks as Stripe's Checkout as far as it is asked here, and signs what it tells.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use ring::hmac;
use serde_json::{Value, json};

use crate::served::Served;

/// The key that it is asked with.
pub const KEY: &str = "sk_test_0123456789012345678901234567";
/// What it signs with.
pub const SECRET: &str = "whsec_0123456789012345678901234567";

/// The processor, gone when it is dropped.
#[derive(Debug)]
pub struct Checkout {
    session: Arc<Mutex<Value>>,
    server: Served,
}

impl Checkout {
    /// Starts one on a port of its own. It has one session.
    pub async fn start() -> Self {
        let session = Arc::new(Mutex::new(Value::Null));
        let shared = Arc::clone(&session);
        let server = Served::start(move |request| answer(Arc::clone(&shared), request)).await;
        Self { session, server }
    }

    /// Where its API is.
    pub fn address(&self) -> String {
        format!("http://{}", self.server.addr)
    }

    /// The event that its session was paid, with the header that says that it is from now.
    pub fn paid(&self, intent: &str, now_s: u64) -> (Bytes, String) {
        let mut session = self.session.lock().expect("no test panics while it holds this");
        for (name, value) in [("status", "complete"), ("payment_status", "paid"), ("payment_intent", intent)] {
            session[name] = value.into();
        }
        let body = json!({ "id": "evt_1", "type": "checkout.session.completed", "data": { "object": *session } }).to_string();
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let tag = hmac::sign(&key, format!("{now_s}.{body}").as_bytes());
        let hex: String = tag.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        (body.into(), format!("t={now_s},v1={hex}"))
    }
}

async fn answer(session: Arc<Mutex<Value>>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let is_known = request.headers().get("authorization").is_some_and(|shown| *shown == format!("Bearer {KEY}").as_str());
    let begins = request.method() == Method::POST;
    let form = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut session = session.lock().expect("no test panics while it holds this");
    if begins {
        let fields: Vec<(String, String)> = form_urlencoded::parse(&form).into_owned().collect();
        let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone()).unwrap_or_default();
        *session = json!({
            "id": "cs_test_1", "object": "checkout.session", "status": "open", "payment_status": "unpaid", "payment_intent": null,
            "url": "https://checkout.stripe.com/c/pay/cs_test_1", "client_reference_id": field("client_reference_id"),
            "metadata": { "payment": field("metadata[payment]"), "tenant": field("metadata[tenant]") },
            "currency": field("line_items[0][price_data][currency]"),
            "amount_total": field("line_items[0][price_data][unit_amount]").parse::<u64>().unwrap_or_default(),
        });
    }
    let mut response = Response::new(Full::new(session.to_string().into()));
    *response.status_mut() = if is_known { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
    response
}
