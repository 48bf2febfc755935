//! The keys of the playground.

use std::{
    collections::HashMap,
    fmt,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

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

/// A key, and whether the gateways may not have heard of it yet.
#[derive(Clone)]
pub struct Key {
    /// What is shown to the gateway.
    pub secret: String,
    /// Made for this very call.
    pub is_new: bool,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("is_new", &self.is_new).finish_non_exhaustive()
    }
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

    /// The session's key; made, where there is none that is good for a while.
    ///
    /// Error: the member may not make keys.
    pub async fn of(&self, visit: &Visit, person: &Person) -> Answer<Key> {
        let session = hash(person.token());
        let now = Instant::now();
        if let Some(held) = self.held.lock().get(&session).filter(|held| held.ends > now + LEFT) {
            return Ok(Key { secret: held.secret.clone(), is_new: false });
        }
        let held = self.make(visit, person).await?;
        let secret = held.secret.clone();
        self.keep(session, held, now);
        Ok(Key { secret, is_new: true })
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
        let Some(held) = self.held.lock().remove(&hash(person.token())) else { return };
        let asked = visit.app().accounts.ask(RevokeCredentialRequest { id: held.id });
        if let Err(status) = person.accounts(visit).revoke_credential(asked).await {
            tracing::warn!(code = ?status.code(), "a key of the playground was not revoked; it ends by itself");
        }
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
}
