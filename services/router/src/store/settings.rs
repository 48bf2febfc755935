//! Where the routers keep what they agree on.

use std::path::PathBuf;

use torchmesh_discovery::{SourceSettings, consul::ConsulSettings};
use torchmesh_runtime::config::Section;

use super::{ConsulStore, FolderStore, Store, StoreError};

/// The section `store`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreSettings {
    /// `store.folder`.
    Folder(PathBuf),
    /// `store.consul = true`: the Consul of `discovery.consul`.
    Consul(Box<ConsulSettings>),
}

impl StoreSettings {
    /// Reads the section; absent, nothing is kept.
    pub fn read(s: &mut Section, discovery: &SourceSettings) -> Option<Self> {
        s.section("store", |s| {
            let folder = s.optional::<PathBuf>("folder");
            let consul = s.or("consul", false);
            s.check(folder.is_none() || !consul, "folder", "must be the only place: choose one of folder and consul");
            match discovery.consul() {
                Some(settings) if consul => Some(Self::Consul(Box::new(settings.clone()))),
                None if consul => {
                    s.problem("consul", "needs discovery.consul, which says how Consul is reached");
                    None
                }
                _ => folder.map(Self::Folder),
            }
        })
    }

    /// Opens it: a folder is made when it is not there; Consul is asked nothing yet.
    pub fn open(&self) -> Result<Store, StoreError> {
        Ok(match self {
            Self::Folder(folder) => Store::Folder(FolderStore::open(folder)?),
            Self::Consul(settings) => Store::Consul(ConsulStore::open(settings)?),
        })
    }
}
