//! `meshctl audit`: whether the audit log is whole.

use std::path::PathBuf;

use serde::Serialize;
use torchmesh_ledger::audit::{Places, Whole, verify};

use crate::{
    cli::{AuditArgs, AuditCommand},
    error::{FAILED, Failure, Result},
    home::Home,
    output::Screen,
};

#[derive(Debug, Serialize)]
struct Verified {
    first: u64,
    last: u64,
    hash: String,
    end_is_known: bool,
}

/// Goes through the log.
pub(crate) fn audit(args: &AuditArgs, home: &Home, screen: &Screen) -> Result<()> {
    let AuditCommand::Verify { files } = &args.what;
    let files = if files.is_empty() { files_of(&[home.metering().join("audit")])? } else { files_of(files)? };
    if files.is_empty() {
        return Err(
            Failure::new(FAILED, "there is no audit log").help("name its files, or a folder with files such as audit-000000000001.jsonl")
        );
    }
    match verify(&files).map_err(|error| Failure::new(crate::error::IO, format!("cannot read the log: {error}")))? {
        Ok(Whole { first, last, end_is_known }) => {
            let verified = Verified { first, last: last.number, hash: last.hash.to_string(), end_is_known };
            if !end_is_known {
                screen.warn(
                    "audit.head is not beside the files or is older than they are: whether something behind them was cut off is not known",
                );
            }
            screen.show(&verified, || format!("whole: records {first} to {}, the last one's hash is {}", verified.last, verified.hash))
        }
        Err(broken) => Err(Failure::new(FAILED, broken.to_string()).help("what stands in front of this record is whole")),
    }
}

/// The files, in the order of their records; of folders, those in them.
fn files_of(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let places = Places::of(path);
            let numbers = places.files().map_err(|error| Failure::file("read", path, &error))?;
            files.extend(numbers.into_iter().map(|first| places.file(first)));
        } else {
            files.push(path.clone());
        }
    }
    files.sort_by_key(|file| Places::first_of(file));
    Ok(files)
}
