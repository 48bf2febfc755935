//! What was told last, in a file: hashes, and no secrets.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use prost::Message as _;
use sha2::{Digest as _, Sha256};
use torchmesh_api::accounts::v1::WatchResponse;

/// What the file begins with, before the hash of the rest.
const MARK: &[u8; 8] = b"tmroll\0\x01";

/// Reads the file; `None` when there is none.
pub(super) fn read(path: &Path) -> io::Result<Option<WatchResponse>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the file is damaged");
    let rest = bytes.strip_prefix(MARK).ok_or_else(damaged)?;
    let (hash, message) = rest.split_at_checked(32).ok_or_else(damaged)?;
    if *hash != *Sha256::digest(message) {
        return Err(damaged());
    }
    WatchResponse::decode(message).map(Some).map_err(|_| damaged())
}

/// Writes the file, whole or not at all, for its owner alone.
pub(super) fn write(path: &Path, told: &WatchResponse) -> io::Result<()> {
    let message = told.encode_to_vec();
    let draft = path.with_extension("draft");
    // One of an earlier process might be readable for others.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::File::options().create_new(true).write(true).mode(0o600).open(&draft)?;
    file.write_all(&[&MARK[..], &Sha256::digest(&message), &message].concat())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use torchmesh_api::accounts::v1::KnownCredential;

    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_a_changed_byte_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roll");
        assert_eq!(read(&path).unwrap(), None);
        let told = WatchResponse {
            origin: "o".into(),
            revision: 5,
            credentials: vec![KnownCredential { id: "i".into(), ..Default::default() }],
            ..Default::default()
        };
        for _ in 0..2 {
            write(&path, &told).unwrap();
        }
        assert_eq!(read(&path).unwrap(), Some(told));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, bad).unwrap();
            assert!(read(&path).is_err(), "byte {at}");
        }
        fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(read(&path).is_err());
    }
}
