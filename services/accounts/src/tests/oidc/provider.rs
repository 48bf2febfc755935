//! A provider of OpenID Connect, over a socket, who does what is wanted of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use reqwest::Url;
use ring::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use torchmesh_token::encoded;

use super::{CLIENT, SECRET};
use crate::tests::NOW;

/// How its tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signed {
    /// With the key of this seed.
    With(u8),
    /// Not at all.
    Unsigned,
    /// With the public key as if it were a secret.
    Confused,
}

/// How something is answered in place of what it should be.
#[derive(Debug, Clone)]
pub(super) enum Wrong {
    Says(u16, &'static str),
    /// Goes on for as long as somebody listens.
    Endless,
    Never,
}

/// Who a code is for.
struct Grant {
    claims: Value,
    challenge: String,
    redirect: String,
}

struct Inner {
    published: u8,
    signed: Signed,
    /// Whether it says who it is when it sends somebody back.
    says_issuer: bool,
    wrong: HashMap<&'static str, Wrong>,
    grants: HashMap<String, Grant>,
    asked: Vec<String>,
}

/// See the module.
#[derive(Clone)]
pub(super) struct FakeProvider {
    port: u16,
    inner: Arc<Mutex<Inner>>,
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

impl FakeProvider {
    pub(super) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inner = Inner {
            published: 1,
            signed: Signed::With(1),
            says_issuer: false,
            wrong: HashMap::new(),
            grants: HashMap::new(),
            asked: Vec::new(),
        };
        let provider = Self { port: listener.local_addr().unwrap().port(), inner: Arc::new(Mutex::new(inner)) };
        let serving = provider.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                // Whoever hangs up has what they wanted.
                tokio::spawn(async move { serving.serve(stream).await.unwrap_or_default() });
            }
        });
        provider
    }

    pub(super) fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn signs(&self, signed: Signed) {
        self.inner.lock().unwrap().signed = signed;
    }

    /// Publishes another key in place of the one before.
    pub(super) fn publishes(&self, seed: u8) {
        self.inner.lock().unwrap().published = seed;
    }

    pub(super) fn says_issuer(&self) {
        self.inner.lock().unwrap().says_issuer = true;
    }

    pub(super) fn goes_wrong(&self, path: &'static str, wrong: Wrong) {
        self.inner.lock().unwrap().wrong.insert(path, wrong);
    }

    pub(super) fn is_well(&self) {
        self.inner.lock().unwrap().wrong.clear();
    }

    /// How often a path was asked for.
    pub(super) fn asked(&self, path: &str) -> usize {
        self.inner.lock().unwrap().asked.iter().filter(|asked| *asked == path).count()
    }

    /// Somebody signs in at the provider, who sends their browser back; gives state and code. `changed` are claims that are others.
    pub(super) fn authorizes(&self, url: &str, changed: &Value) -> (String, String) {
        let url = Url::parse(url).unwrap();
        assert_eq!((url.path(), url.port()), ("/authorize", Some(self.port)));
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        for (name, wanted) in
            [("response_type", "code"), ("client_id", CLIENT), ("scope", "openid email"), ("code_challenge_method", "S256")]
        {
            assert_eq!(asked[name], wanted, "{name}");
        }
        let now = NOW / 1000;
        let mut claims = json!({
            "iss": self.issuer(), "sub": "ada-1", "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"],
            "email": "Ada@Example.org", "email_verified": true,
        });
        for (name, value) in changed.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let mut inner = self.inner.lock().unwrap();
        let code = format!("code-{}", inner.grants.len());
        let grant = Grant { claims, challenge: asked["code_challenge"].clone(), redirect: asked["redirect_uri"].clone() };
        inner.grants.insert(code.clone(), grant);
        (asked["state"].clone(), code)
    }

    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let (mut path, mut authorization, mut length, mut line) = (String::new(), String::new(), 0, String::new());
            loop {
                line.clear();
                if stream.read_line(&mut line).await? == 0 {
                    return Ok(());
                }
                if line.trim().is_empty() {
                    break;
                }
                match line.trim().split_once(": ") {
                    Some(("authorization", value)) => value.clone_into(&mut authorization),
                    Some(("content-length", value)) => length = value.parse().unwrap(),
                    Some(_) => {}
                    None => line.split(' ').nth(1).unwrap().clone_into(&mut path),
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await?;
            let wrong = {
                let mut inner = self.inner.lock().unwrap();
                inner.asked.push(path.clone());
                inner.wrong.get(path.as_str()).cloned()
            };
            let (status, said) = match wrong {
                Some(Wrong::Says(status, said)) => (status, said.to_owned()),
                Some(Wrong::Never) => std::future::pending().await,
                Some(Wrong::Endless) => {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await?;
                    loop {
                        stream.write_all(&[b' '; 4096]).await?;
                    }
                }
                None => self.answer(&path, &authorization, &body),
            };
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nlocation: /elsewhere\r\n\r\n", said.len());
            stream.write_all((head + &said).as_bytes()).await?;
        }
    }

    fn answer(&self, path: &str, authorization: &str, body: &[u8]) -> (u16, String) {
        let (issuer, mut inner) = (self.issuer(), self.inner.lock().unwrap());
        let told = match path {
            "/.well-known/openid-configuration" => json!({
                "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"), "token_endpoint": format!("{issuer}/token"),
                "jwks_uri": format!("{issuer}/keys"), "authorization_response_iss_parameter_supported": inner.says_issuer,
            }),
            "/keys" => {
                let (seed, key) = (inner.published, pair(inner.published));
                let x = URL_SAFE_NO_PAD.encode(key.public_key());
                json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": format!("key-{seed}"), "x": x }] })
            }
            "/token" => {
                let form: HashMap<_, _> = form_urlencoded::parse(body).into_owned().collect();
                let is_client = authorization == format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{SECRET}")));
                let verified = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
                let grant = inner.grants.get_mut(&form["code"]).filter(|grant| {
                    is_client
                        && form["grant_type"] == "authorization_code"
                        && grant.challenge == verified
                        && grant.redirect == form["redirect_uri"]
                });
                let Some(grant) = grant else { return (400, json!({ "error": "invalid_grant" }).to_string()) };
                // A code is good once.
                grant.challenge = String::new();
                let claims = grant.claims.clone();
                json!({ "token_type": "Bearer", "access_token": "a", "id_token": sign(inner.signed, &claims) })
            }
            _ => return (404, String::new()),
        };
        (200, told.to_string())
    }
}

fn sign(signed: Signed, claims: &Value) -> String {
    let whole = |body: String, signature: &[u8]| format!("{body}.{}", URL_SAFE_NO_PAD.encode(signature));
    match signed {
        Signed::With(seed) => {
            let body = encoded(&json!({ "alg": "EdDSA", "kid": format!("key-{seed}") }), claims);
            let signature = pair(seed).sign(body.as_bytes());
            whole(body, signature.as_ref())
        }
        Signed::Unsigned => whole(encoded(&json!({ "alg": "none" }), claims), b""),
        Signed::Confused => {
            let body = encoded(&json!({ "alg": "HS256", "kid": "key-1" }), claims);
            let key = hmac::Key::new(hmac::HMAC_SHA256, pair(1).public_key().as_ref());
            let tag = hmac::sign(&key, body.as_bytes());
            whole(body, tag.as_ref())
        }
    }
}
