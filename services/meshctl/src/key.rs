//! The development key of a local mesh: made once, kept in `dev.key`, and known to the gateway by its hash only.

use std::{fmt::Write as _, fs, io::Read as _, path::Path};

use sha2::{Digest as _, Sha256};
use toml::{Table, Value};

use crate::{
    error::{Failure, IO, Result, USAGE},
    home::{Home, replace},
};

const PREFIX: &str = "tm_dev_";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 43 characters of 62 are 256 bits.
const LENGTH: usize = 43;
const NAME: &str = "dev";

/// Makes sure that `dev.key` holds a key and that `keys.toml` lets it in. Other keys in `keys.toml` stay.
pub(crate) fn ensure(home: &Home) -> Result<()> {
    let key = match read(&home.dev_key())? {
        Some(key) => key,
        None => make(home)?,
    };
    let path = home.keys();
    let present = read(&path)?.unwrap_or_default();
    match admit(&present, &sha256_hex(&key)) {
        Ok(Some(text)) => replace(&path, &text, 0o600),
        Ok(None) => Ok(()),
        Err(error) => Err(Failure::new(USAGE, format!("{} is not readable as TOML: {error}", path.display()))
            .help("repair it, or delete it: the next `meshctl up` writes a new one")),
    }
}

/// The text of a file without the blanks around it; `None` when the file is absent or empty.
pub(crate) fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::file("read", path, &error)),
    }
}

fn make(home: &Home) -> Result<String> {
    let source = Path::new("/dev/urandom");
    let mut random = fs::File::open(source).map_err(|error| Failure::file("read", source, &error))?;
    let mut draw = || {
        let mut byte = [0];
        random.read_exact(&mut byte).map(|()| byte[0])
    };
    let key = spell(&mut draw).map_err(|error| Failure::new(IO, format!("no random numbers for the key: {error}")))?;
    replace(&home.dev_key(), &format!("{key}\n"), 0o600)?;
    Ok(key)
}

/// Spells a key from random bytes.
fn spell(draw: &mut dyn FnMut() -> std::io::Result<u8>) -> std::io::Result<String> {
    let mut key = PREFIX.to_owned();
    while key.len() < PREFIX.len() + LENGTH {
        let byte = usize::from(draw()?);
        // 248 is the last multiple of 62 in a byte; taking the rest too would favour the first letters.
        if byte < 248 {
            key.push(char::from(ALPHABET[byte % 62]));
        }
    }
    Ok(key)
}

/// The SHA-256 of a key, as `keys.toml` holds it.
fn sha256_hex(key: &str) -> String {
    Sha256::digest(key).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The text of `keys.toml` that lets the key with this hash in; `None` when it does already.
fn admit(present: &str, sha256: &str) -> std::result::Result<Option<String>, toml::de::Error> {
    let mut table: Table = present.parse()?;
    let keys = table.entry("key").or_insert_with(|| Value::Array(Vec::new()));
    let Value::Array(keys) = keys else { return Ok(None) };
    if keys.iter().any(|key| key.get("sha256").and_then(Value::as_str) == Some(sha256)) {
        return Ok(None);
    }
    keys.retain(|key| key.get("name").and_then(Value::as_str) != Some(NAME));
    let fields = [("name", NAME), ("tenant", NAME), ("sha256", sha256)];
    keys.push(Value::Table(fields.map(|(name, value)| (name.to_owned(), Value::from(value))).into_iter().collect()));
    Ok(Some(format!(
        "# The keys that the gateway accepts, by hash. `meshctl up` keeps the entry \"{NAME}\" in step with dev.key.\n{table}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        (folder, home)
    }

    #[test]
    fn the_key_is_made_once_and_stays() {
        let (_folder, home) = home();
        ensure(&home).unwrap();
        let key = read(&home.dev_key()).unwrap().unwrap();
        let keys = fs::read_to_string(home.keys()).unwrap();
        ensure(&home).unwrap();
        assert_eq!(read(&home.dev_key()).unwrap().unwrap(), key);
        assert_eq!(fs::read_to_string(home.keys()).unwrap(), keys);
        assert!(key.starts_with(PREFIX) && key.len() == PREFIX.len() + LENGTH, "{key}");
        assert!(keys.contains(&sha256_hex(&key)) && !keys.contains(&key));
    }

    #[test]
    fn two_meshes_have_different_keys() {
        let ((_one, one), (_two, two)) = (home(), home());
        ensure(&one).unwrap();
        ensure(&two).unwrap();
        assert_ne!(read(&one.dev_key()).unwrap(), read(&two.dev_key()).unwrap());
    }

    #[test]
    fn a_key_that_somebody_added_stays_and_a_replaced_dev_key_is_replaced() {
        let before = "[[key]]\nname = 'mine'\ntenant = 't'\nsha256 = 'aa'\n[[key]]\nname = 'dev'\ntenant = 'dev'\nsha256 = 'bb'\n";
        let after = admit(before, "cc").unwrap().unwrap();
        assert!(after.contains("\"mine\"") && after.contains("\"cc\"") && !after.contains("\"bb\""), "{after}");
        assert_eq!(admit(&after, "cc").unwrap(), None);
    }

    #[test]
    fn the_hash_is_the_standard_one() {
        assert_eq!(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn every_letter_is_as_likely_as_any_other() {
        let mut next = 0_u8;
        let mut draw = || {
            next = next.wrapping_add(1);
            Ok(next)
        };
        let mut seen = std::collections::BTreeMap::new();
        for letter in (0..1000).flat_map(|_| spell(&mut draw).unwrap()[PREFIX.len()..].chars().collect::<Vec<_>>()) {
            *seen.entry(letter).or_insert(0) += 1;
        }
        let (least, most) = (seen.values().min().unwrap(), seen.values().max().unwrap());
        assert!(seen.len() == 62 && most - least <= 8, "{least} to {most} over {} letters", seen.len());
    }
}
