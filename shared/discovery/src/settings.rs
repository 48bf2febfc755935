//! Which source a service learns of others from: the section `discovery`.

use std::path::PathBuf;

use thiserror::Error;
use tokio::sync::watch;
use torchmesh_settings::Section;

use crate::{
    Discovery as _, Dns, DnsSettings, FileError, Instances, StaticFile,
    consul::{Client, Consul, ConsulError, ConsulSettings},
    kubernetes::{Kubernetes, KubernetesError, KubernetesSettings},
};

const SOURCES: [&str; 4] = ["file", "consul", "kubernetes", "dns"];

/// Where the instances of other services are learnt from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceSettings {
    /// `discovery.file`: a TOML list, read again when it changes.
    File(PathBuf),
    /// `discovery.consul`.
    Consul(Box<ConsulSettings>),
    /// `discovery.kubernetes`.
    Kubernetes(Box<KubernetesSettings>),
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
    /// What Kubernetes is reached with.
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
}

impl SourceSettings {
    /// Reads the section; one source and no more must be there.
    pub fn read(s: &mut Section) -> Self {
        s.section("discovery", |s| {
            let given: Vec<_> = SOURCES.into_iter().filter(|key| s.has(key)).collect();
            if let [_, .., last] = given.as_slice() {
                s.problem(last, format!("must be the only source: choose one of {}", SOURCES.join(", ")));
            }
            // Where there are several, all are read, so that each one's mistakes are told and none is called unknown.
            let mut sources: Vec<_> = given.into_iter().filter_map(|key| Self::read_one(s, key)).collect();
            sources.pop().unwrap_or_else(|| Self::File(s.required::<PathBuf>("file").unwrap_or_default()))
        })
    }

    fn read_one(s: &mut Section, key: &str) -> Option<Self> {
        Some(match key {
            "consul" => Self::Consul(Box::new(s.section(key, ConsulSettings::read))),
            "kubernetes" => Self::Kubernetes(Box::new(s.section(key, KubernetesSettings::read))),
            "dns" => Self::Dns(s.section(key, DnsSettings::read)),
            _ => Self::File(s.required::<PathBuf>(key)?),
        })
    }

    /// Where this service registers itself, if it does.
    pub fn consul(&self) -> Option<&ConsulSettings> {
        match self {
            Self::Consul(settings) => Some(settings),
            Self::File(_) | Self::Dns(_) | Self::Kubernetes(_) => None,
        }
    }

    /// How Kubernetes is reached, if others are found there.
    pub fn kubernetes(&self) -> Option<&KubernetesSettings> {
        match self {
            Self::Kubernetes(settings) => Some(settings),
            Self::File(_) | Self::Dns(_) | Self::Consul(_) => None,
        }
    }

    /// The other instances of the service that asks, for which `service` is its own name. A name in the DNS knows none: it is another service's.
    pub fn watch_peers(&self, service: &str) -> Result<watch::Receiver<Instances>, SourceError> {
        match self {
            Self::Dns(_) => Ok(watch::channel(Instances::default()).1),
            Self::File(_) | Self::Consul(_) | Self::Kubernetes(_) => self.watch(service),
        }
    }

    /// The instances of `service`, now and after each change, watched on the runtime that this is called on.
    pub fn watch(&self, service: &str) -> Result<watch::Receiver<Instances>, SourceError> {
        Ok(match self {
            Self::File(path) => StaticFile::open(path)?.watch(service),
            Self::Consul(settings) => Consul::new(Client::new(settings)?).watch(service),
            Self::Kubernetes(settings) => Kubernetes::new(settings)?.watch(service),
            Self::Dns(settings) => Dns::new(settings.clone()).watch(service),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SourceSettings, String> {
        Section::read_all(text.parse().unwrap(), SourceSettings::read).map_err(|problems| problems.to_string())
    }

    #[test]
    fn one_source_is_chosen_by_being_named() {
        assert_eq!(read("discovery.file = 'x'").unwrap(), SourceSettings::File("x".into()));
        assert!(matches!(read("[discovery.kubernetes]").unwrap(), SourceSettings::Kubernetes(_)));
        assert!(matches!(read("[discovery.consul]").unwrap(), SourceSettings::Consul(_)));
        assert!(read("").unwrap_err().contains("discovery.file"));
    }

    #[test]
    fn two_sources_are_refused_with_the_mistakes_of_both() {
        let report = read("[discovery]\nfile = 'x'\ndns.address = 'no port'\nkubernetes.port = ''").unwrap_err();
        for part in [
            "must be the only source: choose one of file, consul, kubernetes, dns",
            "discovery.dns.address: ",
            "discovery.kubernetes.port: ",
        ] {
            assert!(report.contains(part), "{part:?} is missing in:\n{report}");
        }
    }
}
