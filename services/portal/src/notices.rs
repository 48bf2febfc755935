//! `POST /payments/notices`: what a payment processor says by itself. It is handed on to the accounts byte for byte, who look at the signature and book what came.

use axum::{body::Body, extract::State};
use http::{HeaderMap, StatusCode};
use torchmesh_api::accounts::v1::TakePaymentNoticeRequest;

use crate::{
    app::Shared,
    fail::{Answer, Fail},
    guard::body,
};

/// The longest notice.
const LONGEST: usize = 1 << 20;
/// The longest signature: several secrets may have signed.
const LONGEST_SIGNATURE: usize = 4096;

/// Takes one: 204 when the accounts have, and only then, since the processor sends again what was not; 400 when the signature or the body is wrong.
pub async fn take(State(app): State<Shared>, headers: HeaderMap, sent: Body) -> Answer<StatusCode> {
    let signature = headers.get("stripe-signature").and_then(|value| value.to_str().ok()).filter(|text| text.len() <= LONGEST_SIGNATURE);
    let signature = signature.ok_or_else(|| Fail::new(StatusCode::BAD_REQUEST))?.to_owned();
    let body = body::whole(sent, LONGEST, app.config.timeout).await?.to_vec();
    app.accounts.notices().take_payment_notice(app.accounts.ask(TakePaymentNoticeRequest { body, signature })).await?;
    Ok(StatusCode::NO_CONTENT)
}
