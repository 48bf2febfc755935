//! What a token says of somebody, held against what was asked.

use serde_json::{Map, Value};
use torchmesh_token::{Claims, Expected};

use crate::secrets;

/// How far the provider's clock and ours may be apart, in seconds.
const SKEW: u64 = 60;

/// Claims whose signature is good, and no more.
#[derive(Debug)]
pub(super) struct Claimed(pub(super) Map<String, Value>);

/// What they are held against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    /// Seconds since 1970.
    pub(super) now: u64,
}

/// Who a provider says that somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    /// The same for as long as they are there, whatever their address.
    pub(super) subject: String,
    /// Their address, where the provider says that it is theirs.
    pub(super) email: Option<String>,
}

impl Claimed {
    /// OpenID Connect Core, section 3.1.3.7.
    ///
    /// Error: what is wrong with them, for the log.
    pub(super) fn check(self, asked: Asked<'_>) -> Result<Subject, String> {
        let audiences = [asked.client_id.to_owned()];
        let expected = Expected { issuer: asked.issuer, audiences: &audiences, skew: SKEW, now: asked.now };
        let claims = Claims::check(self.0, expected).map_err(|refused| refused.to_string())?;
        let text = |name: &str| claims.all.get(name).and_then(Value::as_str);
        let is_for_several = claims.all.get("aud").and_then(Value::as_array).is_some_and(|several| several.len() > 1);
        match claims.all.get("azp") {
            Some(party) if party.as_str() != Some(asked.client_id) => return Err("the token was given to another client".to_owned()),
            None if is_for_several => return Err("the token is for several, and does not say to whom it was given".to_owned()),
            _ => {}
        }
        if !text("nonce").is_some_and(|nonce| secrets::same(nonce, asked.nonce)) {
            return Err("the token was asked for by somebody else".to_owned());
        }
        // Some providers have it as a text.
        let verified = claims.all.get("email_verified").is_some_and(|told| *told == true || *told == "true");
        let email = text("email").filter(|_| verified).map(str::to_owned);
        Ok(Subject { subject: claims.subject, email })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(change: &Value) -> Result<Subject, String> {
        let mut claims =
            json!({ "iss": "https://id", "sub": "me", "aud": "mesh", "exp": 1000, "nonce": "n", "email": "a@b", "email_verified": true });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let asked = Asked { issuer: "https://id", client_id: "mesh", nonce: "n", now: 900 };
        Claimed(claims.as_object().unwrap().clone()).check(asked)
    }

    #[test]
    fn what_fits_says_who_somebody_is() {
        let subject = |email: Option<&str>| Subject { subject: "me".to_owned(), email: email.map(str::to_owned) };
        assert_eq!(check(&json!({})), Ok(subject(Some("a@b"))));
        assert_eq!(check(&json!({ "aud": ["mesh", "other"], "azp": "mesh", "email_verified": "true" })), Ok(subject(Some("a@b"))));
        for unverified in [json!(false), json!("false"), json!(null), json!(1), json!("yes")] {
            assert_eq!(check(&json!({ "email_verified": unverified })), Ok(subject(None)), "{unverified}");
        }
    }

    #[test]
    fn what_is_of_another_issuer_for_another_client_too_old_or_not_asked_for_is_refused() {
        for wrong in [
            json!({ "iss": "https://other" }),
            json!({ "aud": "other" }),
            json!({ "aud": ["other"] }),
            json!({ "aud": ["mesh", "other"] }),
            json!({ "azp": "other" }),
            json!({ "azp": 7 }),
            json!({ "exp": 800 }),
            json!({ "exp": null }),
            json!({ "nbf": 1000 }),
            json!({ "nonce": "m" }),
            json!({ "nonce": "" }),
            json!({ "nonce": null }),
            json!({ "nonce": ["n"] }),
            json!({ "sub": null }),
        ] {
            assert!(check(&wrong).is_err(), "{wrong}");
        }
    }
}
