//! The three parts of a token, and its signature (RFC 7515), with the algorithms of ring.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Jwks, Refused};

/// The longest token that is looked at, in bytes.
const LONGEST: usize = 16 << 10;

/// How a token may be signed: with a private key, never with a secret that whoever checks it knows too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with so many bits of SHA-2.
    Rs(u16),
    /// RSASSA-PSS, the same.
    Ps(u16),
    /// ECDSA on P-256.
    Es256,
    /// ECDSA on P-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The algorithm of a name (RFC 7518, RFC 8037), if it is one that is taken.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs(256),
            "RS384" => Self::Rs(384),
            "RS512" => Self::Rs(512),
            "PS256" => Self::Ps(256),
            "PS384" => Self::Ps(384),
            "PS512" => Self::Ps(512),
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" => Self::EdDsa,
            _ => return None,
        })
    }
}

/// A public key. Its kind says which algorithms it is for, whatever a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// Of RSA.
    Rsa {
        /// The modulus, big-endian.
        n: Vec<u8>,
        /// The exponent, the same.
        e: Vec<u8>,
    },
    /// A point, uncompressed.
    P256(Vec<u8>),
    /// A point, uncompressed.
    P384(Vec<u8>),
    /// 32 bytes.
    Ed25519(Vec<u8>),
}

impl PublicKey {
    /// Whether the key is for this algorithm.
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        matches!(
            (self, algorithm),
            (Self::Rsa { .. }, Algorithm::Rs(_) | Algorithm::Ps(_))
                | (Self::P256(_), Algorithm::Es256)
                | (Self::P384(_), Algorithm::Es384)
                | (Self::Ed25519(_), Algorithm::EdDsa)
        )
    }

    fn signed(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let verified = match (self, algorithm) {
            (Self::Rsa { n, e }, Algorithm::Rs(_) | Algorithm::Ps(_)) => {
                RsaPublicKeyComponents { n, e }.verify(rsa(algorithm), message, signature)
            }
            (Self::P256(point), Algorithm::Es256) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature),
            (Self::P384(point), Algorithm::Es384) => UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(message, signature),
            (Self::Ed25519(key), Algorithm::EdDsa) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
            _ => return false,
        };
        verified.is_ok()
    }
}

fn rsa(algorithm: Algorithm) -> &'static RsaParameters {
    match algorithm {
        Algorithm::Rs(384) => &RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs(512) => &RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps(256) => &RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps(384) => &RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps(512) => &RSA_PSS_2048_8192_SHA512,
        _ => &RSA_PKCS1_2048_8192_SHA256,
    }
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// A token whose signature nobody has looked at: nothing in it is to be believed yet.
#[derive(Debug)]
pub struct Token<'a> {
    /// How it says that it is signed.
    algorithm: Algorithm,
    /// With which key.
    pub kid: Option<String>,
    /// What it says that it is.
    pub typ: Option<String>,
    claims: Map<String, Value>,
    signed: &'a [u8],
    signature: Vec<u8>,
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    pub fn parse(text: &'a [u8]) -> Result<Self, Refused> {
        let bad = Refused::Malformed;
        if text.len() > LONGEST {
            return Err(bad("it is longer than 16 KiB"));
        }
        let mut dots = text.iter().enumerate().filter(|&(_, &byte)| byte == b'.').map(|(at, _)| at);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(bad("it does not have three parts with dots between"));
        };
        let decode = |part: &[u8]| URL_SAFE_NO_PAD.decode(part).map_err(|_| bad("a part is not in base64url"));
        let header: Header = serde_json::from_slice(&decode(&text[..first])?).map_err(|_| bad("its header is not the JSON of one"))?;
        if header.alg.eq_ignore_ascii_case("none") {
            return Err(Refused::Unsigned);
        }
        let Some(algorithm) = Algorithm::parse(&header.alg) else {
            return Err(Refused::Algorithm(header.alg.chars().filter(char::is_ascii_graphic).take(16).collect()));
        };
        if header.crit.is_some() {
            return Err(Refused::Critical);
        }
        let claims = serde_json::from_slice(&decode(&text[first + 1..second])?).map_err(|_| bad("its claims are not a JSON object"))?;
        let signature = decode(&text[second + 1..])?;
        Ok(Self { algorithm, kid: header.kid, typ: header.typ, claims, signed: &text[..second], signature })
    }

    /// Whom the token names as its issuer: to find the keys by, and no more.
    pub fn claimed_issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// The claims, once one of the keys is found to have signed them.
    pub fn verified(self, keys: &Jwks) -> Result<Map<String, Value>, Refused> {
        if self.kid.as_deref().is_some_and(|kid| !keys.has(kid)) {
            return Err(Refused::Key);
        }
        let mut fitting = keys.candidates(self.kid.as_deref(), self.algorithm);
        let signed = fitting.any(|key| key.signed(self.algorithm, self.signed, &self.signature));
        if signed { Ok(self.claims) } else { Err(Refused::Signature) }
    }
}

