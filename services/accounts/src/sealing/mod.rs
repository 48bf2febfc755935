//! Secrets as they are kept: sealed with AES-256-GCM and a key that is not in the database. Hashes do not do here, since signatures and codes are made with the secret itself.
//!
//! The keys are in a file, which is read again while the process runs: a new one goes on its first line, seals from then on, and what older ones have sealed is sealed anew ([`reseal()`]) until nothing needs them.

mod reseal;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom as _, SystemRandom},
};
use sha2::{Digest as _, Sha256};
use torchmesh_ledger::usage::hex;

pub(crate) use reseal::reseal;
pub use reseal::{SealingKey, sealing_keys};

use crate::{
    credentials,
    error::{Refusal, Result},
};

struct Key {
    /// The first digits of its SHA-256: which key sealed what.
    id: String,
    key: LessSafeKey,
}

/// The keys of a key file, as it is now: a line of 64 hexadecimal digits for each. The first one seals, all of them open. Cheap to clone.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    path: PathBuf,
    ring: RwLock<Arc<Ring>>,
    /// What is wrong with the file, as it was said last.
    said: RwLock<String>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

impl Keys {
    /// Reads a key file.
    ///
    /// Error: what is wrong with it.
    pub fn read(path: &Path) -> std::result::Result<Self, String> {
        let ring = RwLock::new(Arc::new(Ring::read(path)?));
        Ok(Self(Arc::new(Inner { path: path.to_owned(), ring, said: RwLock::default() })))
    }

    /// Reads the file again; gives whether its keys are others. A file that is wrong is said to be, once, and what was read before goes on.
    pub(crate) fn look(&self) -> bool {
        let read = Ring::read(&self.0.path);
        let error = read.as_ref().err().cloned().unwrap_or_default();
        let mut said = self.0.said.write().unwrap_or_else(PoisonError::into_inner);
        if *said != error {
            if !error.is_empty() {
                tracing::error!(error, "webhooks.key_file cannot be read again; the keys that were read before go on");
            }
            *said = error;
        }
        let Ok(ring) = read else { return false };
        let mut known = self.0.ring.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = known.ids() != ring.ids();
        if is_new {
            *known = Arc::new(ring);
        }
        is_new
    }

    fn ring(&self) -> Arc<Ring> {
        self.0.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The keys' names, the newest first: the first 8 digits of each one's SHA-256.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.ring().ids()
    }

    /// A secret, sealed. It opens for its owner only.
    pub(crate) fn seal(&self, owner: &str, secret: &[u8]) -> Result<String> {
        self.ring().seal(owner, secret)
    }

    /// What was sealed; none, where the key is not there any more, or it is another owner's.
    pub(crate) fn open(&self, owner: &str, sealed: &str) -> Option<Vec<u8>> {
        // Another process may have read a new key before this one has.
        self.ring().open(owner, sealed).or_else(|| self.look().then(|| self.ring().open(owner, sealed))?)
    }

    /// Whether the first key has sealed it.
    fn is_newest(&self, sealed: &str) -> bool {
        self.ring().is_newest(sealed)
    }
}

/// The keys of a file as it was at a moment.
struct Ring(Vec<Key>);

impl Ring {
    fn read(path: &Path) -> std::result::Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn parse(text: &str) -> std::result::Result<Self, String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys: Option<Vec<Key>> = lines.map(key).collect();
        let keys = keys.ok_or("a key must be a line of 64 hexadecimal digits, as `openssl rand -hex 32` prints")?;
        if keys.is_empty() {
            return Err("must hold a key: a line of 64 hexadecimal digits, as `openssl rand -hex 32` prints".to_owned());
        }
        Ok(Self(keys))
    }

    fn ids(&self) -> Vec<String> {
        self.0.iter().map(|key| key.id.clone()).collect()
    }

    fn seal(&self, owner: &str, secret: &[u8]) -> Result<String> {
        let newest = self.0.first().ok_or(Refusal::Fault)?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| Refusal::Fault)?;
        let mut sealed = secret.to_vec();
        let aad = Aad::from(owner.as_bytes());
        newest.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed).map_err(|_| Refusal::Fault)?;
        Ok(format!("{}.{}", newest.id, BASE64_STANDARD.encode([&nonce[..], &sealed].concat())))
    }

    fn open(&self, owner: &str, sealed: &str) -> Option<Vec<u8>> {
        let (id, content) = sealed.split_once('.')?;
        let content = BASE64_STANDARD.decode(content).ok()?;
        let (nonce, sealed) = content.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let key = self.0.iter().find(|key| key.id == id)?;
        let mut sealed = sealed.to_vec();
        let opened = key.key.open_in_place(nonce, Aad::from(owner.as_bytes()), &mut sealed).ok()?;
        Some(opened.to_vec())
    }

    fn is_newest(&self, sealed: &str) -> bool {
        self.0.first().is_some_and(|key| sealed.split_once('.').is_some_and(|(id, _)| id == key.id))
    }
}

