//! The development key of a local mesh: made once, kept in `dev.key`, and known to the gateway by its hash only. How any key is drawn.

use std::{fmt::Write as _, fs, io::Read as _, path::Path};

use sha2::{Digest as _, Sha256};
use torchmesh_api::access::key::{self, NewKey};

use crate::{
    error::{Failure, IO, Result},
    home::{Home, replace},
    keys_file::{Entry, KeysFile, Kind, edit},
};

/// The name, the tenant and the id of the development key.
const NAME: &str = "dev";

/// Makes sure that `dev.key` holds a key and that `keys.toml` lets it in. Other keys in `keys.toml` stay.
pub(crate) fn ensure(home: &Home) -> Result<()> {
    let key = match read(&home.dev_key())? {
        Some(key) => key,
        None => make(home)?,
    };
    edit(&home.keys(), |file| admit(file, &sha256_hex(&key)))
}

/// Makes sure that the tokens of the accounts are there, and the key that they seal secrets with.
pub(crate) fn ensure_tokens(home: &Home) -> Result<()> {
    let folder = home.accounts();
    fs::create_dir_all(&folder).map_err(|error| Failure::file("create", &folder, &error))?;
    for path in [home.operator_token(), home.gateway_token()] {
        if read(&path)?.is_none() {
            replace(&path, &format!("{}\n", draw(Some("token"))?.key), 0o600)?;
        }
    }
    if read(&home.webhook_keys())?.is_none() {
        // Sixty-four hexadecimal digits that nobody knows.
        replace(&home.webhook_keys(), &format!("{}\n", sha256_hex(&draw(None)?.key)), 0o600)?;
    }
    Ok(())
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
    let NewKey { key, .. } = draw(Some(NAME))?;
    replace(&home.dev_key(), &format!("{key}\n"), 0o600)?;
    Ok(key)
}

/// A new key; without an id, with one that is drawn too.
pub(crate) fn draw(id: Option<&str>) -> Result<NewKey> {
    let source = Path::new("/dev/urandom");
    let mut random = fs::File::open(source).map_err(|error| Failure::file("read", source, &error))?;
    let mut draw = || {
        let mut byte = [0];
        random.read_exact(&mut byte).map(|()| byte[0])
    };
    key::draw(id, &mut draw).map_err(|error| Failure::new(IO, format!("no random numbers for the key: {error}")))
}

/// The SHA-256 of a key, as `keys.toml` holds it.
pub(crate) fn sha256_hex(key: &str) -> String {
    Sha256::digest(key).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Lets the key with this hash in, which may do everything, in place of the development key before it.
fn admit(file: &mut KeysFile, sha256: &str) -> Result<()> {
    // One that says no scopes was written before there were any.
    if file.entries().iter().any(|entry| entry.sha256 == sha256 && entry.scopes.is_some()) {
        return Ok(());
    }
    file.remove(Kind::Key, |entry| entry.name == NAME || entry.sha256 == sha256);
    file.add(&Entry {
        kind: Kind::Key,
        name: NAME.to_owned(),
        id: NAME.to_owned(),
        tenant: NAME.to_owned(),
        scopes: Some(vec!["admin".to_owned()]),
        models: None,
        expires: None,
        sha256: sha256.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use torchmesh_api::access::key::{Spelling, spelling};

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
        assert!(key.starts_with("tm_dev_") && spelling(key.as_bytes()) == Spelling::Right, "{key}");
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
        let mut file = KeysFile::parse(before).unwrap();
        admit(&mut file, "cc").unwrap();
        let after = file.text();
        assert!(after.contains("'mine'") && after.contains("\"cc\"") && !after.contains("'bb'"), "{after}");
        admit(&mut file, "cc").unwrap();
        assert_eq!(file.text(), after);
    }

    #[test]
    fn a_dev_key_from_before_there_were_scopes_gets_them_and_stays_the_same_key() {
        let mut file = KeysFile::parse("[[key]]\nname = 'dev'\ntenant = 'dev'\nsha256 = 'bb'\n").unwrap();
        admit(&mut file, "bb").unwrap();
        let [entry] = &file.entries()[..] else { panic!("{}", file.text()) };
        assert_eq!((entry.sha256.as_str(), entry.scopes.as_deref()), ("bb", Some(&["admin".to_owned()][..])));
    }

    #[test]
    fn the_hash_is_the_standard_one() {
        assert_eq!(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
