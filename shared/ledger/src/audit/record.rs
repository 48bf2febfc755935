//! A record, and how it is chained to the one before.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use torchmesh_api::usage::v1::UsageEvent;

use crate::{
    time::rfc3339,
    usage::{code, hex, uuid},
};

/// SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hash([u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// A text that is no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoHash;

impl FromStr for Hash {
    type Err = NoHash;

    fn from_str(text: &str) -> Result<Self, NoHash> {
        let mut hash = [0; 32];
        // One way of writing each: a hash that was written otherwise was not written by us.
        let plain = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if text.len() != 64 || !plain {
            return Err(NoHash);
        }
        for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| NoHash)?;
        }
        Ok(Self(hash))
    }
}

/// What a record says of a call. Never what was in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `torchmesh.usage.v1.UsageEvent`, which says what they are")]
pub struct Call<'a> {
    pub event: Cow<'a, str>,
    pub time: Cow<'a, str>,
    pub tenant: Cow<'a, str>,
    pub credential: Cow<'a, str>,
    pub model: Cow<'a, str>,
    pub version: Cow<'a, str>,
    pub method: Cow<'a, str>,
    pub code: Cow<'a, str>,
    pub request_id: Cow<'a, str>,
    pub source: Cow<'a, str>,
}

impl<'a> Call<'a> {
    /// What is kept of an event.
    pub fn of(event: &'a UsageEvent) -> Self {
        Self {
            event: uuid(&event.id).into(),
            time: rfc3339(event.time_unix_ms).into(),
            tenant: event.tenant.as_str().into(),
            credential: event.credential.as_str().into(),
            model: event.model.as_str().into(),
            version: event.model_version.as_str().into(),
            method: event.method.as_str().into(),
            code: code(event.code).into(),
            request_id: event.request_id.as_str().into(),
            source: event.source_address.as_str().into(),
        }
    }
}

/// A record, but for its own hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record<'a> {
    pub(super) number: u64,
    pub(super) previous: Cow<'a, str>,
    #[serde(flatten, borrow)]
    pub(super) call: Call<'a>,
}

/// The end of a chain, which the next record follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chain {
    /// How many records there are: the number of the last one, from 1.
    pub number: u64,
    /// The last one's hash.
    pub hash: Hash,
}

const HASH_FIELD: &str = ",\"hash\":\"";

impl Chain {
    /// The line of the next record, which the chain then ends with.
    pub fn add(&mut self, call: Call<'_>) -> String {
        let record = Record { number: self.number + 1, previous: self.hash.to_string().into(), call };
        // Texts and numbers can always be written.
        let mut line = serde_json::to_string(&record).unwrap_or_default();
        *self = self.followed_by(line.as_bytes());
        line.pop();
        line.push_str(HASH_FIELD);
        line.push_str(&self.hash.to_string());
        line.push_str("\"}\n");
        line
    }

    fn followed_by(self, record: &[u8]) -> Self {
        let mut digest = Sha256::new();
        digest.update(self.hash.0);
        digest.update(record);
        Self { number: self.number + 1, hash: Hash(digest.finalize().into()) }
    }

    /// The chain with the record of this line (without its end) behind it, whose hash may be another than it says.
    pub(super) fn with(self, line: &str) -> Option<(Self, Hash)> {
        let (record, hash) = line.strip_suffix("\"}")?.rsplit_once(HASH_FIELD)?;
        Some((self.followed_by(format!("{record}}}").as_bytes()), hash.parse().ok()?))
    }
}
