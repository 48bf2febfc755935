//! What a token says of its time and of whom it is for.

use serde_json::{Map, Value};

use super::Refused;

/// What a token is held against.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Whoever must have given it.
    pub issuer: &'a str,
    /// For whom it may be.
    pub audiences: &'a [String],
    /// How far two clocks may be apart, in seconds.
    pub skew: u64,
    /// Seconds since 1970.
    pub now: u64,
}

/// Claims that were found to be good.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    /// `sub`.
    pub subject: String,
    /// Until when they are good, in seconds since 1970.
    pub until: u64,
    /// All of them.
    pub all: Map<String, Value>,
}

impl Claims {
    /// Holds claims, whose signature is good, against what is expected.
    pub fn check(all: Map<String, Value>, expected: Expected<'_>) -> Result<Self, Refused> {
        let Expected { issuer, audiences, skew, now } = expected;
        if all.get("iss").and_then(Value::as_str) != Some(issuer) {
            return Err(Refused::Issuer);
        }
        let is_ours = |told: &Value| told.as_str().is_some_and(|told| audiences.iter().any(|ours| ours == told));
        let for_us = match all.get("aud") {
            Some(Value::Array(several)) => several.iter().any(is_ours),
            Some(one) => is_ours(one),
            None => false,
        };
        if !for_us {
            return Err(Refused::Audience(audiences.first().cloned().unwrap_or_default()));
        }
        let until = time(&all, "exp")?.ok_or_else(|| Refused::Claim("exp".to_owned()))?.saturating_add(skew);
        if until <= now {
            return Err(Refused::Expired);
        }
        if time(&all, "nbf")?.is_some_and(|from| from > now.saturating_add(skew)) {
            return Err(Refused::NotYet);
        }
        let subject =
            all.get("sub").and_then(Value::as_str).filter(|sub| (1..=256).contains(&sub.len()) && !sub.contains(char::is_control));
        let subject = subject.ok_or_else(|| Refused::Claim("sub".to_owned()))?.to_owned();
        Ok(Self { subject, until, all })
    }

    /// The words of a claim: a list of texts, or one text with blanks between (RFC 8693, section 4.2).
    pub fn words(&self, claim: &str) -> Vec<&str> {
        match self.all.get(claim) {
            Some(Value::String(text)) => text.split_whitespace().collect(),
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

/// A time, in whole seconds: a number that is none is no time.
fn time(all: &Map<String, Value>, claim: &str) -> Result<Option<u64>, Refused> {
    let Some(told) = all.get(claim) else { return Ok(None) };
    let seconds = told.as_u64().or_else(|| told.as_f64().filter(|&seconds| (0.0..1e15).contains(&seconds)).map(|seconds| seconds as u64));
    seconds.ok_or_else(|| Refused::Claim(claim.to_owned())).map(Some)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn check(change: &Value, now: u64) -> Result<Claims, Refused> {
        let mut claims = json!({ "iss": "https://id", "sub": "me", "aud": "torchmesh", "exp": 1000, "nbf": 500 });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let all =
            claims.as_object().unwrap().iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), value.clone()));
        let audiences = ["torchmesh".to_owned(), "mesh".to_owned()];
        Claims::check(all.collect(), Expected { issuer: "https://id", audiences: &audiences, skew: 60, now })
    }

    #[test]
    fn a_good_token_is_good_for_its_time_and_the_skew_of_clocks() {
        let read = check(&json!({}), 700).unwrap();
        assert_eq!((read.subject.as_str(), read.until), ("me", 1060));
        assert!(check(&json!({}), 440).is_ok() && check(&json!({}), 1059).is_ok());
    }

    #[test]
    fn an_expired_token_is_refused() {
        assert_eq!(check(&json!({}), 1060).unwrap_err(), Refused::Expired);
    }

    #[test]
    fn a_token_whose_time_has_not_come_is_refused() {
        assert_eq!(check(&json!({}), 439).unwrap_err(), Refused::NotYet);
    }

    #[test]
    fn a_token_for_somebody_else_is_refused_with_whom_to_ask_for() {
        for aud in [json!("other"), json!(["other", "more"]), json!(null), json!(7), json!([]), json!("")] {
            let refused = check(&json!({ "aud": aud }), 700).unwrap_err();
            assert_eq!(refused, Refused::Audience("torchmesh".to_owned()));
        }
        assert!(check(&json!({ "aud": ["other", "mesh"] }), 700).is_ok());
    }

    #[test]
    fn a_token_of_somebody_else_is_refused() {
        for iss in [json!("https://id/"), json!("https://other"), json!(null), json!(["https://id"])] {
            assert_eq!(check(&json!({ "iss": iss }), 700).unwrap_err(), Refused::Issuer);
        }
    }

    #[test]
    fn a_claim_of_another_kind_is_none() {
        for (name, value) in [
            ("exp", json!("1000")),
            ("exp", json!(null)),
            ("exp", json!(-1)),
            ("nbf", json!("500")),
            ("sub", json!(7)),
            ("sub", json!("")),
            ("sub", json!("a\nb")),
        ] {
            assert_eq!(check(&json!({ name: value }), 700).unwrap_err(), Refused::Claim(name.to_owned()), "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_time_outside_its_own_is_good(exp: u64, nbf: u64, now: u64) {
            let taken = check(&json!({ "exp": exp, "nbf": nbf }), now).is_ok();
            prop_assert_eq!(taken, now < exp.saturating_add(60) && nbf <= now.saturating_add(60));
        }
    }
}
