//! Webhook events: that they are Stripe's, and what they say.

use ring::hmac;
use serde_json::Value;

use super::{refund, session};
use crate::payments::{Notice, Outcome, Said, Told, Unread};

/// How far the time of a notice may be from now, in seconds: what is older may be one that somebody has kept and sends again.
const TOLERANCE_S: u64 = 300;

/// Whether a notice is signed with this secret, and of now: `t=TIME,v1=HMAC` with as many `v1` as there are secrets.
pub(super) fn is_signed(secret: &str, notice: Notice<'_>, now_s: i64) -> bool {
    let fields = || notice.signature.split(',').filter_map(|part| part.trim().split_once('='));
    let Some(time) = fields().find(|(name, _)| *name == "t").map(|(_, time)| time) else { return false };
    if time.parse::<i64>().map_or(true, |at| at.abs_diff(now_s) > TOLERANCE_S) {
        return false;
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let content = [time.as_bytes(), b".", notice.body].concat();
    let good = |text: &str| bytes(text).is_some_and(|tag| hmac::verify(&key, &content, &tag).is_ok());
    fields().any(|(name, text)| name == "v1" && good(text))
}

/// The bytes of hexadecimal digits.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().map(|c| c.to_digit(16)).collect::<Option<Vec<_>>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| u8::try_from(high * 16 + low).ok()).collect()
}

/// What an event says; none: nothing of what was begun here.
pub(super) fn read(body: &[u8]) -> Result<Option<Said>, Unread> {
    let event: Value = serde_json::from_slice(body).map_err(|_| Unread::Body)?;
    let (kind, object) = (event["type"].as_str().ok_or(Unread::Body)?, &event["data"]["object"]);
    match kind {
        "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" => Ok(refund::told(object)?.map(Said::GaveBack)),
        _ if kind.starts_with("checkout.session.") && session::is_ours(object) => Ok(of_session(kind, object)?.map(Said::Payment)),
        _ => Ok(None),
    }
}

fn of_session(kind: &str, session: &Value) -> Result<Option<Told>, Unread> {
    let paid = || session::paid(session).ok_or(Unread::Body);
    let outcome = match kind {
        "checkout.session.completed" => match session["payment_status"].as_str() {
            Some("paid") => paid()?,
            Some("unpaid") => Outcome::Waiting,
            Some(_) => return Ok(None),
            None => return Err(Unread::Body),
        },
        "checkout.session.async_payment_succeeded" => paid()?,
        "checkout.session.async_payment_failed" => Outcome::Failed,
        "checkout.session.expired" => Outcome::Expired,
        _ => return Ok(None),
    };
    session::about(session, outcome).map(Some).ok_or(Unread::Body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use torchmesh_ledger::usage::hex;

    use super::*;

    const SECRET: &str = "whsec_0123456789012345678901234567";
    const AT: i64 = 1_790_000_000;

    fn v1(secret: &str, at: i64, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        hex(hmac::sign(&key, format!("{at}.{body}").as_bytes()).as_ref())
    }

    fn signed(signature: &str, body: &str, now: i64) -> bool {
        is_signed(SECRET, Notice { body: body.as_bytes(), signature }, now)
    }

    #[test]
    fn a_notice_is_believed_that_is_signed_with_the_secret_and_of_now() {
        let good = v1(SECRET, AT, "{}");
        for signature in
            [format!("t={AT},v1={good}"), format!("t={AT},v1={},v1={good},v0=aa", "00".repeat(32)), format!("v1={good}, t={AT}")]
        {
            assert!(signed(&signature, "{}", AT), "{signature}");
        }
        let whole = format!("t={AT},v1={good}");
        for (now, believed) in [(AT + 300, true), (AT - 300, true), (AT + 301, false), (AT - 301, false)] {
            assert_eq!(signed(&whole, "{}", now), believed, "{now}");
        }
        assert!(!signed(&whole, "{ }", AT), "another body");
        let other = v1("whsec_another0another0another0an", AT, "{}");
        let cut = &good[..62];
        for signature in [
            format!("t={},v1={good}", AT + 1),
            format!("t={AT},v1={other}"),
            format!("t={AT},v0={good}"),
            format!("t={AT},v1={cut}"),
            format!("t={AT},v1={cut}é"),
            format!("t=,v1={good}"),
            format!("v1={good}"),
            format!("t={AT}"),
            String::new(),
        ] {
            assert!(!signed(&signature, "{}", AT), "{signature}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_without_a_panic(signature in "\\PC{0,80}", body in prop::collection::vec(any::<u8>(), 0..200)) {
            let believed = is_signed(SECRET, Notice { body: &body, signature: &signature }, AT);
            prop_assert!(!believed);
            prop_assert!(read(&body).map_or(true, |told| told.is_none()));
        }
    }
}
