//! Where the routers keep what they agree on.

use std::path::PathBuf;

use torchmesh_discovery::{SourceSettings, consul::ConsulSettings, kubernetes::KubernetesSettings};
use torchmesh_runtime::config::Section;

use super::{ConsulStore, FolderStore, KubernetesStore, Store, StoreError};

/// The section `store`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreSettings {
    /// `store.folder`.
    Folder(PathBuf),
    /// `store.consul = true`: the Consul of `discovery.consul`.
    Consul(Box<ConsulSettings>),
    /// `store.kubernetes = true`: the Kubernetes of `discovery.kubernetes`.
    Kubernetes(Box<KubernetesSettings>),
}

impl StoreSettings {
    /// Reads the section; absent, nothing is kept.
    pub fn read(s: &mut Section, discovery: &SourceSettings) -> Option<Self> {
        s.section("store", |s| {
            let folder = s.optional::<PathBuf>("folder");
            let (consul, kubernetes) = (s.or("consul", false), s.or("kubernetes", false));
            let given = [("folder", folder.is_some()), ("consul", consul), ("kubernetes", kubernetes)];
            let mut given = given.into_iter().filter_map(|(key, is_given)| is_given.then_some(key));
            if let (Some(_), Some(second)) = (given.next(), given.next()) {
                s.problem(second, "must be the only place: choose one of folder, consul and kubernetes");
            }
            if consul {
                let found = discovery.consul();
                s.check(found.is_some(), "consul", "needs discovery.consul, which says how Consul is reached");
                return found.map(|settings| Self::Consul(Box::new(settings.clone())));
            }
            if kubernetes {
                let found = discovery.kubernetes();
                s.check(found.is_some(), "kubernetes", "needs discovery.kubernetes, which says how the API server is reached");
                return found.map(|settings| Self::Kubernetes(Box::new(settings.clone())));
            }
            folder.map(Self::Folder)
        })
    }

    /// Opens it: a folder is made when it is not there; Consul and Kubernetes are asked nothing yet.
    pub fn open(&self) -> Result<Store, StoreError> {
        Ok(match self {
            Self::Folder(folder) => Store::Folder(FolderStore::open(folder)?),
            Self::Consul(settings) => Store::Consul(ConsulStore::open(settings)?),
            Self::Kubernetes(settings) => Store::Kubernetes(KubernetesStore::open(settings)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<StoreSettings>, String> {
        Section::read_all(text.parse().unwrap(), |s| {
            let discovery = SourceSettings::read(s);
            StoreSettings::read(s, &discovery)
        })
        .map_err(|problems| problems.to_string())
    }

    #[test]
    fn documents_are_kept_where_others_are_found_or_in_a_folder() {
        assert!(matches!(read("store.kubernetes = true\n[discovery.kubernetes]").unwrap(), Some(StoreSettings::Kubernetes(_))));
        assert!(matches!(read("store.consul = true\n[discovery.consul]").unwrap(), Some(StoreSettings::Consul(_))));
        assert!(matches!(read("store.folder = 'x'\n[discovery.kubernetes]").unwrap(), Some(StoreSettings::Folder(_))));
        assert_eq!(read("store.kubernetes = false\n[discovery.kubernetes]").unwrap(), None);
    }

    #[test]
    fn a_place_that_cannot_be_reached_or_is_not_the_only_one_is_refused() {
        for (text, remedy) in [
            ("store.kubernetes = true\n[discovery.consul]", "store.kubernetes: needs discovery.kubernetes"),
            ("store.consul = true\n[discovery.kubernetes]", "store.consul: needs discovery.consul"),
            ("store = { kubernetes = true, folder = 'x' }\n[discovery.kubernetes]", "store.kubernetes: must be the only place"),
            ("store = { kubernetes = true, consul = true }\n[discovery.kubernetes]", "choose one of folder, consul and kubernetes"),
        ] {
            let report = read(text).unwrap_err();
            assert!(report.contains(remedy), "{remedy:?} is missing in:\n{report}");
        }
    }
}
