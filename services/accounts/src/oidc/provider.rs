//! A provider, as it is spoken to: bounded in time and in bytes, and believed where the settings say so and nowhere else.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::{Client, RequestBuilder, StatusCode, Url, header};
use serde::Deserialize;
use torchmesh_token::{Jwks, Refused, Token};

use super::{claims::Claimed, kept::Kept, settings::ProviderSettings};
use crate::error::{Refusal, Result};

/// One request takes no longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// An answer has no more bytes.
const MOST_BYTES: usize = 256 << 10;
/// How long what the provider says of itself, and its keys, are not asked for again.
const FRESH: Duration = Duration::from_secs(600);

/// See the module.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) settings: ProviderSettings,
    http: Client,
    discovered: Kept<Discovered>,
    keys: Kept<Jwks>,
}

/// What a provider says of itself.
#[derive(Debug)]
pub(super) struct Discovered {
    pub(super) authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    /// Whether the secret goes into the body of a request, since it takes it nowhere else.
    takes_secret_in_body: bool,
    /// Whether it says who it is when it sends a browser back (RFC 9207).
    pub(super) says_issuer: bool,
}

/// The same as OpenID Connect Discovery has it, as far as we ask.
#[derive(Deserialize)]
struct Told {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

impl Provider {
    pub(super) fn new(settings: ProviderSettings) -> std::result::Result<Self, String> {
        let http = client(&settings)?;
        Ok(Self { settings, http, discovered: Kept::new(), keys: Kept::new() })
    }

    /// What it says of itself.
    pub(super) async fn discovered(&self) -> Result<Arc<Discovered>> {
        let read = async || self.discover().await;
        self.discovered.get(FRESH, self.settings.refresh_at_least_apart, read).await.map_err(|why| self.away(&why))
    }

    async fn discover(&self) -> std::result::Result<Discovered, String> {
        let address = format!("{}/.well-known/openid-configuration", self.settings.issuer.trim_end_matches('/'));
        let text = expect(self.http.get(&address)).await.map_err(|why| format!("{address} {why}"))?;
        let told: Told = serde_json::from_str(&text).map_err(|error| format!("{address}: {error}"))?;
        // OpenID Connect Discovery, section 4.3: otherwise one provider could speak for another.
        if told.issuer != self.settings.issuer {
            return Err(format!("{address} is of the issuer {:?}, not {:?}; write it as it does", told.issuer, self.settings.issuer));
        }
        let is_near = self.settings.issuer.starts_with("http://");
        let endpoint = |told: &str| {
            let url = Url::parse(told).ok().filter(|url| url.scheme() == "https" || (is_near && url.scheme() == "http"));
            url.ok_or_else(|| format!("{address}: {told:?} is not an https:// address"))
        };
        let takes = |method: &str| told.token_endpoint_auth_methods_supported.iter().any(|known| known == method);
        Ok(Discovered {
            authorization_endpoint: endpoint(&told.authorization_endpoint)?,
            token_endpoint: endpoint(&told.token_endpoint)?,
            jwks_uri: endpoint(&told.jwks_uri)?,
            takes_secret_in_body: takes("client_secret_post") && !takes("client_secret_basic"),
            says_issuer: told.authorization_response_iss_parameter_supported,
        })
    }

    /// What a code is worth: the claims of a token that the provider has signed.
    pub(super) async fn redeem(&self, code: &str, verifier: &str) -> Result<Claimed> {
        let discovered = self.discovered().await?;
        let token = self.exchange(&discovered, code, verifier).await?;
        let refused = |refused: Refused| self.not_good(&refused.to_string());
        let keys = self.keys(&discovered, FRESH).await?;
        let verified = Token::parse(token.as_bytes()).and_then(|token| token.verified(&keys));
        let verified = match verified {
            // It may have new ones by now.
            Err(Refused::Key | Refused::Signature) => {
                let keys = self.keys(&discovered, Duration::ZERO).await?;
                Token::parse(token.as_bytes()).and_then(|token| token.verified(&keys))
            }
            done => done,
        };
        verified.map(Claimed).map_err(refused)
    }

    async fn keys(&self, discovered: &Discovered, fresh: Duration) -> Result<Arc<Jwks>> {
        let url = &discovered.jwks_uri;
        let read = async || {
            let text = expect(self.http.get(url.clone())).await.map_err(|why| format!("{url} {why}"))?;
            Jwks::parse(&text).map_err(|why| format!("{url} {why}"))
        };
        self.keys.get(fresh, self.settings.refresh_at_least_apart, read).await.map_err(|why| self.away(&why))
    }

