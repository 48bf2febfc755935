//! Somebody who signs tokens, and publishes the keys that they are checked with.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

/// A key to sign with.
#[derive(Debug)]
pub struct Signer {
    pair: Ed25519KeyPair,
    kid: String,
}

impl Signer {
    /// A key with this id, always the same for an id.
    pub fn new(kid: &str) -> Self {
        let mut seed = [7; 32];
        seed.iter_mut().zip(kid.bytes()).for_each(|(byte, letter)| *byte = letter);
        Self { pair: Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed has 32 bytes"), kid: kid.to_owned() }
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(&json!({ "alg": "EdDSA", "kid": self.kid }), claims)
    }

    /// The same, with a header of one's own.
    pub fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let body = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(body.as_bytes()));
        format!("{body}.{signature}")
    }

    /// The public part, as issuers publish it.
    pub fn jwk(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": self.kid, "x": URL_SAFE_NO_PAD.encode(self.pair.public_key()) })
    }
}

/// What an issuer publishes with these keys.
pub fn key_set<'a>(signers: impl IntoIterator<Item = &'a Signer>) -> String {
    json!({ "keys": signers.into_iter().map(Signer::jwk).collect::<Vec<_>>() }).to_string()
}
