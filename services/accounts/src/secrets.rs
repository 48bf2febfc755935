//! Secrets: drawn here, told once, and kept as their hashes.

use std::io;

use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use torchmesh_api::access::key::{self, NewKey};
use torchmesh_ledger::usage::hex;

use crate::error::{Refusal, Result};

/// Draws a secret of the form of API keys; without an id, with one that is drawn too.
pub(crate) fn draw(id: Option<&str>) -> Result<NewKey> {
    let random = SystemRandom::new();
    let mut byte = || {
        let mut byte = [0];
        random.fill(&mut byte).map(|()| byte[0]).map_err(|_| io::Error::other("no random numbers"))
    };
    key::draw(id, &mut byte).map_err(|error| {
        tracing::error!(%error, "no secret can be drawn");
        Refusal::Fault
    })
}

/// The SHA-256 of a secret, as the tables hold it. What is drawn has 256 bits: it needs no salt and no slow hash.
pub(crate) fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret))
}

/// Whether two secrets are the same, in a time that does not tell how much of them is.
pub(crate) fn same(one: &str, other: &str) -> bool {
    Sha256::digest(one).ct_eq(&Sha256::digest(other)).into()
}
