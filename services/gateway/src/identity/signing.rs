//! The keys that the gateway signs its own tokens with: one PEM file that every replica has. The first key signs; all of them are good, so that a new one
//! can be put in front while tokens of the one before it are still about.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use torchmesh_token::{Jwks, PublicKey, encoded};

/// What the tokens say that they are (RFC 9068).
pub(super) const TYPE: &str = "at+jwt";

/// See the module.
#[derive(Debug)]
pub(super) struct Signing {
    first: Ed25519KeyPair,
    kid: String,
    /// The public keys, to check with.
    pub(super) public: Jwks,
    /// The public keys, to publish (RFC 7517).
    pub(super) published: Value,
}

impl Signing {
    /// Reads the keys of a PEM text: Ed25519 in PKCS #8, as `openssl genpkey -algorithm ed25519` writes them.
    pub(super) fn parse(pem: &[u8]) -> Result<Self, String> {
        let wrong = "must hold Ed25519 keys as `openssl genpkey -algorithm ed25519` writes them";
        let pairs: Result<Vec<_>, String> = PrivatePkcs8KeyDer::pem_slice_iter(pem)
            .map(|key| {
                let key = key.map_err(|error| format!("{wrong}: {error}"))?;
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der()).map_err(|error| format!("{wrong}: {error}"))
            })
            .collect();
        Self::of(pairs?).ok_or_else(|| format!("{wrong}; there is none in it"))
    }

    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&pem).map_err(|why| format!("{} {why}", path.display()))
    }

    fn of(pairs: Vec<Ed25519KeyPair>) -> Option<Self> {
        let public: Vec<_> = pairs.iter().map(|pair| pair.public_key().as_ref().to_vec()).collect();
        let named = || public.iter().map(|key| (thumbprint(key), key));
        let jwk = |(kid, key): (String, &Vec<u8>)| json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": URL_SAFE_NO_PAD.encode(key) });
        let published = json!({ "keys": named().map(jwk).collect::<Vec<_>>() });
        let keys = Jwks::of(named().map(|(kid, key)| (kid, PublicKey::Ed25519(key.clone()))));
        let kid = thumbprint(public.first()?);
        Some(Self { first: pairs.into_iter().next()?, kid, public: keys, published })
    }

    /// Signs claims.
    pub(super) fn sign(&self, claims: &Value) -> String {
        let body = encoded(&json!({ "alg": "EdDSA", "typ": TYPE, "kid": self.kid }), claims);
        let signature = self.first.sign(body.as_bytes());
        format!("{body}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

/// A key's id: its thumbprint (RFC 7638, RFC 8037), so that replicas agree on it.
fn thumbprint(key: &[u8]) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(key));
    URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
}

#[cfg(any(test, fuzzing))]
pub(super) mod testing {
    use super::*;

    /// Somebody who signs tokens.
    pub(in crate::identity) struct Signer(Signing);

    impl Signer {
        /// Always the same for a seed.
        pub(in crate::identity) fn new(seed: u8) -> Self {
            let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
            Self(Signing::of(vec![pair]).unwrap())
        }

        pub(in crate::identity) fn sign(&self, claims: &Value) -> String {
            self.0.sign(claims)
        }

        pub(in crate::identity) fn jwks(&self) -> Jwks {
            self.0.public.clone()
        }

        pub(in crate::identity) fn signing(self) -> Signing {
            self.0
        }
    }
}

#[cfg(test)]
mod tests {
    use torchmesh_token::Token;

    use super::*;

    /// RFC 8410, section 10.3, and another.
    const ONE: &str =
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    const TWO: &str =
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\n-----END PRIVATE KEY-----\n";

    #[test]
    fn a_token_of_the_key_before_is_good_while_that_is_in_the_file() {
        let claims = json!({ "sub": "me" });
        let token = Signing::parse(ONE.as_bytes()).unwrap().sign(&claims);
        let good = |pem: &str| {
            let signing = Signing::parse(pem.as_bytes()).unwrap();
            Token::parse(token.as_bytes()).unwrap().verified(&signing.public).is_ok()
        };
        assert!(good(ONE) && good(&format!("{TWO}{ONE}")) && !good(TWO));
    }

    #[test]
    fn what_is_published_is_what_others_check_with_and_holds_no_secret() {
        let signing = Signing::parse(ONE.as_bytes()).unwrap();
        let token = signing.sign(&json!({ "sub": "me" }));
        let published = Jwks::parse(&signing.published.to_string()).unwrap();
        assert!(Token::parse(token.as_bytes()).unwrap().verified(&published).is_ok());
        assert!(signing.published["keys"][0].get("d").is_none());
        // RFC 8037, appendix A.3.
        let key = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert_eq!(thumbprint(&key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_file_without_a_key_says_how_to_make_one() {
        for pem in ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert!(Signing::parse(pem.as_bytes()).unwrap_err().contains("openssl genpkey"), "{pem}");
        }
    }
}
