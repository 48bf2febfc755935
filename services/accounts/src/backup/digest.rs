//! The SHA-256 of a copy, in a file beside it.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use sha2::{Digest as _, Sha256};
use torchmesh_ledger::usage::hex;

use super::{
    Result, failure,
    files::{beside, create_empty, told},
};

fn of(path: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path).map_err(told(path))?;
    io::copy(&mut file, &mut hasher).map_err(told(path))?;
    Ok(hex(&hasher.finalize()))
}

/// Writes the digest of a draft beside what the draft is to become.
pub(super) fn write(draft: &Path, file: &Path) -> Result<()> {
    let path = beside(file, ".sha256");
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let line = format!("{}  {name}\n", of(draft)?);
    io::Write::write_all(&mut create_empty(&path)?, line.as_bytes()).map_err(told(&path))
}

/// Refuses a copy that is not as it was written.
pub(super) fn verify(file: &Path) -> Result<()> {
    let path = beside(file, ".sha256");
    let line = fs::read_to_string(&path).map_err(told(&path))?;
    let wanted = line.split_whitespace().next().unwrap_or_default();
    if wanted != of(file)? {
        return failure(format!("{} is not what was backed up: its SHA-256 is another than {} says", file.display(), path.display()));
    }
    Ok(())
}
