//! The settings of the meter: the table `metering`.

use std::{path::PathBuf, time::Duration};

use torchmesh_relay::{
    channel::{Peer, check},
    tls::HopTls,
};
use torchmesh_runtime::config::{ByteSize, FromSetting, Section};

/// What happens to calls while their events cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// New calls are refused with UNAVAILABLE, and a call whose event is lost does not end well: nothing is given that is not billed.
    Refuse,
    /// Calls go on, and what is lost is counted.
    GoOn,
}

impl FromSetting for WhenFull {
    const EXPECTED: &'static str = "\"refuse\" or \"go_on\"";
    fn from_setting(value: &toml::Value) -> Result<Self, String> {
        match value.as_str() {
            Some("refuse") => Ok(Self::Refuse),
            Some("go_on") => Ok(Self::GoOn),
            _ => Err(format!("must be {}, not {value}", Self::EXPECTED)),
        }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct MeteringSettings {
    /// `metering.folder`: where events are kept until they are shipped, and where the usage files and the audit log are. Without it nothing is metered.
    pub folder: Option<PathBuf>,
    /// `metering.when_full`. Default `refuse`.
    pub when_full: WhenFull,
    /// `metering.sync_every`: events that come within this time share a sync. Default 2ms.
    pub sync_every: Duration,
    /// `metering.max_bytes`: the most bytes of events that are not shipped yet. Default 1GiB.
    pub max_bytes: u64,
    /// `metering.files`: whether events are written to files, a line for each. Default true.
    pub files: bool,
    /// `metering.accounts`: a `torchmesh.usage.v1.UsageService` that events are sent to, with `https://` as `accounts_tls` says. Default none.
    pub accounts: Option<Peer>,
    /// `metering.accounts_token_file`: a file with the gateways' token of the accounts; read again for each delivery. Default none.
    pub accounts_token_file: Option<PathBuf>,
    /// `metering.audit`: whether there is an audit log. Default true.
    pub audit: bool,
    /// `metering.rotate_bytes`: a usage or audit file of this size is followed by the next. Default 64MiB.
    pub rotate_bytes: u64,
}

impl MeteringSettings {
    /// Reads the table; `accounts_tls` is how the accounts are reached.
    pub fn read(s: &mut Section, accounts_tls: Option<&HopTls>) -> Self {
        s.section("metering", |s| {
            let size = |s: &mut Section, key: &str, default: usize, least: usize| {
                let ByteSize(size) = s.or(key, ByteSize::mib(default));
                s.check(size >= least, key, format!("must be at least {least} bytes"));
                size as u64
            };
            let accounts = s.optional::<String>("accounts").map(|address| Peer { address, tls: accounts_tls.cloned() });
            if let Some(peer) = &accounts {
                check(s, "accounts", &peer.address, "accounts_tls", accounts_tls);
            }
            let accounts_token_file = s.optional::<PathBuf>("accounts_token_file");
            s.check(accounts_token_file.is_none() || accounts.is_some(), "accounts_token_file", "needs accounts, which it is shown to");
            let sync_every = s.or("sync_every", Duration::from_millis(2));
            s.check(sync_every <= Duration::from_secs(1), "sync_every", "must be at most 1s: every answer waits for it");
            Self {
                folder: s.optional("folder"),
                when_full: s.or("when_full", WhenFull::Refuse),
                sync_every,
                max_bytes: size(s, "max_bytes", 1024, 1 << 20),
                files: s.or("files", true),
                accounts,
                accounts_token_file,
                audit: s.or("audit", true),
                rotate_bytes: size(s, "rotate_bytes", 64, 1 << 10),
            }
        })
    }
}
