//! Which source a service learns of others from: the section `discovery`.

use std::path::PathBuf;

use thiserror::Error;
use tokio::sync::watch;
use torchmesh_settings::Section;

use crate::{
    Discovery as _, Dns, DnsSettings, FileError, Instances, StaticFile,
    consul::{Client, Consul, ConsulError, ConsulSettings},
};

/// Where the instances of other services are learnt from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceSettings {
    /// `discovery.file`: a TOML list, read again when it changes.
    File(PathBuf),
    /// `discovery.consul`.
    Consul(Box<ConsulSettings>),
    /// `discovery.dns`.
    Dns(DnsSettings),
}

/// Why a source cannot be used at all.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// What Consul is reached with.
    #[error(transparent)]
    Consul(#[from] ConsulError),
}

impl SourceSettings {
    /// Reads the section; one source and no more must be there.
    pub fn read(s: &mut Section) -> Self {
        s.section("discovery", |s| {
            let given = ["file", "consul", "dns"].map(|key| s.has(key));
            s.check(
                given.into_iter().filter(|given| *given).count() < 2,
                "file",
                "must be the only source: choose one of file, consul and dns",
            );
            if s.has("consul") {
                let consul = Self::Consul(Box::new(s.section("consul", ConsulSettings::read)));
                // What else is there was reported above; here it is read, so as not to be called unknown too.
                s.optional::<PathBuf>("file");
                if s.has("dns") {
                    s.section("dns", DnsSettings::read);
                }
                consul
            } else if s.has("dns") {
                s.optional::<PathBuf>("file");
                Self::Dns(s.section("dns", DnsSettings::read))
            } else {
                Self::File(s.required::<PathBuf>("file").unwrap_or_default())
            }
        })
    }

    /// Where this service registers itself, if it does.
    pub fn consul(&self) -> Option<&ConsulSettings> {
        match self {
            Self::Consul(settings) => Some(settings),
            Self::File(_) | Self::Dns(_) => None,
        }
    }

    /// The other instances of the service that asks, for which `service` is its own name. A name in the DNS knows none: it is another service's.
    pub fn watch_peers(&self, service: &str) -> Result<watch::Receiver<Instances>, SourceError> {
        match self {
            Self::Dns(_) => Ok(watch::channel(Instances::default()).1),
            Self::File(_) | Self::Consul(_) => self.watch(service),
        }
    }

    /// The instances of `service`, now and after each change, watched on the runtime that this is called on.
    pub fn watch(&self, service: &str) -> Result<watch::Receiver<Instances>, SourceError> {
        Ok(match self {
            Self::File(path) => StaticFile::open(path)?.watch(service),
            Self::Consul(settings) => Consul::new(Client::new(settings)?).watch(service),
            Self::Dns(settings) => Dns::new(settings.clone()).watch(service),
        })
    }
}
