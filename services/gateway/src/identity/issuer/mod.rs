//! Issuers whose tokens are taken (OpenID Connect, or whatever else signs JWTs): their settings, their keys as they change, and whom a token of theirs
//! stands for.

mod mapping;
mod settings;
mod source;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use torchmesh_runtime::process::{Context, StartError};
use torchmesh_token::{Claims, Expected, Jwks, Refused, Token};

pub use settings::{IssuerSettings, KeysFrom, ScopeMapping, TenantFrom};

use super::{metrics::IdentityMetrics, principal::Principal};

/// How long a call waits for an issuer's keys to be read.
const PATIENCE: Duration = Duration::from_secs(5);

/// One issuer at work.
#[derive(Debug)]
pub(super) struct Issuer {
    settings: IssuerSettings,
    keys: ArcSwapOption<Jwks>,
    /// Somebody has shown a token with a key that is not known.
    wanted: Notify,
    /// How often reading the keys has ended, well or not.
    reads: watch::Sender<u64>,
    /// When that was last.
    ended: ArcSwapOption<Instant>,
}

impl Issuer {
    /// Begins to read the issuer's keys. `changed` is counted up when they are others than before.
    pub(super) fn start(
        settings: IssuerSettings,
        changed: &Arc<AtomicU64>,
        metrics: &IdentityMetrics,
        context: &Context,
    ) -> Result<Arc<Self>, StartError> {
        let source = source::Source::new(&settings)?;
        let issuer = Arc::new(Self::new(settings));
        context.control.spawn(Arc::clone(&issuer).keep_up(source, Arc::clone(changed), metrics.clone()));
        Ok(issuer)
    }

    fn new(settings: IssuerSettings) -> Self {
        Self { settings, keys: ArcSwapOption::empty(), wanted: Notify::new(), reads: watch::Sender::new(0), ended: ArcSwapOption::empty() }
    }

    /// Its name, as its tokens have it.
    pub(super) fn name(&self) -> &str {
        &self.settings.issuer
    }

    /// Whom a token stands for at `now`, and until when.
    pub(super) fn verify(&self, token: Token<'_>, now: u64) -> Result<(Principal, u64), Refused> {
        let keys = self.keys.load();
        let keys = keys.as_ref().ok_or(Refused::NoKeys)?;
        let all = token.verified(keys)?;
        let IssuerSettings { issuer, audiences, clock_skew, .. } = &self.settings;
        let claims = Claims::check(all, Expected { issuer, audiences, skew: clock_skew.as_secs(), now })?;
        Ok((mapping::principal(&self.settings, &claims)?, claims.until))
    }

    /// Waits until the keys were read once more, unless that was done a moment ago: whoever sends tokens with made-up keys must not have the issuer
    /// flooded. Says whether they were read.
    pub(super) async fn newer_keys(&self) -> bool {
        let ended = self.ended.load_full();
        if ended.is_some_and(|ended| ended.elapsed() < self.settings.refresh_at_least_apart) {
            return false;
        }
        let mut reads = self.reads.subscribe();
        self.wanted.notify_one();
        tokio::time::timeout(PATIENCE, reads.changed()).await.is_ok_and(|changed| changed.is_ok())
    }

    async fn keep_up(self: Arc<Self>, source: source::Source, changed: Arc<AtomicU64>, metrics: IdentityMetrics) {
        loop {
            let read = source.read().await;
            metrics.read(self.name(), read.is_ok());
            let wait = match read {
                Ok(keys) => {
                    if self.keys.load().as_deref() != Some(&keys) {
                        tracing::info!(issuer = self.name(), "the issuer's keys changed");
                        self.keys.store(Some(Arc::new(keys)));
                        changed.fetch_add(1, Ordering::AcqRel);
                    }
                    source.again_after(self.settings.refresh)
                }
                Err(why) => {
                    tracing::warn!(issuer = self.name(), why, "the issuer's keys could not be read; those read last stay in use");
                    self.settings.refresh_at_least_apart
                }
            };
            self.ended.store(Some(Arc::new(Instant::now())));
            self.reads.send_modify(|reads| *reads += 1);
            let asked = async {
                tokio::time::sleep(self.settings.refresh_at_least_apart).await;
                self.wanted.notified().await;
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = asked => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::signing::testing::Signer, *};

    fn issuer(more: &str) -> Issuer {
        let text =
            format!("[[issuer]]\nissuer = 'https://id'\naudience = 'torchmesh'\ntenant = 'acme'\njwks_url = 'https://id/keys'\n{more}");
        Issuer::new(settings::testing::read(&text).unwrap().remove(0))
    }

    #[test]
    fn a_token_is_good_with_the_issuers_keys_and_with_no_others() {
        let (issuer, signer, other) = (issuer("scopes = ['infer']"), Signer::new(1), Signer::new(2));
        let claims = serde_json::json!({ "iss": "https://id", "sub": "me", "aud": "torchmesh", "exp": 1000 });
        let verify = |token: &str| issuer.verify(Token::parse(token.as_bytes()).unwrap(), 10);
        let token = signer.sign(&claims);
        assert_eq!(verify(&token).unwrap_err(), Refused::NoKeys);
        issuer.keys.store(Some(Arc::new(signer.jwks())));
        let (principal, until) = verify(&token).unwrap();
        assert_eq!((&*principal.credential, principal.tenant.as_str(), until), ("https://id|me", "acme", 1060));
        assert_eq!(verify(&other.sign(&claims)).unwrap_err(), Refused::Key);
        issuer.keys.store(Some(Arc::new(other.jwks())));
        assert_eq!(verify(&token).unwrap_err(), Refused::Key, "a key that was taken out is not good any more");
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_key_has_the_keys_read_again_and_not_too_often() {
        let issuer = Arc::new(issuer(""));
        let reader = Arc::clone(&issuer);
        tokio::spawn(async move {
            loop {
                reader.wanted.notified().await;
                reader.ended.store(Some(Arc::new(Instant::now())));
                reader.reads.send_modify(|reads| *reads += 1);
            }
        });
        assert!(issuer.newer_keys().await);
        assert!(!issuer.newer_keys().await, "they were read a moment ago");
    }
}
