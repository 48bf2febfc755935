//! The router's settings.

use std::{path::PathBuf, time::Duration};

use torchmesh_layers::deadline::Allowance;
use torchmesh_relay::{Blame, HedgeSettings, RelaySettings};
use torchmesh_runtime::{
    config::{ByteSize, DrainSettings, Section, ServerSettings, TelemetrySettings},
    process::ServiceSettings,
};

use crate::mirror::ShadowSettings;

/// All settings, with their defaults in [`Self::read`].
#[derive(Debug, Clone)]
pub struct RouterConfig {
    /// Where it listens: `addr` (127.0.0.1:8081), `admin_addr` (127.0.0.1:9081), `threads`, `tls`, `limits`.
    pub server: ServerSettings,
    /// `drain`.
    pub drain: DrainSettings,
    /// `telemetry`.
    pub telemetry: TelemetrySettings,
    /// `discovery.file`: TOML list of instances; the router uses those of the service `worker`. Required.
    pub discovery_file: PathBuf,
    /// `routes_file`: TOML list of routes, read again when it changes. Default none: the newest version of each model answers.
    pub routes_file: Option<PathBuf>,
    /// `probe.interval`: how often each worker is asked for its models. Default 500ms.
    pub probe_interval: Duration,
    /// `limits.max_in_flight`: calls at once; more are refused with RESOURCE_EXHAUSTED. Default 8192.
    pub max_in_flight: usize,
    /// `limits.default_timeout` (60s), for calls without a `grpc-timeout`, and `limits.max_timeout` (1h), for those that ask for more.
    pub allowance: Allowance,
    /// `shadow.max_in_flight` (64): mirrored calls at once; more are not made. `shadow.max_message` (1MiB): the largest request and the largest answer of a call that is
    /// mirrored. Both together bound the memory.
    pub shadow: ShadowSettings,
    /// `retry`, `hedge`, `balance` and `breaker`: how a worker is chosen, and what happens when it fails or is slow.
    pub relay: RelaySettings,
}

impl RouterConfig {
    /// Reads the settings; every mistake is reported.
    pub fn read(s: &mut Section) -> Self {
        let drain = DrainSettings::read(s);
        let telemetry = TelemetrySettings::read(s);
        let discovery_file = s.section("discovery", |s| s.required::<PathBuf>("file")).unwrap_or_default();
        let routes_file = s.optional::<PathBuf>("routes_file");
        let probe_interval = s.section("probe", |s| {
            let interval = s.or("interval", Duration::from_millis(500));
            s.check(interval >= Duration::from_millis(10), "interval", "must be at least 10ms");
            interval
        });
        let shadow = ShadowSettings::read(s);
        let hedge = HedgeSettings::after(0.99, Duration::from_millis(20));
        let relay = RelaySettings::read(s, ByteSize::mib(32), hedge, Blame::Statuses);
        let (server, (max_in_flight, allowance)) = ServerSettings::read_with(s, 8081, 9081, |s| {
            let allowance = Allowance {
                default: s.or("default_timeout", Duration::from_secs(60)),
                max: s.or("max_timeout", Duration::from_secs(3600)),
            };
            (s.or("max_in_flight", 8192), allowance)
        });
        Self { server, drain, telemetry, discovery_file, routes_file, probe_interval, max_in_flight, allowance, shadow, relay }
    }
}

impl ServiceSettings for RouterConfig {
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
