//! Everybody who is known at the moment: keys, clients, workloads, issuers.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use sha2::{Digest as _, Sha256};
use torchmesh_api::{
    access::{
        Scope,
        key::{Spelling, spelling},
    },
    error::{ApiError, ErrorKind},
};
use torchmesh_runtime::process::{Context, StartError};
use torchmesh_token::{Refused, Token, is_token};

use super::{
    IdentitySettings,
    accounts::Accounts,
    everybody::Everybody,
    issuer::Issuer,
    keys::{Found, Keys},
    metrics::IdentityMetrics,
    oauth::Oauth,
    principal::{CredentialKind, Principal},
    remembered::Remembered,
    rights::{Hash, Rights},
    spiffe::SpiffeId,
};

/// How often the keys file is looked at: whatever was taken out is refused after at most this long.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// So many tokens and workloads are remembered at most.
const REMEMBERED: usize = 16_384;
/// How long a workload is, before its entry is looked for again; an entry that changes is noticed at once all the same.
const WORKLOAD_FOR: u64 = 3600;

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Identity(Arc<Known>);

#[derive(Debug)]
struct Known {
    keys: ArcSwap<Everybody>,
    /// Whether the accounts have told anything ever, where there are any.
    accounts_have_told: AtomicBool,
    /// Counted up whenever something may have been revoked.
    generation: Arc<AtomicU64>,
    issuers: Vec<Arc<Issuer>>,
    oauth: Option<Arc<Oauth>>,
    remembered: Remembered,
    metrics: IdentityMetrics,
}

/// Why a caller is not known.
#[derive(Debug)]
pub(super) enum Doubt {
    /// They are refused.
    Refused(ApiError),
    /// Their token is signed with a key that the issuer may have by now.
    NewKey(Arc<Issuer>, ApiError),
}

#[expect(clippy::needless_pass_by_value, reason = "it is what a refusal becomes")]
fn error(refused: Refused) -> ApiError {
    match refused {
        Refused::NoKeys => ApiError::new(ErrorKind::Unavailable, refused.to_string()).retry_after(Duration::from_secs(1)),
        _ => ApiError::new(ErrorKind::Unauthenticated, refused.to_string()),
    }
}

impl From<ApiError> for Doubt {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

impl From<Refused> for Doubt {
    fn from(refused: Refused) -> Self {
        Self::Refused(error(refused))
    }
}

fn unknown(message: &str) -> Doubt {
    Doubt::Refused(ApiError::new(ErrorKind::Unauthenticated, message))
}

impl Identity {
    /// Reads the keys file and begins to watch it, and the keys of the issuers. A change that is wrong is reported in the log, and what was good last
    /// stays.
    pub fn open(settings: &IdentitySettings, context: &Context) -> Result<Self, StartError> {
        let file = settings.keys_file.as_deref().map_or_else(|| Ok(Keys::default()), Keys::read);
        let file = Arc::new(file.map_err(|error| format!("keys_file: {error}"))?);
        let (generation, metrics) = (Arc::default(), context.metrics.register(IdentityMetrics::register));
        let issuers = settings.issuers.iter().map(|issuer| Issuer::start(issuer.clone(), &generation, &metrics, context));
        let issuers = issuers.collect::<Result<Vec<_>, _>>()?;
        let oauth = settings.oauth.clone().map(|oauth| Oauth::start(oauth, context)).transpose()?;
        let accounts = settings.accounts.clone().map(|settings| Accounts::open(settings, metrics.clone())).transpose()?;
        let (accounts, told) = accounts.map_or((None, Some(Keys::default())), |(accounts, told)| (Some(accounts), told));
        let accounts_have_told = AtomicBool::new(told.is_some());
        let keys = ArcSwap::from_pointee(Everybody { file, accounts: Arc::new(told.unwrap_or_default()) });
        let known = Known { keys, accounts_have_told, generation, issuers, oauth, remembered: Remembered::new(REMEMBERED), metrics };
        let identity = Self(Arc::new(known));
        if let Some(path) = &settings.keys_file {
            context.control.spawn(identity.clone().watch(path.clone()));
        }
        if let Some(accounts) = accounts {
            let known = identity.clone();
            context.control.spawn(accounts.follow(move |told| known.accounts_told(told)));
        }
        Ok(identity)
    }

    #[cfg(test)]
    pub(super) fn of(keys: Keys) -> Self {
        Self::made(keys, None)
    }

    /// Nobody is known, and there are no tokens.
    #[cfg(test)]
    pub(crate) fn of_nobody() -> Self {
        Self::made(Keys::default(), None)
    }

    /// Nobody is known, and tokens would be given.
    #[cfg(test)]
    pub(crate) fn giving_tokens() -> Self {
        Self::made(Keys::default(), Some(Oauth::of_test()))
    }

    #[cfg(test)]
    fn made(keys: Keys, oauth: Option<Arc<Oauth>>) -> Self {
        let known = Known {
            keys: ArcSwap::from_pointee(keys.into()),
            accounts_have_told: AtomicBool::new(true),
            generation: Arc::default(),
            issuers: Vec::new(),
            oauth,
            remembered: Remembered::new(16),
            metrics: IdentityMetrics::default(),
        };
        Self(Arc::new(known))
    }

    pub(super) fn keys(&self) -> Guard<Arc<Everybody>> {
        self.0.keys.load()
    }

    pub(super) fn metrics(&self) -> &IdentityMetrics {
        &self.0.metrics
    }

    /// Whether tokens are given to OAuth clients.
    pub fn gives_tokens(&self) -> bool {
        self.0.oauth.is_some()
    }

    pub(super) fn oauth(&self) -> Option<Arc<Oauth>> {
        self.0.oauth.clone()
    }

