//! OAuth 2.0: clients of the keys file get short-lived tokens for their secret (RFC 6749, section 4.4).

mod attempts;
mod door;
mod form;
mod settings;

use std::{path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use torchmesh_api::access::{Scope, Scopes};
use torchmesh_runtime::process::{Context, StartError};
use torchmesh_token::{Claims, Expected, Refused, Token};

pub use door::routes;
pub use settings::OauthSettings;

use self::attempts::Attempts;
use super::{
    everybody::Everybody,
    principal::{CredentialKind, Principal},
    rights::Rights,
    signing::{self, Signing},
};

/// How often the file with the signing keys is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The gateway as an issuer of tokens.
#[derive(Debug)]
pub(super) struct Oauth {
    settings: OauthSettings,
    signing: ArcSwap<Signing>,
    attempts: Attempts,
}

impl Oauth {
    /// Reads the signing keys, and watches them.
    pub(super) fn start(settings: OauthSettings, context: &Context) -> Result<Arc<Self>, StartError> {
        let signing = Signing::read(&settings.signing_key_file).map_err(|why| format!("oauth.signing_key_file: {why}"))?;
        let oauth = Arc::new(Self::new(settings, signing));
        context.control.spawn(watch(Arc::clone(&oauth), oauth.settings.signing_key_file.clone()));
        Ok(oauth)
    }

    fn new(settings: OauthSettings, signing: Signing) -> Self {
        Self { attempts: Attempts::new(settings.max_failures), signing: ArcSwap::from_pointee(signing), settings }
    }

    #[cfg(test)]
    pub(super) fn of_test() -> Arc<Self> {
        Arc::new(Self::new(settings::testing::settings(), signing::testing::Signer::new(1).signing()))
    }

    /// Its name, as its tokens have it.
    pub(super) fn name(&self) -> &str {
        &self.settings.issuer
    }

    /// A token for a client, and what it may do. `id` tells it from all others.
    fn token(&self, client: &str, rights: &Rights, scopes: Scopes, now: u64, id: &str) -> String {
        let claims = json!({
            "iss": self.settings.issuer,
            "sub": client,
            "client_id": client,
            "aud": self.settings.audience,
            "iat": now,
            "exp": now + self.settings.token_lifetime.as_secs(),
            "jti": id,
            "scope": scopes.to_string(),
            "tenant": rights.tenant.as_str(),
        });
        self.signing.load().sign(&claims)
    }

    /// The claims of a token of ours, if it is good at `now`.
    fn claims(&self, token: Token<'_>, now: u64) -> Result<Claims, Refused> {
        if token.typ.as_deref() != Some(signing::TYPE) {
            return Err(Refused::Malformed("it is not an access token"));
        }
        let all = token.verified(&self.signing.load().public)?;
        let audiences = std::slice::from_ref(&self.settings.audience);
        // Our own clock made it, or one that is kept as ours is.
        Claims::check(all, Expected { issuer: &self.settings.issuer, audiences, skew: 5, now })
    }

    /// Whom a token of ours stands for, and until when: what its client may do now, as far as the token was given for it.
    pub(super) fn verify(&self, keys: &Everybody, token: Token<'_>, now: u64) -> Result<(Principal, u64), Refused> {
        let claims = self.claims(token, now)?;
        let (rights, ends) = keys.client_now(&claims.subject, now).ok_or(Refused::Revoked)?;
        if claims.all.get("tenant").and_then(Value::as_str) != Some(rights.tenant.as_str()) {
            return Err(Refused::Revoked);
        }
        let given = Scopes::parse(claims.words("scope")).map_err(|_| Refused::Claim("scope".to_owned()))?;
        let rights = Rights { scopes: rights.scopes.and(given), ..rights.clone() };
        Ok((rights.of(claims.subject, CredentialKind::OauthClient), claims.until.min(ends)))
    }

    /// What is told of the server (RFC 8414).
    fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.settings.issuer.trim_end_matches('/'));
        json!({
            "issuer": self.settings.issuer,
            "token_endpoint": at("/oauth/token"),
            "introspection_endpoint": at("/oauth/introspect"),
            "jwks_uri": at("/.well-known/jwks.json"),
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "scopes_supported": Scope::ALL.map(Scope::as_str),
        })
    }
}

