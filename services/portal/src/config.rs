//! The settings of the portal.

use std::{path::PathBuf, time::Duration};

use torchmesh_relay::{
    channel::{Peer, check},
    tls::HopTls,
};
use torchmesh_runtime::{
    config::{DrainSettings, Section, ServerSettings, TelemetrySettings},
    process::ServiceSettings,
};

/// All settings, with their defaults in [`Self::read`].
#[derive(Debug, Clone)]
pub struct PortalConfig {
    /// Where it listens: `addr` (127.0.0.1:8084), `admin_addr` (127.0.0.1:9084), `threads`, `tls`, `limits`.
    pub server: ServerSettings,
    /// `drain`.
    pub drain: DrainSettings,
    /// `telemetry`.
    pub telemetry: TelemetrySettings,
    /// `accounts.address`: who knows people, keys and usage, such as `http://accounts:8083`, or `https://` with `accounts_tls`.
    pub accounts: Peer,
    /// `accounts.operator_token_file`: the operators' token. Default none: there are no operators' pages.
    pub operator_token: Option<PathBuf>,
    /// `gateway`: where models are called.
    pub gateway: GatewaySettings,
    /// `router.address`: a router, for the operators' pages, such as `http://router:8081`, or `https://` with `router_tls`. Default none.
    pub router: Option<Peer>,
    /// `operators`: addresses of the members who are operators too. Default none.
    pub operators: Vec<String>,
    /// `public_address`: what people type, such as `https://portal.example.org`. Default none.
    pub public_address: Option<String>,
    /// `sign_up`: whether the pages lead to signing up. Default true; the accounts' own `sign_up` decides.
    pub sign_up: bool,
    /// `timeout`: how long accounts, gateway and router may take for one answer. Default 10s.
    pub timeout: Duration,
    /// `playground`: calls from the browser.
    pub playground: PlaygroundSettings,
    /// `limits`, beyond those of every server.
    pub limits: LimitSettings,
}

/// `gateway`.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// `gateway.address`: where the portal reaches it, such as `http://gateway:8080`.
    pub address: String,
    /// `gateway.public_address`: where callers reach it, as examples have it. Default `gateway.address`.
    pub public_address: String,
    /// `gateway.key_file`: an API key that may read which models there are, for the catalogue. Default none: there is no catalogue.
    pub key_file: Option<PathBuf>,
}

/// `playground`.
#[derive(Debug, Clone, Copy)]
pub struct PlaygroundSettings {
    /// `playground.key_lifetime`: how long a key is good that a visit to the playground makes. Default 1h.
    pub key_lifetime: Duration,
    /// `playground.timeout`: how long one answer may take. Default 2m.
    pub timeout: Duration,
}

/// `limits`.
#[derive(Debug, Clone, Copy)]
pub struct LimitSettings {
    /// `limits.max_in_flight`: requests at once whose answer has not begun. Default 512; more are answered 503.
    pub max_in_flight: usize,
    /// `limits.attempts`: attempts to sign in that may fail, and letters that may be asked for, from one address within `limits.attempts_window`. Default 30.
    pub attempts: u32,
    /// `limits.attempts_window`: how long an attempt counts. Default 15m.
    pub attempts_window: Duration,
    /// `limits.trusted_proxies`: how many proxies in front add the caller's address to `x-forwarded-for`. Default 0: the connection's counts.
    pub trusted_proxies: usize,
}

impl PortalConfig {
    /// Reads the settings; every mistake is reported.
    pub fn read(s: &mut Section) -> Self {
        let drain = DrainSettings::read(s);
        let telemetry = TelemetrySettings::read(s);
        let [accounts_tls, router_tls] = ["accounts_tls", "router_tls"].map(|table| HopTls::read_for_address(s, table));
        let (accounts, operator_token) = s.section("accounts", |s| (peer(s, "accounts_tls", accounts_tls), file(s, "operator_token_file")));
        let gateway = s.section("gateway", read_gateway);
        let router = s.section("router", |s| if s.has("address") { Some(peer(s, "router_tls", router_tls)) } else { None });
        let operators: Vec<String> = s.or("operators", Vec::new());
        s.check(operators.iter().all(|one| one.contains('@')), "operators", "must be addresses such as ada@example.org");
        let operators = operators.into_iter().map(|one| one.trim().to_lowercase()).collect();
        let public_address = s.optional::<String>("public_address");
        s.check(public_address.as_deref().is_none_or(is_http), "public_address", "must begin with https:// or http://");
        let sign_up = s.or("sign_up", true);
        let timeout = s.or("timeout", Duration::from_secs(10));
        s.check((Duration::from_millis(100)..=Duration::from_secs(120)).contains(&timeout), "timeout", "must be from 100ms to 2m");
        let playground = s.section("playground", read_playground);
        let (server, limits) = ServerSettings::read_with(s, 8084, 9084, read_limits);
        #[rustfmt::skip]
        let all = Self {
            server, drain, telemetry, accounts, operator_token, gateway, router, operators, public_address, sign_up, timeout, playground, limits,
        };
        all
    }

