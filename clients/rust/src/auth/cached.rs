//! Tokens that end: fetched once for all who wait, and renewed before they do.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tonic::Status;
use torchmesh_retry::Backoff;

use super::{Token, TokenSource};
use crate::BoxFuture;

/// How long nobody asks after a failure.
const AFTER_A_FAILURE: Backoff = Backoff { first: Duration::from_millis(200), most: Duration::from_secs(10) };
/// A token that a server refuses is renewed once in so long.
const AFTER_A_REFUSAL: Duration = Duration::from_secs(5);
/// What is thought of a token that does not say how long it is good.
const USUAL_LIFE: Duration = Duration::from_secs(300);
/// A token is renewed when so much of its life is over, and up to `SPREAD` later: those who began together do not all ask at once.
const RENEWED_AT: f64 = 0.75;
const SPREAD: f64 = 0.1;

/// Fetches a token from whoever issues it.
pub trait FetchToken: Send + Sync + 'static {
    /// Asks for a new token.
    fn fetch(&self) -> BoxFuture<'_, Result<Lease, Status>>;
}

/// A token and how long it is good.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The token.
    pub token: Token,
    /// How long it is good from now on; `None` where its issuer does not say.
    pub life: Option<Duration>,
}

/// A [`TokenSource`] of what is fetched.
///
/// However many calls wait, one asks; and while a token is still good, nobody waits: it is renewed beside the calls when three quarters of its life are
/// over. It is renewed, too, when a server refuses it, though not more than once in five seconds for that. After a failure nobody asks for a while, which grows from 0.2 to 10 seconds: meanwhile calls go on with the old token,
/// or fail as the last fetch did.
#[derive(Debug)]
pub struct CachedTokens<F>(Arc<Cache<F>>);

#[derive(Debug)]
struct Cache<F> {
    fetch: F,
    state: Mutex<State>,
    flight: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    failure: Option<(Status, Instant)>,
    failures: u32,
    refused: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Held {
    token: Token,
    renew_at: Instant,
    ends_at: Instant,
}

/// What a call does for its token.
#[derive(Debug)]
enum Plan {
    Use(Token),
    /// Go on with this one, and have it renewed unless somebody does.
    Renew(Token),
    Fetch,
    Fail(Status),
}

impl Held {
    /// `draw` is from 0 to 1.
    fn new(lease: Lease, now: Instant, draw: f64) -> Self {
        let life = lease.life.unwrap_or(USUAL_LIFE).min(Duration::from_secs(86_400));
        Self { token: lease.token, renew_at: now + life.mul_f64(RENEWED_AT + SPREAD * draw), ends_at: now + life }
    }
}

impl State {
    fn plan(&self, now: Instant) -> Plan {
        let resting = self.failure.as_ref().filter(|(_, until)| now < *until);
        match (&self.held, resting) {
            (Some(held), _) if now < held.renew_at => Plan::Use(held.token.clone()),
            (Some(held), Some(_)) if now < held.ends_at => Plan::Use(held.token.clone()),
            (Some(held), None) if now < held.ends_at => Plan::Renew(held.token.clone()),
            (_, Some((status, _))) => Plan::Fail(status.clone()),
            (_, None) => Plan::Fetch,
        }
    }

    fn fetched(&mut self, lease: Lease, now: Instant, draw: f64) {
        *self = Self { held: Some(Held::new(lease, now, draw)), failure: None, failures: 0, refused: self.refused };
    }

    fn failed(&mut self, status: Status, now: Instant, draw: f64) {
        self.failures = self.failures.saturating_add(1);
        // Half of it at least, so that those who wait behind the one who failed do not ask one after another.
        let rest = AFTER_A_FAILURE.pause(self.failures, 0.5 + draw / 2.0);
        self.failure = Some((status, now + rest));
    }