async fn watch(oauth: Arc<Oauth>, path: PathBuf) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    let mut last = std::fs::read(&path).unwrap_or_default();
    loop {
        tick.tick().await;
        let Ok(bytes) = std::fs::read(&path) else { continue };
        if bytes == last {
            continue;
        }
        match Signing::parse(&bytes) {
            Ok(signing) => {
                tracing::info!("the signing keys changed");
                oauth.signing.store(Arc::new(signing));
            }
            Err(error) => tracing::error!(error, "oauth.signing_key_file is wrong; the last good keys stay in use"),
        }
        last = bytes;
    }
}

/// Name and secret that a client shows, in a form or in its header.
#[cfg(any(test, fuzzing))]
pub(super) fn client(form: &[u8], authorization: Option<&[u8]>) -> Option<(String, String)> {
    form::Form::parse(form).and_then(|form| form.client(authorization)).ok()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{keys::Keys, signing::testing::Signer},
        *,
    };

    fn oauth(seed: u8) -> Oauth {
        Oauth::new(settings::testing::settings(), Signer::new(seed).signing())
    }

    fn keys(more: &str) -> Everybody {
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        Keys::parse(&format!("[[client]]\nname = 'batch'\ntenant = 'acme'\nsha256 = '{hash}'\n{more}")).unwrap().into()
    }

    fn verify(oauth: &Oauth, keys: &Everybody, token: &str, now: u64) -> Result<(Principal, u64), Refused> {
        oauth.verify(keys, Token::parse(token.as_bytes()).unwrap(), now)
    }

    #[test]
    fn a_token_stands_for_its_client_until_it_expires() {
        let (oauth, keys) = (oauth(1), keys(""));
        let token = oauth.token("batch", keys.client("batch", b"abc", 0).unwrap(), Scopes::USUAL, 1000, "1");
        let (principal, _) = verify(&oauth, &keys, &token, 1599).unwrap();
        assert_eq!((&*principal.credential, principal.tenant.as_str(), principal.kind), ("batch", "acme", CredentialKind::OauthClient));
        assert_eq!(verify(&oauth, &keys, &token, 1605).unwrap_err(), Refused::Expired);
    }

    #[test]
    fn a_token_gives_no_more_than_its_client_has_now() {
        let (oauth, before) = (oauth(1), keys("scopes = ['infer', 'models:write']\n"));
        let rights = before.client("batch", b"abc", 0).unwrap();
        let token = oauth.token("batch", rights, rights.scopes, 0, "1");
        let after = keys("scopes = ['infer']\nmodels = ['mini*']");
        let (principal, _) = verify(&oauth, &after, &token, 1).unwrap();
        assert_eq!(principal.scopes, Scopes::parse(["infer"]).unwrap());
        assert!(!principal.models.allow("spam"));
        assert_eq!(verify(&oauth, &Everybody::default(), &token, 1).unwrap_err(), Refused::Revoked);
    }

    #[test]
    fn every_replica_with_the_key_takes_the_token_and_nobody_else_does() {
        let keys = keys("");
        let token = oauth(1).token("batch", keys.client("batch", b"abc", 0).unwrap(), Scopes::USUAL, 0, "1");
        assert!(verify(&oauth(1), &keys, &token, 1).is_ok());
        assert_eq!(verify(&oauth(2), &keys, &token, 1).unwrap_err(), Refused::Key);
        let claims = json!({ "iss": "http://127.0.0.1:8080", "sub": "batch", "aud": "http://127.0.0.1:8080", "exp": 99 });
        let other = Signer::new(1).sign(&claims);
        assert_eq!(verify(&oauth(1), &keys, &other, 1).unwrap_err(), Refused::Revoked, "a token without its tenant");
    }
}