    /// Whether browsers reach it by TLS, its own or that of a proxy in front: cookies are for TLS alone then.
    pub fn is_secure(&self) -> bool {
        self.server.tls.is_some() || self.public_address.as_deref().is_some_and(|address| address.starts_with("https://"))
    }
}

fn read_gateway(s: &mut Section) -> GatewaySettings {
    let address = address(s, "address");
    let public_address = s.optional::<String>("public_address");
    s.check(public_address.as_deref().is_none_or(is_http), "public_address", "must begin with https:// or http://");
    let public_address = public_address.unwrap_or_else(|| address.clone()).trim_end_matches('/').to_owned();
    GatewaySettings { address, public_address, key_file: file(s, "key_file") }
}

fn read_playground(s: &mut Section) -> PlaygroundSettings {
    let key_lifetime = s.or("key_lifetime", Duration::from_secs(3600));
    let lifetimes = Duration::from_secs(60)..=Duration::from_secs(86_400);
    s.check(lifetimes.contains(&key_lifetime), "key_lifetime", "must be from 1m to 24h");
    let timeout = s.or("timeout", Duration::from_secs(120));
    s.check((Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&timeout), "timeout", "must be from 1s to 1h");
    PlaygroundSettings { key_lifetime, timeout }
}

fn read_limits(s: &mut Section) -> LimitSettings {
    let max_in_flight = s.or("max_in_flight", 512);
    s.check(max_in_flight > 0, "max_in_flight", "must be at least 1");
    let attempts = s.or("attempts", 30);
    s.check(attempts > 0, "attempts", "must be at least 1");
    let attempts_window = s.or("attempts_window", Duration::from_secs(900));
    let windows = Duration::from_secs(1)..=Duration::from_secs(86_400);
    s.check(windows.contains(&attempts_window), "attempts_window", "must be from 1s to 24h");
    let trusted_proxies = s.or("trusted_proxies", 0);
    s.check(trusted_proxies <= 16, "trusted_proxies", "must be at most 16");
    LimitSettings { max_in_flight, attempts, attempts_window, trusted_proxies }
}

fn is_http(address: &str) -> bool {
    reqwest::Url::parse(address).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn address(s: &mut Section, key: &str) -> String {
    let told = s.required::<String>(key);
    s.check(told.as_deref().is_none_or(is_http), key, "must be an address such as http://127.0.0.1:8080");
    told.unwrap_or_default().trim_end_matches('/').to_owned()
}

/// A service that is spoken to as a table says, or in clear text.
fn peer(s: &mut Section, table: &str, tls: Option<HopTls>) -> Peer {
    let address = s.required::<String>("address");
    if let Some(address) = &address {
        check(s, "address", address, table, tls.as_ref());
    }
    Peer { address: address.unwrap_or_default(), tls }
}

/// A file that can be read now; it is read again whenever it is needed.
fn file(s: &mut Section, key: &str) -> Option<PathBuf> {
    let path = s.optional::<PathBuf>(key)?;
    if let Err(error) = std::fs::read_to_string(&path) {
        s.problem(key, format!("{} cannot be read: {error}", path.display()));
    }
    Some(path)
}

impl ServiceSettings for PortalConfig {
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
    fn an_address_that_promises_tls_needs_a_table_that_says_whom_to_believe() {
        let read = |text: &str| Section::read_all(text.parse().unwrap(), PortalConfig::read).map_err(|problems| problems.to_string());
        let all = |accounts: &str, router: &str| {
            read(&format!("accounts.address = '{accounts}'\nrouter.address = '{router}'\ngateway.address = 'https://gateway:8080'"))
        };
        let good = all("http://accounts:8083", "http://router:8081").unwrap();
        let router = good.router.map(|router| router.address);
        assert_eq!((&*good.accounts.address, router.as_deref()), ("http://accounts:8083", Some("http://router:8081")));
        let report = all("https://accounts:8083", "HTTPS://router:8081").unwrap_err();
        for table in ["accounts", "router"] {
            let part = format!("{table}.address: needs the table {table}_tls for https://");
            assert!(report.contains(&part), "{part:?} is missing in:\n{report}");
        }
        assert!(!report.contains("gateway"), "{report}");
    }
}
