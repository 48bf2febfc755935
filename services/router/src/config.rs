//! The router's settings.

use std::{path::PathBuf, time::Duration};

use torchmesh_discovery::{SourceSettings, Zone};
use torchmesh_layers::{deadline::Allowance, shed::NORMAL_SHARE};
use torchmesh_relay::{Blame, HedgeSettings, RelaySettings, tls::HopTls};
use torchmesh_runtime::{
    config::{ByteSize, DrainSettings, Section, ServerSettings, TelemetrySettings},
    process::ServiceSettings,
};

use crate::{cache::CacheSettings, hold::HoldSettings, mirror::ShadowSettings, store::StoreSettings};

/// All settings, with their defaults in [`Self::read`].
#[derive(Debug, Clone)]
pub struct RouterConfig {
    /// Where it listens: `addr` (127.0.0.1:8081), `admin_addr` (127.0.0.1:9081), `threads`, `tls`, `limits`.
    pub server: ServerSettings,
    /// `drain`.
    pub drain: DrainSettings,
    /// `telemetry`.
    pub telemetry: TelemetrySettings,
    /// `discovery`: where workers are learnt from, one of `file`, `consul`, `kubernetes` and `dns`. Required.
    pub discovery: SourceSettings,
    /// `routes_file` or `store`: where the routes are. Default nowhere: the newest version of each model answers.
    pub routes: RoutesFrom,
    /// `probe.interval`: how often each worker is asked for its models. Default 500ms.
    pub probe_interval: Duration,
    /// `limits.max_in_flight`: calls at once; more are refused with RESOURCE_EXHAUSTED. Default 8192.
    pub max_in_flight: usize,
    /// `limits.low_share`: the share of these up to which calls of priority `low` are taken. Default 0.8.
    pub low_share: f64,
    /// `limits.default_timeout` (60s), for calls without a `grpc-timeout`, and `limits.max_timeout` (1h), for those that ask for more.
    pub allowance: Allowance,
    /// `shadow.max_in_flight` (64): mirrored calls at once; more are not made. `shadow.max_message` (1MiB): the largest request and the largest answer of a call that is
    /// mirrored. Both together bound the memory.
    pub shadow: ShadowSettings,
    /// `cache`: how much is kept of the answers that routes want to be kept.
    pub cache: CacheSettings,
    /// `hold`: whose calls wait for a worker that is not there yet. Default nobody's.
    pub hold: Option<HoldSettings>,
    /// `retry`, `hedge`, `balance` and `breaker`: how a worker is chosen, and what happens when it fails or is slow. `limits.adaptive`: whether a worker gets no more calls at once than it answers
    /// in good time; when all have as many, a call is refused with RESOURCE_EXHAUSTED. Default false.
    pub relay: RelaySettings,
    /// `zone`: where this router is. Workers that are there too are preferred. Default: nowhere in particular.
    pub zone: Option<Zone>,
    /// `mesh_tls`: how workers, and other routers, are reached. Default in clear text.
    pub mesh_tls: Option<HopTls>,
}

/// Where routes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoutesFrom {
    /// There are none.
    Nowhere,
    /// `routes_file`: TOML, read again when it changes, and not changed by the router.
    File(PathBuf),
    /// `store`: where all routers keep them, and where they can be replaced by a call.
    Store(StoreSettings),
}

impl RoutesFrom {
    fn read(s: &mut Section, discovery: &SourceSettings) -> Self {
        let file = s.optional::<PathBuf>("routes_file");
        let store = StoreSettings::read(s, discovery);
        s.check(file.is_none() || store.is_none(), "routes_file", "and store must not both be given: choose one");
        match (file, store) {
            (_, Some(store)) => Self::Store(store),
            (Some(file), None) => Self::File(file),
            (None, None) => Self::Nowhere,
        }
    }
}

impl RouterConfig {
    /// Reads the settings; every mistake is reported.
    pub fn read(s: &mut Section) -> Self {
        let drain = DrainSettings::read(s);
        let telemetry = TelemetrySettings::read(s);
        let discovery = SourceSettings::read(s);
        let routes = RoutesFrom::read(s, &discovery);
        let probe_interval = s.section("probe", |s| {
            let interval = s.or("interval", Duration::from_millis(500));
            s.check(interval >= Duration::from_millis(10), "interval", "must be at least 10ms");
            interval
        });
        let shadow = ShadowSettings::read(s);
        let cache = CacheSettings::read(s);
        let hold = HoldSettings::read(s);
        let hedge = HedgeSettings::after(0.99, Duration::from_millis(20));
        let mut relay = RelaySettings::read(s, ByteSize::mib(32), hedge, Blame::Statuses);
        let (zone, mesh_tls) = (s.optional("zone"), HopTls::read(s));
        let (server, (max_in_flight, low_share, allowance)) = ServerSettings::read_with(s, 8081, 9081, |s| {
            let allowance = Allowance {
                default: s.or("default_timeout", Duration::from_secs(60)),
                max: s.or("max_timeout", Duration::from_secs(3600)),
            };
            let low_share = s.or("low_share", 0.8);
            s.check(
                low_share > 0.0 && low_share <= NORMAL_SHARE,
                "low_share",
                "must be above 0, up to 0.95, which is the share of normal calls",
            );
            let max_in_flight = s.or("max_in_flight", 8192);
            relay.adaptive = s.or("adaptive", false).then_some(max_in_flight);
            (max_in_flight, low_share, allowance)
        });
        Self {
            server,
            drain,
            telemetry,
            discovery,
            routes,
            probe_interval,
            max_in_flight,
            low_share,
            allowance,
            shadow,
            cache,
            hold,
            relay,
            zone,
            mesh_tls,
        }
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