    /// Whether there is another token than the refused one, or may be: a client that is no longer wanted does not ask for one at each call.
    fn refused(&mut self, token: &Token, now: Instant) -> bool {
        if self.held.as_ref().is_none_or(|held| held.token != *token) {
            return true;
        }
        if self.refused.is_some_and(|last| now < last + AFTER_A_REFUSAL) {
            return false;
        }
        (self.held, self.refused) = (None, Some(now));
        true
    }
}

impl<F: FetchToken> CachedTokens<F> {
    /// Asks for the first token when the first call needs it.
    pub fn new(fetch: F) -> Self {
        Self(Arc::new(Cache { fetch, state: Mutex::default(), flight: Arc::default() }))
    }
}

impl<F: FetchToken> Cache<F> {
    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The flight is held: nobody else fetches. A caller who leaves in the middle leaves no trace, and the next one fetches.
    async fn renew(&self) -> Result<Token, Status> {
        let fetched = self.fetch.fetch().await;
        let (now, draw) = (Instant::now(), fastrand::f64());
        match fetched {
            Ok(lease) => {
                let token = lease.token.clone();
                self.state(|state| state.fetched(lease, now, draw));
                Ok(token)
            }
            Err(status) => {
                tracing::warn!(code = ?status.code(), message = status.message(), "a token could not be fetched");
                self.state(|state| state.failed(status.clone(), now, draw));
                Err(status)
            }
        }
    }

    /// In a task of its own: a caller who leaves, or whose time is up, takes nothing of it along.
    fn renew_beside(self: &Arc<Self>) {
        let Ok(flight) = Arc::clone(&self.flight).try_lock_owned() else { return };
        let cache = Arc::clone(self);
        tokio::spawn(async move {
            let _flight = flight;
            // Somebody may have done it just before.
            if let Plan::Renew(_) = cache.state(|state| state.plan(Instant::now())) {
                // What came of it is in the state.
                let _ = cache.renew().await;
            }
        });
    }

    async fn current(self: &Arc<Self>) -> Result<Token, Status> {
        match self.state(|state| state.plan(Instant::now())) {
            Plan::Use(token) => return Ok(token),
            Plan::Fail(status) => return Err(status),
            Plan::Renew(token) => {
                self.renew_beside();
                return Ok(token);
            }
            Plan::Fetch => {}
        }
        let _flight = self.flight.lock().await;
        match self.state(|state| state.plan(Instant::now())) {
            Plan::Use(token) | Plan::Renew(token) => Ok(token),
            Plan::Fail(status) => Err(status),
            Plan::Fetch => self.renew().await,
        }
    }
}

impl<F: FetchToken> TokenSource for CachedTokens<F> {
    fn token(&self) -> BoxFuture<'_, Result<Token, Status>> {
        Box::pin(self.0.current())
    }

