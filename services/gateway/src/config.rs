//! The gateway's settings.

use std::{path::PathBuf, time::Duration};

use torchmesh_discovery::SourceSettings;
use torchmesh_layers::{deadline::Allowance, shed::NORMAL_SHARE};
use torchmesh_relay::{Blame, HedgeSettings, RelaySettings, tls::HopTls};
use torchmesh_runtime::{
    config::{ByteSize, DrainSettings, Section, ServerSettings, TelemetrySettings},
    process::ServiceSettings,
};

use crate::{
    batches::BatchSettings, browser::CorsSettings, identity::IdentitySettings, limits::LimitsSettings, metering::MeteringSettings,
    redaction::settings::Rule,
};

/// All settings, with their defaults in [`Self::read`].
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Where it listens: `addr` (127.0.0.1:8080), `admin_addr` (127.0.0.1:9080), `threads`, `tls`, `limits`.
    pub server: ServerSettings,
    /// `drain`.
    pub drain: DrainSettings,
    /// `telemetry`.
    pub telemetry: TelemetrySettings,
    /// `discovery`: where routers are learnt from, one of `file`, `consul`, `kubernetes` and `dns`. Required.
    pub discovery: SourceSettings,
    /// `keys_file`, `accounts`, `[[issuer]]` and `oauth`: who may call.
    pub identity: IdentitySettings,
    /// `limits.max_in_flight`: calls at once; more are refused with RESOURCE_EXHAUSTED (429). Default 8192.
    pub max_in_flight: usize,
    /// `limits.low_share`: the share of these up to which calls of priority `low` are taken. Default 0.8.
    pub low_share: f64,
    /// `limits.default_timeout` (60s), for calls that do not say, and `limits.max_timeout` (1h), for those that ask for more.
    pub allowance: Allowance,
    /// `limits_file` and more of `limits`: who may use how much.
    pub limits: LimitsSettings,
    /// `retry`, `hedge`, `balance` and `breaker`: how a router is chosen, and what happens when it fails or is slow.
    pub relay: RelaySettings,
    /// `mesh_tls`: how routers are reached. Default in clear text.
    pub mesh_tls: Option<HopTls>,
    /// `cors`: which origins' scripts may call from a browser. Default none.
    pub cors: CorsSettings,
    /// `[[redaction]]`: which models are not sent personal data. Default none.
    pub redaction: Vec<Rule>,
    /// `batches`: whether and where calls wait in files.
    pub batches: BatchSettings,
    /// `metering`: whether and where it is written what calls have used.
    pub metering: MeteringSettings,
}

impl GatewayConfig {
    /// Reads the settings; every mistake is reported.
    pub fn read(s: &mut Section) -> Self {
        let drain = DrainSettings::read(s);
        let telemetry = TelemetrySettings::read(s);
        let discovery = SourceSettings::read(s);
        let accounts_tls = HopTls::read_for_address(s, "accounts_tls");
        let identity = IdentitySettings::read(s, accounts_tls.as_ref());
        let limits_file = s.optional::<PathBuf>("limits_file");
        // Rarer and later than the router's own: what is slow is the model nearly always, and then another router would not help.
        let hedge = HedgeSettings::after(0.999, Duration::from_millis(250));
        let relay = RelaySettings::read(s, ByteSize::mib(1), hedge, Blame::Connections);
        let mesh_tls = HopTls::read(s);
        let metering = MeteringSettings::read(s, accounts_tls.as_ref());
        let cors = CorsSettings::read(s);
        let redaction = Rule::read_all(s);
        let batches = BatchSettings::read(s);
        let (mut server, (max_in_flight, low_share, allowance, limits, max_resets)) = ServerSettings::read_with(s, 8080, 9080, |s| {
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
            (s.or("max_in_flight", 8192), low_share, allowance, LimitsSettings::read(s, limits_file), s.or("max_resets", 500))
        });
        server.max_resets = max_resets;
        Self {
            server,
            drain,
            telemetry,
            discovery,
            identity,
            max_in_flight,
            low_share,
            allowance,
            limits,
            relay,
            mesh_tls,
            cors,
            redaction,
            batches,
            metering,
        }
    }
}

impl ServiceSettings for GatewayConfig {
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