    async fn watch(self, path: PathBuf) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        let mut last = std::fs::read(&path).unwrap_or_default();
        loop {
            tick.tick().await;
            let Ok(bytes) = std::fs::read(&path) else { continue };
            if bytes != last {
                last = bytes;
                self.read_again(&path);
            }
        }
    }

    fn read_again(&self, path: &Path) {
        match Keys::read(path) {
            Ok(keys) => {
                tracing::info!(keys = keys.count(), "the keys file changed");
                let file = Arc::new(keys);
                self.change(|before| Everybody { file: Arc::clone(&file), ..before.clone() });
            }
            Err(error) => tracing::error!(error, "the keys file is wrong; the last good keys stay in use"),
        }
    }

    /// Takes over what the accounts say.
    fn accounts_told(&self, told: Keys) {
        tracing::debug!(keys = told.count(), "the accounts have told something new");
        let accounts = Arc::new(told);
        self.change(|before| Everybody { accounts: Arc::clone(&accounts), ..before.clone() });
        self.0.accounts_have_told.store(true, Ordering::Release);
    }

    fn change(&self, change: impl Fn(&Everybody) -> Everybody) {
        self.0.keys.rcu(|before| change(before));
        self.0.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Whose key or token this is at `now`, in seconds since 1970.
    pub(super) fn by_secret(&self, sent: &[u8], now: u64) -> Result<Arc<Principal>, Doubt> {
        let hash: Hash = Sha256::digest(sent).into();
        match self.keys().find(&hash, now) {
            Found::Good(principal) => Ok(Arc::clone(principal)),
            Found::Expired => Err(unknown("the API key has expired; ask for a new one")),
            Found::Unknown if is_token(sent) => self.by_token(hash, sent, now),
            Found::Unknown if spelling(sent) == Spelling::Wrong => Err(unknown("the API key has a typo; copy it again, whole")),
            Found::Unknown if !self.0.accounts_have_told.load(Ordering::Acquire) => {
                let away = "the accounts have not said yet whose keys are good; try again";
                Err(ApiError::new(ErrorKind::Unavailable, away).retry_after(Duration::from_secs(1)).into())
            }
            Found::Unknown => Err(unknown("the API key is not valid; check that it was copied whole and that it was not revoked")),
        }
    }

    fn by_token(&self, hash: Hash, sent: &[u8], now: u64) -> Result<Arc<Principal>, Doubt> {
        // Before anything is read that may change: what is found out now is of this generation at best.
        let generation = self.0.generation.load(Ordering::Acquire);
        if let Some(principal) = self.0.remembered.find(&hash, generation, now) {
            return Ok(principal);
        }
        let token = Token::parse(sent)?;
        let named = token.claimed_issuer().unwrap_or_default();
        let (principal, until) = match (&self.0.oauth, self.0.issuers.iter().find(|issuer| issuer.name() == named)) {
            (Some(oauth), _) if oauth.name() == named => oauth.verify(&self.keys(), token, now)?,
            (_, Some(issuer)) => issuer.verify(token, now).map_err(|refused| match refused {
                Refused::Key | Refused::NoKeys => Doubt::NewKey(Arc::clone(issuer), error(refused)),
                other => other.into(),
            })?,
            (_, None) => return Err(Refused::Issuer.into()),
        };
        let principal = Arc::new(principal);
        self.0.remembered.keep(hash, Arc::clone(&principal), until, generation);
        Ok(principal)
    }

    /// Who somebody is by now who was let in before: with no more than then, with what was taken away since gone, and with why their calls stop. `None`: nobody
    /// any more. A token's own end is not looked at: what it has begun may outlast it.
    pub fn by_now(&self, then: &Principal) -> Option<Arc<Principal>> {
        let (name, now) = (&*then.credential, super::auth::now());
        let rights = match then.kind {
            CredentialKind::ApiKey if !self.0.accounts_have_told.load(Ordering::Acquire) => Rights::of_principal(then),
            CredentialKind::ApiKey => Rights::of_principal(&*self.keys().named(name, &then.tenant, now)?),
            CredentialKind::OauthClient => self.keys().client_now(name, now)?.0.clone(),
            CredentialKind::Jwt => Rights::of_principal(then),
            CredentialKind::Mtls => self.keys().workload(SpiffeId::parse(name)?)?.clone(),
        };
        let (scopes, models) = (then.scopes.and(rights.scopes), then.models.clone().and(rights.models));
        let is_known = rights.tenant == then.tenant && scopes.has(Scope::Infer);
        is_known.then(|| Arc::new(Principal { scopes, models, stopped: rights.stopped, ..then.clone() }))
    }

    /// Whose client certificate this is; `uris` are the names in it.
    pub(super) fn by_certificate(&self, uris: &[String], now: u64) -> Result<Arc<Principal>, Doubt> {
        // X.509-SVID, section 2: one name of this kind, and no more.
        let id = match uris {
            [only] => SpiffeId::parse(only).ok_or_else(|| unknown("the client certificate has no SPIFFE id"))?,
            _ => return Err(unknown("the client certificate has no SPIFFE id, or more than one name")),
        };
        let hash: Hash = Sha256::digest(id.as_str()).into();
        let generation = self.0.generation.load(Ordering::Acquire);
        if let Some(principal) = self.0.remembered.find(&hash, generation, now) {
            return Ok(principal);
        }
        let rights = self.keys().workload(id).cloned();
        let rights =
            rights.ok_or_else(|| unknown("the workload of the client certificate is not listed; add a [[workload]] to the keys file"))?;
        let principal = Arc::new(rights.of(id.as_str(), CredentialKind::Mtls));
        self.0.remembered.keep(hash, Arc::clone(&principal), now + WORKLOAD_FOR, generation);
        Ok(principal)
    }
}