    fn refused(&self, token: &Token) -> bool {
        self.0.state(|state| state.refused(token, Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    };

    use proptest::prelude::*;
    use tokio::time::{advance, sleep};
    use tonic::Code;

    use super::*;

    const LIFE: Duration = Duration::from_secs(600);

    /// Gives `t1`, `t2` and so on, each after a second; or fails, or says nothing.
    #[derive(Debug, Default)]
    struct Issuer {
        asked: AtomicU32,
        away: AtomicBool,
        silent: AtomicBool,
    }

    impl FetchToken for Arc<Issuer> {
        fn fetch(&self) -> BoxFuture<'_, Result<Lease, Status>> {
            Box::pin(async {
                let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
                if self.silent.load(Ordering::Relaxed) {
                    std::future::pending::<()>().await;
                }
                sleep(Duration::from_secs(1)).await;
                if self.away.load(Ordering::Relaxed) {
                    return Err(Status::unavailable("the issuer is away"));
                }
                Ok(Lease { token: Token::bearer(&format!("t{number}")).unwrap(), life: Some(LIFE) })
            })
        }
    }

    fn source() -> (Arc<Issuer>, Arc<CachedTokens<Arc<Issuer>>>) {
        let issuer = Arc::new(Issuer::default());
        (Arc::clone(&issuer), Arc::new(CachedTokens::new(issuer)))
    }

    fn token(text: &str) -> Token {
        Token::bearer(text).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_wait_one_asks() {
        let (issuer, source) = source();
        let all = futures_util::future::join_all((0..50).map(|_| source.token())).await;
        assert!(all.into_iter().all(|got| got.unwrap() == token("t1")));
        assert_eq!(issuer.asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_renewed_ahead_by_one_and_nobody_waits_for_it() {
        let (issuer, source) = source();
        source.token().await.unwrap();
        advance(LIFE.mul_f64(RENEWED_AT - 0.01)).await;
        assert_eq!(source.token().await.unwrap(), token("t1"));
        advance(LIFE.mul_f64(SPREAD + 0.01)).await;
        let (one, other) = tokio::join!(source.token(), source.token());
        assert_eq!((one.unwrap(), other.unwrap()), (token("t1"), token("t1")));
        sleep(Duration::from_secs(2)).await;
        assert_eq!(source.token().await.unwrap(), token("t2"));
        assert_eq!(issuer.asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_issuer_is_away_the_old_token_serves_until_its_end() {
        let (issuer, source) = source();
        source.token().await.unwrap();
        issuer.away.store(true, Ordering::Relaxed);
        advance(LIFE.mul_f64(0.9)).await;
        assert_eq!(source.token().await.unwrap(), token("t1"));
        advance(LIFE.mul_f64(0.2)).await;
        assert_eq!(source.token().await.unwrap_err().code(), Code::Unavailable);
        let asked = issuer.asked.load(Ordering::Relaxed);
        assert_eq!(source.token().await.unwrap_err().message(), "the issuer is away");
        assert_eq!(issuer.asked.load(Ordering::Relaxed), asked, "it was asked again at once");
        issuer.away.store(false, Ordering::Relaxed);
        advance(AFTER_A_FAILURE.most).await;
        source.token().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_issuer_that_says_nothing_costs_no_call_while_the_token_is_good() {
        let (issuer, source) = source();
        source.token().await.unwrap();
        issuer.silent.store(true, Ordering::Relaxed);
        advance(LIFE.mul_f64(0.9)).await;
        for _ in 0..3 {
            let got = tokio::time::timeout(Duration::from_millis(10), source.token()).await;
            assert_eq!(got.expect("nobody waits").unwrap(), token("t1"));
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(issuer.asked.load(Ordering::Relaxed), 2, "one asks");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leaves_while_it_asks_leaves_the_question_to_the_next() {
        let (issuer, source) = source();
        let leaving = tokio::time::timeout(Duration::from_millis(500), source.token());
        let (left, next) = tokio::join!(leaving, source.token());
        assert!(left.is_err());
        assert_eq!((next.unwrap(), issuer.asked.load(Ordering::Relaxed)), (token("t2"), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_token_is_not_used_again_and_a_newer_one_stays() {
        let (_, source) = source();
        let first = source.token().await.unwrap();
        assert!(source.refused(&first));
        assert_eq!(source.token().await.unwrap(), token("t2"));
        assert!(source.refused(&first));
        assert_eq!(source.token().await.unwrap(), token("t2"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_no_longer_wanted_asks_for_a_token_once_in_a_while() {
        let (issuer, source) = source();
        for _ in 0..100 {
            let token = source.token().await.unwrap();
            source.refused(&token);
            advance(Duration::from_millis(100)).await;
        }
        let asked = issuer.asked.load(Ordering::Relaxed);
        assert!((3..=4).contains(&asked), "{asked} times in 10 s");
    }

    proptest! {
        #[test]
        fn no_token_is_used_beyond_its_end(life in 0_u64..100_000, age in 0_u64..200_000, draw in 0.0_f64..=1.0, resting in any::<bool>()) {
            let (began, mut state) = (Instant::now(), State::default());
            state.fetched(Lease { token: token("t"), life: Some(Duration::from_millis(life)) }, began, draw);
            let now = began + Duration::from_millis(age);
            if resting {
                state.failed(Status::unavailable("away"), now, draw);
            }
            let used = matches!(state.plan(now), Plan::Use(_) | Plan::Renew(_));
            prop_assert_eq!(used, age < life);
        }
    }
}