/// A header and claims as the part of a token that is signed.
pub fn encoded(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// RFC 7515, appendix A.2: RS256.
    const RS256: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    const RSA_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    /// RFC 7515, appendix A.3: ES256.
    const ES256: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    const EC_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    const EC_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

    fn published() -> Jwks {
        let rsa = json!({ "kty": "RSA", "n": RSA_N, "e": "AQAB" });
        let ec = json!({ "kty": "EC", "crv": "P-256", "x": EC_X, "y": EC_Y });
        Jwks::parse(&json!({ "keys": [rsa, ec] }).to_string()).unwrap()
    }

    fn verified(token: &str) -> Result<Map<String, Value>, Refused> {
        Token::parse(token.as_bytes())?.verified(&published())
    }

    #[test]
    fn the_tokens_of_the_standard_are_good() {
        for token in [RS256, ES256] {
            assert_eq!(verified(token).unwrap()["iss"], "joe");
        }
    }

    #[test]
    fn a_token_that_was_changed_is_refused() {
        let other = RS256.replace("eyJpc3MiOiJqb2UiLA0K", "eyJpc3MiOiJqb2VzLA0K");
        assert!(matches!(verified(&other), Err(Refused::Signature | Refused::Malformed(_))), "{other}");
        let swapped = format!("{}.{}", RS256.rsplit_once('.').unwrap().0, ES256.rsplit_once('.').unwrap().1);
        assert_eq!(verified(&swapped).unwrap_err(), Refused::Signature);
    }

    fn forged(header: &Value, signature: &[u8]) -> String {
        format!("{}.{}", encoded(header, &json!({ "iss": "joe", "exp": 1 })), URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn a_token_without_a_signature_is_refused_however_none_is_written() {
        for alg in ["none", "None", "NONE", "nOnE"] {
            assert_eq!(verified(&forged(&json!({ "alg": alg }), b"")).unwrap_err(), Refused::Unsigned);
        }
    }

    #[test]
    fn the_public_key_is_no_secret_to_sign_with() {
        let body = encoded(&json!({ "alg": "HS256" }), &json!({ "iss": "joe" }));
        for secret in [RSA_N.as_bytes(), &URL_SAFE_NO_PAD.decode(RSA_N).unwrap(), &URL_SAFE_NO_PAD.decode(EC_X).unwrap()] {
            let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret), body.as_bytes());
            let token = format!("{body}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()));
            let refused = verified(&token).unwrap_err();
            assert_eq!(refused, Refused::Algorithm("HS256".to_owned()));
            assert!(refused.to_string().contains("signed with HS256; taken are RS256"), "{refused}");
        }
    }

    #[test]
    fn a_key_is_not_used_for_an_algorithm_that_it_is_not_for() {
        let body = ES256.split_once('.').unwrap().1;
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA"}"#);
        assert_eq!(verified(&format!("{header}.{body}")).unwrap_err(), Refused::Signature);
    }

    #[test]
    fn what_must_be_understood_and_is_not_is_refused() {
        assert_eq!(verified(&forged(&json!({ "alg": "ES256", "crit": ["exp"] }), b"")).unwrap_err(), Refused::Critical);
    }

    #[test]
    fn what_is_no_token_is_told() {
        for text in ["", "a.b", "a.b.c.d", "!.!.!", "eyJhbGciOiJFUzI1NiJ9.e30.=", "e30.e30.e30", &"a".repeat(LONGEST + 1)] {
            assert!(matches!(verified(text), Err(Refused::Malformed(_))), "{text:.40}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100_000))]

        #[test]
        fn no_bytes_make_it_panic_and_none_are_good(
            header in "\\{(\"(alg|kid|typ|crit)\":(\"(RS256|ES256|EdDSA|none|x)\"|1|null|\\[\\]),?){0,3}\\}|[a-z{}\":]{0,12}",
            rest in "[A-Za-z0-9._=-]{0,40}",
        ) {
            let token = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header));
            prop_assert!(verified(&token).is_err());
            prop_assert!(verified(&rest).is_err());
        }
    }
}
