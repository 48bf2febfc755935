//! Objects as the API has them: where they are, what they are called, and which of them are meant.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use super::settings::is_label;

/// A kind of object.
#[derive(Debug)]
pub(super) struct Kind {
    /// The apiGroup; empty is the core.
    group: &'static str,
    pub(super) name: &'static str,
    plural: &'static str,
}

pub(super) static ENDPOINT_SLICES: Kind = Kind { group: "discovery.k8s.io", name: "EndpointSlice", plural: "endpointslices" };
pub(super) static CONFIG_MAPS: Kind = Kind { group: "", name: "ConfigMap", plural: "configmaps" };
pub(super) static LEASES: Kind = Kind { group: "coordination.k8s.io", name: "Lease", plural: "leases" };

impl Kind {
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { "v1".to_owned() } else { format!("{}/v1", self.group) }
    }

    /// Where all of a namespace are.
    pub(super) fn path(&self, namespace: &str) -> String {
        let root = if self.group.is_empty() { "api" } else { "apis" };
        format!("/{root}/{}/namespaces/{namespace}/{}", self.api_version(), self.plural)
    }
}

/// As a Role names them.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (apiGroup {:?})", self.plural, self.group)
    }
}

/// Some of the objects of a kind.
#[derive(Debug, Clone)]
pub(super) struct Selected {
    pub(super) kind: &'static Kind,
    /// `labelSelector` or `fieldSelector`.
    pub(super) by: &'static str,
    pub(super) selector: String,
}

impl Selected {
    pub(super) fn labelled(kind: &'static Kind, selector: String) -> Self {
        Self { kind, by: "labelSelector", selector }
    }

    pub(super) fn named(kind: &'static Kind, name: &str) -> Self {
        Self { kind, by: "fieldSelector", selector: format!("metadata.name={name}") }
    }
}

/// What every object has.
pub(super) trait Object: DeserializeOwned {
    fn metadata(&self) -> &Metadata;
}

/// `ObjectMeta`, of an object and of a list.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) resource_version: String,
    #[serde(deserialize_with = "or_none")]
    pub(super) annotations: BTreeMap<String, String>,
}

/// What there is of something.
#[derive(Debug, Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
pub(super) struct List<T> {
    pub(super) metadata: Metadata,
    #[serde(deserialize_with = "or_none")]
    pub(super) items: Vec<T>,
}

/// `Status`, which the server says where it does not do what it is asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) code: u16,
    pub(super) reason: String,
    pub(super) message: String,
}

/// The API writes `null` for what is empty.
pub(super) fn or_none<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// So much of a path that cannot be a name stays readable in it. A name has 253 characters at most.
const READABLE: usize = 100;

/// The name of what is at `path`: `<prefix>.<path>` with dots for slashes. What a name may not have (`_`, capital letters, a dot) becomes `-`, and a digest of the path follows, so
/// that no two have the same. The prefix has no dot, so that these names are never those of anything else that begins with it.
pub(super) fn name(prefix: &str, path: &str) -> String {
    if path.len() <= READABLE && path.split('/').all(is_label) {
        return format!("{prefix}.{}", path.replace('/', "."));
    }
    let readable: String =
        path.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).take(READABLE).collect();
    let digest = Sha256::digest(path);
    let digest = digest.iter().take(8).fold(0, |digest: u64, byte| digest << 8 | u64::from(*byte));
    format!("{prefix}.{}-{digest:016x}", readable.trim_start_matches('-'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_says_what_it_is_of_where_it_can() {
        assert_eq!(name("shop", "routes"), "shop.routes");
        assert_eq!(name("shop", "rollouts/sentiment"), "shop.rollouts.sentiment");
        let odd = name("shop", "rollouts/all-MiniLM_L6.v2");
        assert!(odd.starts_with("shop.rollouts-all-minilm-l6-v2-"), "{odd}");
    }

    fn is_subdomain(name: &str) -> bool {
        name.len() <= 253
            && name.split('.').all(|part| {
                let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                !part.is_empty() && part.chars().all(good) && !part.starts_with('-') && !part.ends_with('-')
            })
    }

    proptest! {
        #[test]
        fn every_path_has_a_name_of_its_own_that_kubernetes_takes(a in "[A-Za-z0-9][A-Za-z0-9._-]{0,127}", b in "[A-Za-z0-9][A-Za-z0-9._-]{0,127}") {
            let of = |model: &str| name(&"p".repeat(63), &format!("rollouts/{model}"));
            prop_assert!(is_subdomain(&of(&a)), "{}", of(&a));
            prop_assert_eq!(of(&a) == of(&b), a == b);
            // What a careless rule would throw together.
            for (one, other) in [("_", "-"), (".", "-")] {
                let changed = a.replace(one, other);
                prop_assert_eq!(of(&a) == of(&changed), a == changed);
            }
            prop_assert_eq!(of(&a) == of(&a.to_lowercase()), a == a.to_lowercase());
        }
    }
}
