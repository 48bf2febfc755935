//! The public keys of an issuer (RFC 7517).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

use super::{PublicKey, jws::Algorithm};

/// The most keys that are kept of a set.
const MOST: usize = 64;

/// A set of keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Jwks(Vec<Known>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    kid: Option<String>,
    only: Option<Algorithm>,
    key: PublicKey,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwks {
    /// Reads a set. Keys that are not for signatures that we take are left out, as the standard has it.
    ///
    /// Error: it is no set, or has no key of use to us.
    pub fn parse(text: &str) -> Result<Self, String> {
        let set: Set = serde_json::from_str(text).map_err(|error| format!("is not a JSON Web Key Set: {error}"))?;
        let keys: Vec<_> = set.keys.into_iter().filter_map(known).take(MOST).collect();
        if keys.is_empty() {
            return Err("has no public key for signatures (RSA, P-256, P-384 or Ed25519)".to_owned());
        }
        Ok(Self(keys))
    }

    /// A set of one's own keys.
    pub fn of(keys: impl IntoIterator<Item = (String, PublicKey)>) -> Self {
        Self(keys.into_iter().map(|(kid, key)| Known { kid: Some(kid), only: None, key }).collect())
    }

    /// The keys that may have signed a token: those with its key's id, or all where it names none, that are for its algorithm.
    pub(super) fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &PublicKey> {
        let fits = move |known: &&Known| {
            kid.is_none_or(|kid| known.kid.as_deref() == Some(kid))
                && known.only.is_none_or(|only| only == algorithm)
                && known.key.is_for(algorithm)
        };
        self.0.iter().filter(fits).map(|known| &known.key)
    }

    /// Whether there is a key with this id.
    pub fn has(&self, kid: &str) -> bool {
        self.0.iter().any(|known| known.kid.as_deref() == Some(kid))
    }
}

fn known(value: Value) -> Option<Known> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    if jwk.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let only = match &jwk.alg {
        Some(name) => Some(Algorithm::parse(name)?),
        None => None,
    };
    Some(Known { key: public_key(&jwk)?, kid: jwk.kid, only })
}

fn public_key(jwk: &Jwk) -> Option<PublicKey> {
    let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_ref()?).ok();
    let sized = |text: &Option<String>, size: usize| bytes(text).filter(|bytes| bytes.len() == size);
    let point = |size: usize| Some([&[4][..], &sized(&jwk.x, size)?, &sized(&jwk.y, size)?].concat());
    Some(match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => PublicKey::Rsa { n: bytes(&jwk.n)?, e: bytes(&jwk.e)? },
        ("EC", Some("P-256")) => PublicKey::P256(point(32)?),
        ("EC", Some("P-384")) => PublicKey::P384(point(48)?),
        ("OKP", Some("Ed25519")) => PublicKey::Ed25519(sized(&jwk.x, 32)?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn ed(kid: &str) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": URL_SAFE_NO_PAD.encode([7; 32]) })
    }

    #[test]
    fn keys_are_found_by_their_id_and_for_their_algorithm_only() {
        let keys = Jwks::parse(&json!({ "keys": [ed("a"), ed("b")] }).to_string()).unwrap();
        let count = |kid, algorithm| keys.candidates(kid, algorithm).count();
        assert_eq!((count(Some("a"), Algorithm::EdDsa), count(None, Algorithm::EdDsa)), (1, 2));
        assert_eq!((count(Some("c"), Algorithm::EdDsa), count(Some("a"), Algorithm::Rs(256))), (0, 0));
        assert!(keys.has("b") && !keys.has("c"));
    }

    #[test]
    fn what_is_not_for_signatures_is_left_out() {
        let secret = json!({ "kty": "oct", "k": "c2VjcmV0", "alg": "HS256" });
        let (mut sealed, mut other) = (ed("enc"), ed("alg"));
        sealed["use"] = json!("enc");
        other["alg"] = json!("HS256");
        let short = json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA" });
        let text = |keys: Value| json!({ "keys": keys }).to_string();
        let refused = Jwks::parse(&text(json!([secret, sealed, other, short, 7]))).unwrap_err();
        assert!(refused.contains("no public key"), "{refused}");
        assert!(Jwks::parse(&text(json!([secret, ed("a")]))).is_ok());
        assert!(Jwks::parse("[]").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn any_text_is_read_or_refused(fields in "(\"(kty|crv|kid|use|alg|n|e|x|y)\":(\"(RSA|EC|OKP|P-256|Ed25519|sig|[A-Za-z0-9_-]{0,50})\"|7|null),?){0,6}") {
            let _ = Jwks::parse(&format!("{{\"keys\":[{{{}}}]}}", fields.trim_end_matches(',')));
            let _ = Jwks::parse(&fields);
        }
    }
}
