//! The settings of the service of pipelines.

use std::{path::PathBuf, time::Duration};

use torchmesh_discovery::SourceSettings;
use torchmesh_layers::deadline::Allowance;
use torchmesh_relay::{Blame, HedgeSettings, RelaySettings, tls::HopTls};
use torchmesh_runtime::{
    config::{ByteSize, DrainSettings, Section, ServerSettings, TelemetrySettings},
    process::ServiceSettings,
};

/// All settings, with their defaults in [`Self::read`].
#[derive(Debug, Clone)]
pub struct PipelinesConfig {
    /// Where it listens: `addr` (127.0.0.1:8085), `admin_addr` (127.0.0.1:9085), `threads`, `tls`, `limits`.
    pub server: ServerSettings,
    /// `drain`.
    pub drain: DrainSettings,
    /// `telemetry`.
    pub telemetry: TelemetrySettings,
    /// `discovery`: where routers are learnt from, one of `file`, `consul` and `dns`. With Consul it registers itself among the workers. Required.
    pub discovery: SourceSettings,
    /// `pipelines_dir`: a folder for each pipeline, with a file for each version. Default `.torchmesh/pipelines`; it must exist.
    pub folder: PathBuf,
    /// `pipelines_poll`: how often the folder is looked at, and what is not ready is checked again. Default 2s, 50ms to 1h.
    pub poll: Duration,
    /// `max_depth`: how many pipelines may call each other in a row. Default 4, 1 to 32.
    pub max_depth: u32,
    /// `tell_steps`: whether callers who ask for it are told which steps a call had, of which models, and how long each took. Default false.
    pub tell_steps: bool,
    /// `limits.max_in_flight`: calls at once; more are refused with RESOURCE_EXHAUSTED. Default 1024.
    pub max_in_flight: usize,
    /// `limits.default_timeout` (60s), for calls without a `grpc-timeout`, and `limits.max_timeout` (1h), for those that ask for more.
    pub allowance: Allowance,
    /// `retry`, `hedge`, `balance` and `breaker`: how a router is chosen, and what happens when it fails.
    pub relay: RelaySettings,
    /// `mesh_tls`: how routers are reached. Default in clear text.
    pub mesh_tls: Option<HopTls>,
}

impl PipelinesConfig {
    /// Reads the settings; every mistake is reported.
    pub fn read(s: &mut Section) -> Self {
        let drain = DrainSettings::read(s);
        let telemetry = TelemetrySettings::read(s);
        let discovery = SourceSettings::read(s);
        let folder = s.or("pipelines_dir", PathBuf::from(".torchmesh/pipelines"));
        let poll: Duration = s.or("pipelines_poll", Duration::from_secs(2));
        s.check((Duration::from_millis(50)..=Duration::from_secs(3600)).contains(&poll), "pipelines_poll", "must be from 50ms to 1h");
        let max_depth = s.or("max_depth", 4);
        s.check((1..=32).contains(&max_depth), "max_depth", "must be from 1 to 32");
        let tell_steps = s.or("tell_steps", false);
        let hedge = HedgeSettings::after(0.999, Duration::from_millis(250));
        let relay = RelaySettings::read(s, ByteSize::mib(1), hedge, Blame::Connections);
        let mesh_tls = HopTls::read(s);
        let (server, (max_in_flight, allowance)) = ServerSettings::read_with(s, 8085, 9085, |s| {
            let allowance = Allowance {
                default: s.or("default_timeout", Duration::from_secs(60)),
                max: s.or("max_timeout", Duration::from_secs(3600)),
            };
            (s.or("max_in_flight", 1024), allowance)
        });
        Self { server, drain, telemetry, discovery, folder, poll, max_depth, tell_steps, max_in_flight, allowance, relay, mesh_tls }
    }
}

impl ServiceSettings for PipelinesConfig {
    fn server(&self) -> &ServerSettings {
        &self.server
    }

    fn drain(&self) -> DrainSettings {
        self.drain
    }

    fn telemetry(&self) -> &TelemetrySettings {
        &self.telemetry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_in_one_report() {
        let read = |text: &str| Section::read_all(text.parse().unwrap(), PipelinesConfig::read).map_err(|problems| problems.to_string());
        assert_eq!(read("[discovery]\nfile = 'discovery.toml'").unwrap().server.addr.port(), 8085);
        let report = read("pipelines_poll = '1ms'\nmax_depth = 0\nfolder = 'x'").unwrap_err();
        for part in [
            "discovery.file",
            "pipelines_poll: must be from 50ms to 1h",
            "max_depth: must be from 1 to 32",
            "folder: is not a setting here",
        ] {
            assert!(report.contains(part), "{part:?} is missing in:\n{report}");
        }
    }
}