fn key(line: &str) -> Option<Key> {
    let good = line.len() == 64 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bytes = good.then(|| credentials::bytes(line).ok())??;
    let id = hex(&Sha256::digest(&bytes)).chars().take(8).collect();
    Some(Key { id, key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_owner_alone_and_is_another_text_each_time() {
        let keys = Ring::parse(&"ab".repeat(32)).unwrap();
        let sealed = keys.seal("w", b"secret").unwrap();
        assert_eq!(keys.open("w", &sealed).unwrap(), b"secret");
        assert_eq!(keys.open("x", &sealed), None);
        assert_ne!(keys.seal("w", b"secret").unwrap(), sealed);
        assert!(!sealed.contains(&BASE64_STANDARD.encode("secret")));
        for broken in ["", "abc", "abc.def", &sealed[1..], &sealed[..sealed.len() - 4]] {
            assert_eq!(keys.open("w", broken), None, "{broken}");
        }
    }

    #[test]
    fn a_new_key_goes_first_and_the_old_one_goes_on_opening() {
        let (old, new) = ("ab".repeat(32), "cd".repeat(32));
        let sealed = Ring::parse(&old).unwrap().seal("w", b"secret").unwrap();
        let both = Ring::parse(&format!("# of November\n{new}\n\n{old}\n")).unwrap();
        assert_eq!(both.open("w", &sealed).unwrap(), b"secret");
        assert!(!both.is_newest(&sealed) && both.is_newest(&both.seal("w", b"secret").unwrap()));
        assert_eq!(Ring::parse(&new).unwrap().open("w", &sealed), None);
    }

    #[test]
    fn a_file_without_a_good_key_is_refused_and_no_key_is_shown() {
        for wrong in ["", "# nothing\n", "abcd", &"zz".repeat(32), &format!("{}\nabcd", "ab".repeat(32))] {
            assert!(Ring::parse(wrong).err().unwrap().contains("openssl rand -hex 32"), "{wrong:?}");
        }
        let (_folder, keys) = file(&"ab".repeat(32));
        assert!(!format!("{keys:?}").contains("abab"));
    }

    fn file(text: &str) -> (tempfile::TempDir, Keys) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("keys"), text).unwrap();
        let keys = Keys::read(&folder.path().join("keys")).unwrap();
        (folder, keys)
    }

    #[test]
    fn a_file_that_changes_is_read_again_and_one_that_is_wrong_changes_nothing() {
        let (old, new) = ("ab".repeat(32), "cd".repeat(32));
        let (folder, keys) = file(&old);
        let put = |text: &str| fs::write(folder.path().join("keys"), text).unwrap();
        let sealed = keys.seal("w", b"secret").unwrap();
        assert!(!keys.look(), "it is the same");
        put("half a key");
        assert!(!keys.look() && keys.open("w", &sealed).is_some());
        put(&format!("{new}\n{old}"));
        assert!(keys.look() && !keys.is_newest(&sealed) && keys.open("w", &sealed).is_some());
    }

    #[test]
    fn what_another_process_sealed_with_a_key_that_is_new_is_opened_by_reading_the_file_again() {
        let (old, new) = ("ab".repeat(32), "cd".repeat(32));
        let (folder, keys) = file(&old);
        fs::write(folder.path().join("keys"), format!("{new}\n{old}")).unwrap();
        let sealed = Ring::parse(&new).unwrap().seal("w", b"secret").unwrap();
        assert_eq!(keys.open("w", &sealed).unwrap(), b"secret");
    }
}
