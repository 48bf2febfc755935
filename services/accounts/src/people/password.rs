//! Passwords: hashed with Argon2id, away from the threads that answer calls.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use crate::error::{Refusal, Result};

/// The bounds of a password, in bytes.
const BOUNDS: std::ops::RangeInclusive<usize> = 10..=1024;
/// Hashes that are made at once: each takes 19 MiB and a core.
const AT_ONCE: usize = 2;

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Passwords {
    places: Arc<Semaphore>,
    /// What is compared with where there is no password, so that it takes as long.
    nobodys: Arc<str>,
}

impl Passwords {
    /// Makes the hash that nobody has.
    pub fn new() -> Result<Self> {
        let nobodys = hash_now("a password that nobody has")?.into();
        Ok(Self { places: Arc::new(Semaphore::new(AT_ONCE)), nobodys })
    }

    /// The hash of a new password.
    pub async fn hash(&self, password: &str) -> Result<String> {
        if !BOUNDS.contains(&password.len()) {
            return Err(Refusal::Invalid(format!("password: must have {} to {} characters", BOUNDS.start(), BOUNDS.end())));
        }
        let password = password.to_owned();
        self.aside(move || hash_now(&password)).await
    }

    /// Whether a password is that of the hash. Without one it is not, and that takes as long.
    pub async fn fits(&self, password: &str, hash: Option<String>) -> Result<bool> {
        let (known, hash) = (hash.is_some(), hash.unwrap_or_else(|| self.nobodys.to_string()));
        // As much as is ever hashed.
        let password = password.chars().take(*BOUNDS.end()).collect::<String>();
        let fits = self.aside(move || {
            let parsed = PasswordHash::new(&hash).map_err(|_| Refusal::Fault)?;
            Ok(Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
        });
        Ok(fits.await? && known)
    }

    async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Refusal::Fault)?;
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        done.await.map_err(|_| Refusal::Fault)?
    }
}

fn hash_now(password: &str) -> Result<String> {
    let hash: PasswordHash = Argon2::default().hash_password(password.as_bytes()).map_err(|error| {
        tracing::error!(%error, "a password cannot be hashed");
        Refusal::Fault
    })?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_hash_and_no_other_does() {
        let passwords = Passwords::new().unwrap();
        let hash = passwords.hash("correct horse battery").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.fits("correct horse battery", Some(hash.clone())).await.unwrap());
        assert!(!passwords.fits("correct horse batterz", Some(hash)).await.unwrap());
        assert!(!passwords.fits("a password that nobody has", None).await.unwrap(), "nobody signs in with it");
        assert!(matches!(passwords.hash("short").await, Err(Refusal::Invalid(_))));
    }
}
