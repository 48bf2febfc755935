//! How messages are signed, and how whoever gets them verifies that, as Standard Webhooks has it: an HMAC-SHA256 of the message's id, the time of the attempt and the body.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::hmac;

/// How far the time of an attempt may be from the receiver's clock: what is older may be one that somebody has kept and sends again.
pub const TOLERANCE_S: i64 = 300;
/// What secrets begin with.
const PREFIX: &str = "whsec_";
/// What signatures of this kind begin with.
const VERSION: &str = "v1,";

/// A secret as it is shown.
pub(super) fn shown(secret: &[u8]) -> String {
    format!("{PREFIX}{}", BASE64_STANDARD.encode(secret))
}

fn signed(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

/// The header `webhook-signature`: one signature for each secret, with blanks between.
pub(super) fn sign(secrets: &[Vec<u8>], id: &str, timestamp_s: i64, body: &[u8]) -> String {
    let content = signed(id, &timestamp_s.to_string(), body);
    let sign = |secret: &Vec<u8>| {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), &content);
        format!("{VERSION}{}", BASE64_STANDARD.encode(tag))
    };
    secrets.iter().map(sign).collect::<Vec<_>>().join(" ")
}

/// A message as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    /// The header `webhook-id`.
    pub id: &'a str,
    /// The header `webhook-timestamp`.
    pub timestamp: &'a str,
    /// The header `webhook-signature`.
    pub signature: &'a str,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

/// Why a message is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unverified {
    /// The secret is none: `whsec_` and base64.
    Secret,
    /// The timestamp is no number, or further from now than [`TOLERANCE_S`].
    Time,
    /// No signature is one of this message by this secret.
    Signature,
}

impl fmt::Display for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret => "the secret must be whsec_ and base64",
            Self::Time => "the timestamp is none, or more than five minutes from now",
            Self::Signature => "no signature is good",
        })
    }
}

impl std::error::Error for Unverified {}

/// Whether a message is from whoever has the secret, and from now: what a receiver asks first. That it comes once is the receiver's to see to, by the id.
pub fn verify(secret: &str, received: Received<'_>, now_s: i64) -> Result<(), Unverified> {
    let secret = secret.strip_prefix(PREFIX).and_then(|text| BASE64_STANDARD.decode(text).ok()).ok_or(Unverified::Secret)?;
    let at: i64 = received.timestamp.parse().map_err(|_| Unverified::Time)?;
    if at.abs_diff(now_s) > TOLERANCE_S.unsigned_abs() {
        return Err(Unverified::Time);
    }
    let (key, content) = (hmac::Key::new(hmac::HMAC_SHA256, &secret), signed(received.id, received.timestamp, received.body));
    let good = |text: &str| {
        let tag = text.strip_prefix(VERSION).and_then(|text| BASE64_STANDARD.decode(text).ok());
        tag.is_some_and(|tag| hmac::verify(&key, &content, &tag).is_ok())
    };
    if received.signature.split(' ').any(good) { Ok(()) } else { Err(Unverified::Signature) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that libraries of Standard Webhooks are tried with.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn received(signature: &str) -> Received<'_> {
        Received { id: ID, timestamp: "1614265330", signature, body: BODY }
    }

    #[test]
    fn a_signature_is_that_of_the_standard() {
        let secret = BASE64_STANDARD.decode(&SECRET[PREFIX.len()..]).unwrap();
        assert_eq!(sign(std::slice::from_ref(&secret), ID, AT, BODY), SIGNATURE);
        assert_eq!(shown(&secret), SECRET);
        assert_eq!(verify(SECRET, received(SIGNATURE), AT), Ok(()));
    }

    #[test]
    fn while_a_secret_rotates_either_one_verifies() {
        let secrets = [b"new".to_vec(), b"old".to_vec()];
        let signature = sign(&secrets, ID, AT, BODY);
        for secret in &secrets {
            assert_eq!(verify(&shown(secret), received(&signature), AT), Ok(()));
        }
        assert_eq!(verify(&shown(b"other"), received(&signature), AT), Err(Unverified::Signature));
    }

    #[test]
    fn a_message_that_is_sent_again_after_five_minutes_is_refused() {
        for (now, verdict) in [(AT + 300, Ok(())), (AT - 300, Ok(())), (AT + 301, Err(Unverified::Time)), (AT - 301, Err(Unverified::Time))]
        {
            assert_eq!(verify(SECRET, received(SIGNATURE), now), verdict, "{now}");
        }
        let fresh = Received { timestamp: "1614265999", ..received(SIGNATURE) };
        assert_eq!(verify(SECRET, fresh, 1_614_265_999), Err(Unverified::Signature), "the time is signed");
    }

    #[test]
    fn whatever_was_changed_on_the_way_is_refused() {
        let changed = [
            Received { id: "msg_other", ..received(SIGNATURE) },
            Received { body: b"{}", ..received(SIGNATURE) },
            received("v1,AAAA"),
            received("v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            received(""),
        ];
        for received in changed {
            assert_eq!(verify(SECRET, received, AT), Err(Unverified::Signature), "{received:?}");
        }
        assert_eq!(verify("secret", received(SIGNATURE), AT), Err(Unverified::Secret));
        assert_eq!(verify(SECRET, Received { timestamp: "soon", ..received(SIGNATURE) }, AT), Err(Unverified::Time));
    }
}
