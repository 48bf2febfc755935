//! The settings of the accounts.

use std::path::PathBuf;

use torchmesh_runtime::{
    config::{DrainSettings, Section, ServerSettings, TelemetrySettings},
    process::ServiceSettings,
};

use crate::{
    access::TokenFile, billing::BillingSettings, oidc::ProviderSettings, payments::PaymentSettings, people::MailSettings,
    privacy::RetentionSettings, store::DatabaseSettings, webhooks::WebhookSettings,
};

/// All settings, with their defaults in [`Self::read`].
#[derive(Debug, Clone)]
pub struct AccountsConfig {
    /// Where it listens: `addr` (127.0.0.1:8083), `admin_addr` (127.0.0.1:9083), `threads`, `tls`, `limits`.
    pub server: ServerSettings,
    /// `drain`.
    pub drain: DrainSettings,
    /// `telemetry`.
    pub telemetry: TelemetrySettings,
    /// `database`: where everything is kept.
    pub database: DatabaseSettings,
    /// `operator_token_file`: a file with the operators' token. Default none: nobody is an operator.
    pub operators: Option<TokenFile>,
    /// `gateway_token_file`: a file with the gateways' token. Default none: whoever reaches the port may be told the hashes, and may send usage.
    pub gateways: Option<TokenFile>,
    /// `sign_up`: whether whoever wants to may make a tenant. Default false.
    pub sign_up: bool,
    /// `mail`: where letters go.
    pub mail: MailSettings,
    /// `billing`: what is sold, and how it is billed.
    pub billing: BillingSettings,
    /// `payments`: who takes the payers' money.
    pub payments: PaymentSettings,
    /// `webhooks`: how what happens is told to addresses that tenants register.
    pub webhooks: WebhookSettings,
    /// `[[sign_in.oidc]]`: whom members may sign in through.
    pub providers: Vec<ProviderSettings>,
    /// `retention`: how long what is kept.
    pub retention: RetentionSettings,
    /// `limits.max_in_flight`: calls at once, streams to gateways included; more are refused with RESOURCE_EXHAUSTED. Default 1024.
    pub max_in_flight: usize,
}

impl AccountsConfig {
    /// Reads the settings; every mistake is reported.
    pub fn read(s: &mut Section) -> Self {
        let drain = DrainSettings::read(s);
        let telemetry = TelemetrySettings::read(s);
        // `folder`: where the embedded database and the outbox are.
        let folder = s.or("folder", PathBuf::from("accounts"));
        let database = DatabaseSettings::read(s, &folder);
        let (operators, gateways) = (token(s, "operator_token_file"), token(s, "gateway_token_file"));
        let sign_up = s.or("sign_up", false);
        let mail = MailSettings::read(s, &folder);
        let billing = BillingSettings::read(s);
        let payments = PaymentSettings::read(s);
        let webhooks = WebhookSettings::read(s);
        let providers = s.section("sign_in", ProviderSettings::read_all);
        let retention = RetentionSettings::read(s);
        let (server, max_in_flight) = ServerSettings::read_with(s, 8083, 9083, |s| s.or("max_in_flight", 1024));
        Self {
            server,
            drain,
            telemetry,
            database,
            operators,
            gateways,
            sign_up,
            mail,
            billing,
            payments,
            webhooks,
            providers,
            retention,
            max_in_flight,
        }
    }
}

fn token(s: &mut Section, key: &str) -> Option<TokenFile> {
    let opened = TokenFile::open(s.optional::<PathBuf>(key)?);
    opened.map_err(|error| s.problem(key, error)).ok()
}

impl ServiceSettings for AccountsConfig {
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
