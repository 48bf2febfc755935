//! OAuth's client credentials (RFC 6749, section 4.4).

use std::time::Duration;

use http::{StatusCode, Uri};
use serde::Deserialize;
use tonic::Status;

use super::{CachedTokens, FetchToken, Lease, Token, TokenSource, endpoint::Endpoint, token::Secret};
use crate::{BoxFuture, ConnectError, connection::Trust};

/// Tokens for an OAuth client, which shows its secret to the token endpoint alone: the mesh's own, `https://…/oauth/token`, or that of another issuer.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use torchmesh_client::{Client, ClientCredentials};
///
/// let secret = std::fs::read_to_string("batch.secret")?;
/// let tokens = ClientCredentials::new("https://mesh.example.com/oauth/token", "batch", &secret)?.scope("infer").source();
/// let client = Client::builder("https://mesh.example.com").token_source(tokens).connect().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ClientCredentials {
    endpoint: Endpoint,
    id: String,
    secret: Secret,
    form: Vec<(&'static str, String)>,
}

impl ClientCredentials {
    /// `url` is the token endpoint's, `id` and `secret` are the client's. Its certificate is checked against those that the system trusts.
    ///
    /// Error: a URL that is none, or that would carry the secret in clear text to another machine.
    pub fn new(url: &str, id: &str, secret: &str) -> Result<Self, ConnectError> {
        let wrong = |what: &str| ConnectError::Address { address: url.to_owned(), what: what.to_owned() };
        let uri: Uri = url.parse().map_err(|_| wrong("it is no URL"))?;
        let endpoint =
            Endpoint::new(&uri).ok_or_else(|| wrong("it must begin with https:// (or http:// on this machine) and name a host"))?;
        let form = vec![("grant_type", "client_credentials".to_owned())];
        Ok(Self { endpoint, id: id.to_owned(), secret: Secret(secret.trim().to_owned()), form })
    }

    /// Asks for these scopes, with blanks between them, rather than for all that the client has.
    #[must_use]
    pub fn scope(mut self, scope: &str) -> Self {
        self.form.push(("scope", scope.to_owned()));
        self
    }

    /// Says whom the token is for, where the issuer wants to know.
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Self {
        self.form.push(("audience", audience.to_owned()));
        self
    }

    /// The token endpoint's certificate is signed by one of these (PEM), and by nobody else.
    #[must_use]
    pub fn ca(mut self, pem: &[u8]) -> Self {
        self.endpoint.trust = Trust::Only(pem.to_vec());
        self
    }

    /// A source that keeps its token, renews it before its end, and asks once for all who wait.
    pub fn source(self) -> impl TokenSource {
        CachedTokens::new(self)
    }
}

impl FetchToken for ClientCredentials {
    fn fetch(&self) -> BoxFuture<'_, Result<Lease, Status>> {
        Box::pin(async {
            let (status, body) = self.endpoint.post(&self.id, &self.secret.0, &self.form).await?;
            read(status, &body)
        })
    }
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
}

/// What a token endpoint has said. What it says of an error goes no further than its one word.
fn read(status: StatusCode, body: &[u8]) -> Result<Lease, Status> {
    let busy = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    if busy {
        return Err(Status::unavailable(format!("the token endpoint answers {status}; try again")));
    }
    if !status.is_success() {
        let why = serde_json::from_slice(body).map_or_else(|_| status.to_string(), |Refused { error }| error.chars().take(64).collect());
        return Err(Status::unauthenticated(format!("the token endpoint gives no token: {why}; check the client's id, secret and scope")));
    }
    let none = || Status::internal("the token endpoint's answer has no usable access_token");
    let Granted { access_token, expires_in } = serde_json::from_slice(body).map_err(|_| none())?;
    Ok(Lease { token: Token::bearer(&access_token).map_err(|_| none())?, life: expires_in.map(Duration::from_secs) })
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn a_grant_is_read() {
        let lease = read(StatusCode::OK, br#"{"access_token": "abc", "token_type": "Bearer", "expires_in": 600}"#).unwrap();
        assert_eq!((lease.token, lease.life), (Token::bearer("abc").unwrap(), Some(Duration::from_secs(600))));
    }

    #[test]
    fn a_refusal_says_why_and_a_busy_endpoint_may_be_asked_again() {
        let code = |status: StatusCode, body: &[u8]| read(status, body).unwrap_err().code();
        let refused = read(StatusCode::UNAUTHORIZED, br#"{"error": "invalid_client"}"#).unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert!(refused.message().contains("invalid_client"), "{refused}");
        assert_eq!(code(StatusCode::BAD_REQUEST, b"<html>"), Code::Unauthenticated);
        assert_eq!(code(StatusCode::SERVICE_UNAVAILABLE, b""), Code::Unavailable);
        assert_eq!(code(StatusCode::TOO_MANY_REQUESTS, b""), Code::Unavailable);
        assert_eq!(code(StatusCode::OK, b"{}"), Code::Internal);
    }

    #[test]
    fn a_secret_does_not_go_to_another_machine_in_clear_text_nor_into_a_log() {
        assert!(ClientCredentials::new("http://mesh.example.com/oauth/token", "batch", "hush").is_err());
        let local = ClientCredentials::new("http://127.0.0.1:8080/oauth/token", "batch", "hush").unwrap();
        assert!(!format!("{local:?}").contains("hush"));
    }
}
