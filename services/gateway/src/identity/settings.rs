//! The settings of who may call.

use std::path::PathBuf;

use torchmesh_relay::tls::HopTls;
use torchmesh_runtime::config::Section;

use super::{accounts::AccountsSettings, issuer::IssuerSettings, oauth::OauthSettings};

/// See the fields.
#[derive(Debug, Clone)]
pub struct IdentitySettings {
    /// `keys_file`: TOML with keys, OAuth clients and workloads; read again when it changes. Required, unless there are accounts.
    pub keys_file: Option<PathBuf>,
    /// `accounts`: who keeps keys and OAuth clients beside the file. Default nobody.
    pub accounts: Option<AccountsSettings>,
    /// `[[issuer]]`: whose tokens are taken. Default nobody's.
    pub issuers: Vec<IssuerSettings>,
    /// `oauth`: the gateway as an issuer of tokens. Default none.
    pub oauth: Option<OauthSettings>,
}

impl IdentitySettings {
    /// Reads the settings; `accounts_tls` is how the accounts are reached.
    pub fn read(s: &mut Section, accounts_tls: Option<&HopTls>) -> Self {
        let accounts = AccountsSettings::read(s, accounts_tls);
        let keys_file = if accounts.is_some() { s.optional("keys_file") } else { s.required("keys_file") };
        let (issuers, oauth) = (IssuerSettings::read_all(s), OauthSettings::read(s));
        if let Some(own) = &oauth {
            let apart = issuers.iter().all(|issuer| issuer.issuer != own.issuer);
            s.check(apart, "issuer", "has the name of oauth.issuer, whose tokens are the gateway's own");
        }
        Self { keys_file, accounts, issuers, oauth }
    }
}
