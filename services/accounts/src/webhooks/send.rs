//! One attempt to send a message.

use std::{error::Error, time::Duration};

use reqwest::{Client, Response, StatusCode, header::CONTENT_TYPE, redirect::Policy};

use super::{
    WebhookSettings,
    address::{self, Checked, NotPublic},
    settings::Rules,
    signature,
};

/// So much of an answer's body is read, which says nothing here, so that the connection can be used again.
const MOST_BYTES: usize = 4096;
/// How long that may take.
const BODY_WITHIN: Duration = Duration::from_secs(1);
/// The longest text of an error that is kept.
const LONGEST: usize = 200;

/// What there is to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) url: &'a str,
    pub(super) id: &'a str,
    pub(super) body: &'a str,
    pub(super) secrets: &'a [Vec<u8>],
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// 0: nobody answered.
    pub(super) status: u16,
    /// Why it failed; empty: it did not.
    pub(super) error: String,
}

impl Answer {
    fn none(error: impl Into<String>) -> Self {
        Self { status: 0, error: error.into().chars().take(LONGEST).collect() }
    }

    /// Whether the receiver has taken it.
    pub(super) fn is_taken(&self) -> bool {
        self.error.is_empty()
    }

    /// Whether the receiver says that nobody is there any more.
    pub(super) fn is_gone(&self) -> bool {
        self.status == StatusCode::GONE.as_u16()
    }
}

/// Sends messages.
#[derive(Debug)]
pub(super) struct Sender {
    http: Client,
    rules: Rules,
    timeout: Duration,
}

impl Sender {
    pub(super) fn new(settings: &WebhookSettings) -> Result<Self, String> {
        // The first provider of the process stays; they are all the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            // A proxy would look names up itself.
            .no_proxy()
            // What an answer points to has not been checked.
            .redirect(Policy::none())
            .https_only(!settings.rules.allow_http)
            .dns_resolver(Checked(settings.rules))
            .timeout(settings.timeout)
            .pool_max_idle_per_host(1)
            .user_agent(concat!("torchmesh-webhooks/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("webhooks cannot be sent: {error}"))?;
        Ok(Self { http, rules: settings.rules, timeout: settings.timeout })
    }

    /// Sends a message, signed at this time.
    pub(super) async fn send(&self, message: Message<'_>, now_ms: i64) -> Answer {
        // The address was checked when it was registered, by the rules that held then.
        let url = match address::parse(message.url, self.rules) {
            Ok(url) => url,
            Err(error) => return Answer::none(format!("the address {error}")),
        };
        let timestamp = now_ms / 1000;
        let signature = signature::sign(message.secrets, message.id, timestamp, message.body.as_bytes());
        let request = self.http.post(url).header(CONTENT_TYPE, "application/json").header("webhook-id", message.id);
        let request = request.header("webhook-timestamp", timestamp).header("webhook-signature", signature);
        match tokio::time::timeout(self.timeout, request.body(message.body.to_owned()).send()).await {
            Ok(Ok(response)) => read(response).await,
            Ok(Err(error)) => Answer::none(why(&error)),
            Err(_) => Answer::none("it did not answer in time"),
        }
    }
}

async fn read(mut response: Response) -> Answer {
    let status = response.status();
    let rest = async {
        let mut bytes = 0;
        while let Ok(Some(part)) = response.chunk().await {
            bytes += part.len();
            if bytes > MOST_BYTES {
                break;
            }
        }
    };
    // The status has said it all.
    let _ = tokio::time::timeout(BODY_WITHIN, rest).await;
    let error = match status {
        status if status.is_success() => String::new(),
        status if status.is_redirection() => format!("it answered {}, and redirects are not followed", status.as_u16()),
        status => format!("it answered {}", status.as_u16()),
    };
    Answer { status: status.as_u16(), error }
}

/// An error of reqwest's says the least by itself; what is behind it says why.
fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        if next.is::<NotPublic>() {
            return NotPublic.to_string();
        }
        cause = next;
    }
    cause.to_string()
}
