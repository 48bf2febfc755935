//! The keys of the playground.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use http::StatusCode;
use parking_lot::Mutex;
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};
use torchmesh_api::accounts::v1::{CreateCredentialRequest, CredentialKind, RevokeCredentialRequest};

use super::NAMED;
use crate::{
    fail::{Answer, Fail},
    visit::{Person, Visit},
};

/// Sessions that are remembered; one more makes those forget their keys that end first.
const MOST: usize = 10_000;
/// A key that ends sooner than this is replaced.
const LEFT: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub struct Keys {
    lifetime: Duration,
    held: Mutex<HashMap<[u8; 32], Held>>,
}

#[derive(Clone)]
struct Held {
    id: String,
    secret: String,
    ends: Instant,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Keys {
    /// None yet; each is good for so long.
    pub fn new(lifetime: Duration) -> Self {
        Self { lifetime, held: Mutex::default() }
    }

    /// The secret of the session's key; made, where there is none that is good for a while. Gateways may not have heard of it yet.
    ///
    /// Error: the member may not make keys, or may not any more.
    pub async fn of(&self, visit: &Visit, person: &Person) -> Answer<String> {
        if !person.may_change_keys() {
            return Err(Fail::new(StatusCode::FORBIDDEN));
        }
        let session = hash(person.token());
        let now = Instant::now();
        if let Some(held) = self.held.lock().get(&session).filter(|held| held.ends > now + LEFT) {
            return Ok(held.secret.clone());
        }
        let held = self.make(visit, person).await?;
        let secret = held.secret.clone();
        self.keep(session, held, now);
        Ok(secret)
    }

    async fn make(&self, visit: &Visit, person: &Person) -> Answer<Held> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let asked = CreateCredentialRequest {
            kind: CredentialKind::ApiKey.into(),
            name: format!("{NAMED}{}", drawn()?),
            expires_unix_ms: i64::try_from((since + self.lifetime).as_millis()).unwrap_or(i64::MAX),
            ..Default::default()
        };
        let ends = Instant::now() + self.lifetime;
        let made = person.accounts(visit).create_credential(visit.app().accounts.ask(asked)).await?.into_inner();
        Ok(Held { id: made.credential.map(|made| made.id).unwrap_or_default(), secret: made.secret, ends })
    }

    fn keep(&self, session: [u8; 32], new: Held, now: Instant) {
        let mut held = self.held.lock();
        if held.len() >= MOST {
            held.retain(|_, held| held.ends > now);
        }
        if held.len() >= MOST
            && let Some(first) = held.iter().min_by_key(|(_, held)| held.ends).map(|(session, _)| *session)
        {
            held.remove(&first);
        }
        held.insert(session, new);
    }

    /// Revokes the session's key: somebody signs out.
    pub async fn forget(&self, visit: &Visit, person: &Person) {
        let held = self.held.lock().remove(&hash(person.token()));
        if let Some(held) = held {
            revoke(visit, person, held).await;
        }
    }

    /// Does away with a key that no gateway lets in, unless another has taken its place: the next call makes one.
    pub async fn give_up(&self, visit: &Visit, person: &Person, secret: &str) {
        if let Some(held) = self.take(hash(person.token()), secret) {
            revoke(visit, person, held).await;
        }
    }

    fn take(&self, session: [u8; 32], secret: &str) -> Option<Held> {
        match self.held.lock().entry(session) {
            Entry::Occupied(held) if held.get().secret == secret => Some(held.remove()),
            _ => None,
        }
    }
}

async fn revoke(visit: &Visit, person: &Person, held: Held) {
    let asked = visit.app().accounts.ask(RevokeCredentialRequest { id: held.id });
    if let Err(status) = person.accounts(visit).revoke_credential(asked).await {
        tracing::warn!(code = ?status.code(), "a key of the playground was not revoked; it ends by itself");
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Something to tell two of a tenant's playgrounds from each other.
fn drawn() -> Answer<String> {
    let mut bytes = [0; 5];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Fail::away())?;
    Ok(bytes.iter().fold(String::new(), |drawn, byte| drawn + &format!("{byte:02x}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_keys_is_bounded_and_those_that_end_first_go_first() {
        let (keys, now) = (Keys::new(Duration::from_secs(60)), Instant::now());
        let held = |seconds| Held { id: String::new(), secret: "tm_secret".to_owned(), ends: now + Duration::from_secs(seconds) };
        for number in 0..=MOST {
            keys.keep(hash(&number.to_string()), held(60 + number as u64), now);
        }
        let kept = keys.held.lock();
        assert_eq!(kept.len(), MOST);
        assert!(!kept.contains_key(&hash("0")) && kept.contains_key(&hash(&MOST.to_string())));
        assert!(!format!("{kept:?}").contains("tm_secret"), "secrets are not printed");
    }

    #[test]
    fn a_key_is_given_up_only_while_no_other_has_taken_its_place() {
        let (keys, now) = (Keys::new(Duration::from_secs(60)), Instant::now());
        keys.keep(hash("session"), Held { id: String::new(), secret: "tm_second".to_owned(), ends: now }, now);
        assert!(keys.take(hash("session"), "tm_first").is_none() && keys.take(hash("another"), "tm_second").is_none());
        assert!(keys.take(hash("session"), "tm_second").is_some() && keys.held.lock().is_empty());
    }
}
