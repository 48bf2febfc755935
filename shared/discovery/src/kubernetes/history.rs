//! What a document has said: a ConfigMap with a key for each text, of which the oldest make room.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use tokio::time::sleep;

use super::{
    KubernetesError,
    client::Client,
    documents::{ConfigMap, MOST_BYTES},
};
use crate::agreed::Versioned;

/// How often a history that others write to as well is tried to be written.
const TRIES: u32 = 8;
/// Before the next try, at most.
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

impl Client {
    /// Adds a text to the history at `path` under a key, by whose order the oldest are forgotten: at most `most` are kept, and as many as one object holds.
    pub async fn remember(&self, path: &str, key: &str, text: &str, most: usize) -> Result<(), KubernetesError> {
        for _ in 0..TRIES {
            let (version, mut texts) = match self.config_map(path).await? {
                Some(map) => (map.version()?, map.data),
                None => (0, BTreeMap::new()),
            };
            texts.insert(key.to_owned(), text.to_owned());
            forget(&mut texts, most, MOST_BYTES);
            if self.put_config_map(path, version, &json!(texts)).await? {
                return Ok(());
            }
            sleep(BETWEEN_TRIES.mul_f64(fastrand::f64())).await;
        }
        let why = format!("{TRIES} times somebody else was faster");
        Err(KubernetesError::Failed { status: 409, reason: "Conflict".to_owned(), why })
    }

    /// The texts of the history at `path`, by their keys, the oldest first.
    pub async fn remembered(&self, path: &str) -> Result<Vec<(String, Versioned)>, KubernetesError> {
        let Some(map) = self.config_map(path).await? else { return Ok(Vec::new()) };
        let version = map.version()?;
        let ConfigMap { data, .. } = map;
        Ok(data.into_iter().map(|(key, text)| (key, Versioned { version, text })).collect())
    }
}

/// Takes the oldest away until there are few enough, of few enough bytes; the newest stays.
fn forget(texts: &mut BTreeMap<String, String>, most: usize, most_bytes: usize) {
    let mut bytes: usize = texts.values().map(String::len).sum();
    while texts.len() > 1 && (texts.len() > most || bytes > most_bytes) {
        if let Some((_, oldest)) = texts.pop_first() {
            bytes -= oldest.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_newest_stay_as_many_as_may_and_fit(sizes in proptest::collection::vec(0usize..40, 1..30), most in 1usize..20) {
            let all: BTreeMap<_, _> = sizes.iter().enumerate().map(|(at, size)| (format!("{at:015}"), "x".repeat(*size))).collect();
            let mut left = all.clone();
            forget(&mut left, most, 100);
            let bytes = |texts: &BTreeMap<String, String>| texts.values().map(String::len).sum::<usize>();
            prop_assert!(!left.is_empty() && left.len() <= most && bytes(&left) <= 100);
            // One more would have been too many.
            let more: BTreeMap<_, _> = all.iter().rev().take(left.len() + 1).map(|(key, text)| (key.clone(), text.clone())).collect();
            prop_assert!(more.len() == left.len() || more.len() > most || bytes(&more) > 100);
            prop_assert!(left.keys().all(|key| more.contains_key(key)));
        }
    }
}
