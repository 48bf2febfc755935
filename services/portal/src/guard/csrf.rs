//! Forms are bound to whoever they were shown to: each has a token that is made from the secret in their cookie, which no other site can read.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, Method};
use ring::{
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};
use subtle::ConstantTimeEq as _;

/// The field of forms.
pub const FIELD: &str = "csrf";
/// The header of what scripts send.
pub const HEADER: &str = "x-csrf-token";

/// The token of the forms of whoever has this secret in their cookie. It does not tell the secret.
pub fn token(secret: &str) -> String {
    made_for(secret, b"torchmesh portal, forms")
}

/// What whoever has this secret in their cookie is known by when they come back from a provider. It does not tell the secret, nor the token of the forms.
pub fn binding(secret: &str) -> String {
    made_for(secret, b"torchmesh portal, providers")
}

fn made_for(secret: &str, purpose: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, purpose))
}

/// Whether a token is that of the secret, in a time that does not tell how much of it is.
pub fn fits(secret: &str, shown: &str) -> bool {
    !secret.is_empty() && bool::from(token(secret).as_bytes().ct_eq(shown.as_bytes()))
}

/// A new secret for a visitor; none when there are no random numbers.
pub fn draw() -> Option<String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// Whether a request changes anything.
pub fn is_needed(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether the browser itself says that another site has sent it. Those that say nothing are believed as far as their token goes.
pub fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_another_site_sends_is_known_by_its_header() {
        let mut headers = HeaderMap::new();
        assert!(!is_from_elsewhere(&headers));
        for (site, elsewhere) in [("same-origin", false), ("none", false), ("same-site", true), ("cross-site", true)] {
            headers.insert("sec-fetch-site", HeaderValue::from_static(site));
            assert_eq!(is_from_elsewhere(&headers), elsewhere, "{site}");
        }
    }

    proptest! {
        #[test]
        fn a_token_fits_its_own_secret_and_no_other(one in ".{1,40}", other in ".{1,40}") {
            prop_assert!(fits(&one, &token(&one)) && !fits(&one, &binding(&one)));
            prop_assert_eq!(binding(&one) == binding(&other), one == other);
            prop_assert_eq!(fits(&one, &token(&other)), one == other);
            prop_assert!(!fits(&one, "") && !fits(&one, &one) && !fits("", &token("")));
        }
    }
}
