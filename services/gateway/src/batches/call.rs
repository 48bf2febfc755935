//! One line's call, made through the same layers as a caller's.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Value, json, value::RawValue};
use sha2::{Digest as _, Sha256};
use torchmesh_api::headers::{X_REQUEST_TIMEOUT, X_TORCHMESH_PRIORITY, X_TORCHMESH_PRIORITY_LIMIT, X_TORCHMESH_TENANT};
use torchmesh_layers::call::CallContext;
use torchmesh_runtime::telemetry;
use tower::Service as _;

use super::{draw, metrics::BatchMetrics};
use crate::{identity::Principal, metering::OnceId, stack::Within};

/// A line is tried so often at most, while what is missing is room.
const TRIES: u32 = 10;
/// Between tries, where the answer does not say; at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// The largest answer that is kept.
const MOST_BYTES: usize = 64 << 20;

/// What all calls of a batch have in common. Cheap to clone.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) stack: Within,
    pub(super) principal: Arc<Principal>,
    pub(super) endpoint: Arc<str>,
    pub(super) batch: Arc<str>,
    pub(super) created_at: u64,
    pub(super) timeout: Duration,
    pub(super) metrics: BatchMetrics,
}

/// A line as it is written to the answers.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) text: Vec<u8>,
    pub(super) went_well: bool,
}

impl Way {
    /// Makes the call, again and again while there is no room for it, and gives the line that tells its end.
    pub(super) async fn ask(mut self, custom_id: String, body: Bytes) -> Answered {
        let mut tries = 1;
        loop {
            let Told { status, request_id, retry_after, body: answer } = self.once(&custom_id, body.clone()).await;
            let lacks_room = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            if lacks_room && tries < TRIES {
                self.metrics.retry();
                tokio::time::sleep(retry_after.unwrap_or_else(|| pause(tries, fastrand::f64()))).await;
                tries += 1;
                continue;
            }
            let went_well = status.is_success();
            let body =
                serde_json::from_slice::<Box<RawValue>>(&answer).map_or_else(|_| json!(String::from_utf8_lossy(&answer)), |raw| json!(raw));
            let response = json!({ "status_code": status.as_u16(), "request_id": request_id, "body": body });
            return Answered { text: line(&custom_id, &response, &Value::Null), went_well };
        }
    }

    async fn once(&mut self, custom_id: &str, body: Bytes) -> Told {
        let (request, request_id) = self.request(custom_id, body);
        let response = match self.stack.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (status, retry_after) = (response.status(), retry_after(response.headers().get(header::RETRY_AFTER)));
        let told = |status, body| Told { status, request_id, retry_after, body };
        match Limited::new(response.into_body(), MOST_BYTES).collect().await {
            Ok(body) => told(status, body.to_bytes()),
            Err(error) => {
                tracing::warn!(error, "the answer to a batch's line broke off");
                let body =
                    json!({ "error": { "message": "the answer broke off", "type": "server_error", "param": null, "code": "internal" } });
                told(StatusCode::INTERNAL_SERVER_ERROR, body.to_string().into())
            }
        }
    }

    fn request(&self, custom_id: &str, body: Bytes) -> (Request<Body>, String) {
        let mut request = Request::post(&*self.endpoint).body(Body::from(body)).unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(X_TORCHMESH_PRIORITY, HeaderValue::from_static("low"));
        headers.insert(X_TORCHMESH_PRIORITY_LIMIT, HeaderValue::from_static("low"));
        headers.insert(X_TORCHMESH_TENANT, self.principal.tenant_header.clone());
        headers.insert(X_REQUEST_TIMEOUT, HeaderValue::from(self.timeout.as_secs()));
        let mut call = CallContext::read(request.headers(), Instant::now(), telemetry::sample);
        call.tenant = Some(self.principal.tenant_header.clone());
        let request_id = call.request_id().to_str().unwrap_or_default().to_owned();
        let extensions = request.extensions_mut();
        extensions.insert(call);
        extensions.insert(Arc::clone(&self.principal));
        extensions.insert(once_id(&self.batch, custom_id, self.created_at));
        (request, request_id)
    }
}

/// How a call ended.
struct Told {
    status: StatusCode,
    request_id: String,
    retry_after: Option<Duration>,
    body: Bytes,
}

/// The id of the event of this line's good end: always the same, so that a line that is asked again after its answer was lost is counted once.
fn once_id(batch: &str, custom_id: &str, created_at: u64) -> OnceId {
    let hash = Sha256::new().chain_update(batch).chain_update([0]).chain_update(custom_id).finalize();
    let bits = hash.iter().take(16).fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    OnceId(torchmesh_ledger::id::new(created_at * 1000, bits))
}

fn retry_after(told: Option<&HeaderValue>) -> Option<Duration> {
    let seconds: u64 = told?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(PAUSES.1))
}

fn pause(tries: u32, draw: f64) -> Duration {
    let longest = PAUSES.0.saturating_mul(1 << tries.min(10)).min(PAUSES.1);
    longest.mul_f64(0.5 + draw / 2.0)
}

fn line(custom_id: &str, response: &Value, error: &Value) -> Vec<u8> {
    let line = json!({ "id": format!("batch_req_{}", draw()), "custom_id": custom_id, "response": response, "error": error });
    line.to_string().into_bytes()
}

/// The line of a call that was not made.
pub(super) fn not_made(custom_id: &str, code: &str, message: &str) -> Answered {
    Answered { text: line(custom_id, &Value::Null, &json!({ "code": code, "message": message })), went_well: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_one_id_for_its_good_end_and_other_lines_have_others() {
        let id = |batch, line| once_id(batch, line, 1_700_000_000).0;
        assert_eq!(id("batch_a", "1"), id("batch_a", "1"));
        assert_ne!(id("batch_a", "1"), id("batch_a", "2"));
        assert_ne!(id("batch_a", "1"), id("batch_b", "1"));
    }

    #[test]
    fn pauses_grow_and_end_at_a_minute() {
        assert!(pause(1, 0.0) >= PAUSES.0 && pause(1, 1.0) < pause(4, 0.0));
        assert_eq!(pause(30, 1.0), PAUSES.1);
        assert_eq!(retry_after(Some(&HeaderValue::from_static("3"))), Some(Duration::from_secs(3)));
        assert_eq!(retry_after(Some(&HeaderValue::from_static("86400"))), Some(PAUSES.1));
    }
}