    /// RFC 6749, section 4.1.3, with the verifier of RFC 7636.
    async fn exchange(&self, discovered: &Discovered, code: &str, verifier: &str) -> Result<String> {
        let secret = self.secret()?;
        let mut pairs = vec![("grant_type", "authorization_code"), ("code", code), ("code_verifier", verifier)];
        pairs.push(("redirect_uri", self.settings.redirect.as_str()));
        let mut request = self.http.post(discovered.token_endpoint.clone()).header(header::ACCEPT, "application/json");
        match &secret {
            Some(secret) if !discovered.takes_secret_in_body => {
                request = request.header(header::AUTHORIZATION, basic(&self.settings.client_id, secret)?);
            }
            secret => {
                pairs.push(("client_id", &self.settings.client_id));
                pairs.extend(secret.iter().map(|secret| ("client_secret", secret.as_str())));
            }
        }
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        let (status, text) = send(request).await.map_err(|why| self.away(&format!("{} {why}", discovered.token_endpoint)))?;
        if status == StatusCode::BAD_REQUEST {
            // A code that was used already, is too old, or was another client's.
            return Err(self.not_good("the provider refuses the code"));
        }
        let tokens = serde_json::from_str::<Tokens>(&text).ok().filter(|_| status == StatusCode::OK);
        let tokens =
            tokens.ok_or_else(|| self.away(&format!("{} answers with status {status}, without a token", discovered.token_endpoint)))?;
        Ok(tokens.id_token)
    }

    fn secret(&self) -> Result<Option<String>> {
        let Some(path) = &self.settings.client_secret_file else { return Ok(None) };
        let read = std::fs::read_to_string(path).map(|text| Some(text.trim().to_owned()));
        read.map_err(|error| self.away(&format!("{}: {error}", path.display())))
    }

    /// It does not answer as one should: what exactly is for the log.
    pub(super) fn away(&self, why: &str) -> Refusal {
        tracing::warn!(provider = self.settings.name, why, "a provider of sign-ins does not answer as it should");
        Refusal::Beside(format!("{} does not answer as it should at the moment; try again, or sign in another way", self.settings.title))
    }

    /// What came is not good: why is for the log, since whoever has made it up would learn from it.
    pub(super) fn not_good(&self, why: &str) -> Refusal {
        tracing::warn!(provider = self.settings.name, why, "what a provider has sent somebody back with is refused");
        Refusal::Unknown("what the provider has sent is not good, or not any more; begin again")
    }
}

fn client(settings: &ProviderSettings) -> std::result::Result<Client, String> {
    // The first provider of the process stays; they are all the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let agent = concat!("torchmesh/", env!("CARGO_PKG_VERSION"));
    let mut builder = Client::builder().timeout(ANSWER_WITHIN).redirect(reqwest::redirect::Policy::none()).user_agent(agent);
    let told = |error: &dyn std::fmt::Display| format!("sign_in.oidc.ca_file: {error}");
    if let Some(path) = &settings.ca_file {
        let pem = std::fs::read(path).map_err(|error| told(&error))?;
        builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| told(&error))?);
    }
    builder.build().map_err(|error| format!("sign_in.oidc: {error}"))
}

/// HTTP's basic authentication, as OAuth has it (RFC 6749, section 2.3.1).
fn basic(id: &str, secret: &str) -> Result<header::HeaderValue> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let both = BASE64_STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
    let mut value = header::HeaderValue::from_str(&format!("Basic {both}")).map_err(|_| Refusal::Fault)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The text of an answer whose status is 200.
async fn expect(request: RequestBuilder) -> std::result::Result<String, String> {
    let (status, text) = send(request).await?;
    if status == StatusCode::OK { Ok(text) } else { Err(format!("answers with status {status}")) }
}

async fn send(request: RequestBuilder) -> std::result::Result<(StatusCode, String), String> {
    let failed = |error: reqwest::Error| format!("cannot be read: {}", error.without_url());
    let mut answer = request.send().await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MOST_BYTES {
            return Err("has more than 256 KiB".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(body).map_err(|_| "is not UTF-8".to_owned())?;
    Ok((answer.status(), text))
}
