//! Stripe's Checkout, by its HTTP API: a session for each payment, on a page of Stripe's. No card is ever seen here.

mod notice;
mod refund;
mod session;
mod units;

use std::time::Duration;

use bytes::BytesMut;
use futures_util::{FutureExt as _, future::BoxFuture};
use reqwest::{Client, Method, Response, StatusCode, header::CONTENT_TYPE, redirect::Policy};
use serde_json::Value;

use super::{Asked, Failed, Notice, PaymentProcessor, Said, Session, StripeSettings, Told, Unread};

/// How long one request may take: whoever pays looks at a page meanwhile.
const TIMEOUT: Duration = Duration::from_secs(8);
/// The version of the API that is spoken, whatever the account's own is.
const VERSION: &str = "2024-06-20";
/// What is longer is no answer of Stripe's.
const LONGEST: usize = 256 << 10;
/// The longest part of what Stripe says that is logged.
const LOGGED: usize = 200;

/// See the module.
#[derive(Debug)]
pub struct Stripe {
    settings: StripeSettings,
    http: Client,
}

impl Stripe {
    /// By these settings; nobody is asked yet.
    ///
    /// Error: why nobody can be.
    pub fn new(settings: StripeSettings) -> Result<Self, String> {
        Self::waiting(settings, TIMEOUT)
    }

    /// The same, with another patience.
    pub(crate) fn waiting(settings: StripeSettings, timeout: Duration) -> Result<Self, String> {
        // The first provider of the process stays; they are all the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            // Its redirects would take the key elsewhere.
            .redirect(Policy::none())
            .timeout(timeout)
            .user_agent(concat!("torchmesh/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("payments: the processor cannot be reached: {error}"))?;
        Ok(Self { settings, http })
    }

    /// Asks Stripe for something; gives its JSON.
    async fn ask(&self, method: Method, path: &str, form: Option<(String, &str)>) -> Result<Value, Failed> {
        let key = self.settings.secret_key.read().map_err(|error| {
            tracing::error!(error, "payments.secret_key_file cannot be read");
            Failed::Away
        })?;
        let mut request = self
            .http
            .request(method, format!("{}/v1/checkout/sessions{path}", self.settings.address))
            .bearer_auth(key)
            .header("Stripe-Version", VERSION);
        if let Some((form, idempotency)) = form {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
            if !idempotency.is_empty() {
                request = request.header("Idempotency-Key", idempotency);
            }
        }
        let response = request.send().await.map_err(|error| away(&error.without_url()))?;
        let status = response.status();
        let body = whole(response).await?;
        let told = serde_json::from_slice::<Value>(&body).ok().filter(Value::is_object);
        if status.is_success() {
            return told.ok_or_else(|| garbage("no JSON object"));
        }
        Err(refused(status, told.as_ref()))
    }
}

async fn whole(mut response: Response) -> Result<BytesMut, Failed> {
    let mut body = BytesMut::new();
    while let Some(part) = response.chunk().await.map_err(|error| away(&error.without_url()))? {
        body.extend_from_slice(&part);
        if body.len() > LONGEST {
            return Err(garbage("too long an answer"));
        }
    }
    Ok(body)
}

fn away(error: &reqwest::Error) -> Failed {
    tracing::warn!(%error, "the payment processor does not answer");
    Failed::Away
}

/// What Stripe did may have been done, whatever it says.
fn garbage(what: &str) -> Failed {
    tracing::error!(what, "the payment processor's answer is not understood");
    Failed::Away
}

/// What an error means: those of a request that was looked at stay the same for its idempotency key, those before that do not.
fn refused(status: StatusCode, told: Option<&Value>) -> Failed {
    let text = |name: &str| told.and_then(|told| told["error"][name].as_str()).unwrap_or_default().chars().take(LOGGED).collect::<String>();
    // What it says of a key that is not good has a part of the key in it.
    let said = if status == StatusCode::UNAUTHORIZED { String::new() } else { text("message") };
    tracing::error!(
        status = status.as_u16(),
        kind = text("type"),
        code = text("code"),
        said,
        "the payment processor has refused a request"
    );
    let not_looked_at =
        matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS);
    if not_looked_at || told.is_none_or(|told| !told["error"].is_object()) { Failed::Away } else { Failed::Refused }
}

/// What Stripe calls something is letters, digits and underscores; anything else has no place in an address.
fn is_name(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl PaymentProcessor for Stripe {
    fn name(&self) -> &'static str {
        "stripe"
    }

    fn begin<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Session, Failed>> {
        async move {
            let form = session::form(asked, &self.settings.return_link).ok_or_else(|| {
                tracing::error!(amount = %asked.amount, "the payment processor takes no such amount");
                Failed::Refused
            })?;
            session::begun(&self.ask(Method::POST, "", Some((form, asked.id.as_str()))).await?).ok_or_else(|| garbage("no session"))
        }
        .boxed()
    }

    fn find<'a>(&'a self, session: &'a str) -> BoxFuture<'a, Result<Told, Failed>> {
        async move {
            let told = self.ask(Method::GET, &format!("/{session}"), None).await?;
            session::told(&told).ok_or_else(|| garbage("no session"))
        }
        .boxed()
    }

    fn end<'a>(&'a self, session: &'a str) -> BoxFuture<'a, Result<(), Failed>> {
        async move { self.ask(Method::POST, &format!("/{session}/expire"), Some((String::new(), ""))).await.map(|_| ()) }.boxed()
    }

    fn read(&self, notice: Notice<'_>, now_ms: i64) -> Result<Option<Said>, Unread> {
        let secret = self.settings.webhook_secret.read().map_err(|error| {
            tracing::error!(error, "payments.webhook_secret_file cannot be read; notices are refused");
            Unread::Secret
        })?;
        if !notice::is_signed(&secret, notice, now_ms / 1000) {
            return Err(Unread::Signature);
        }
        notice::read(notice.body)
    }
}
