//! The settings of the accounts: the table `accounts`.

use std::path::PathBuf;

use torchmesh_relay::{
    channel::{Peer, check},
    tls::HopTls,
};
use torchmesh_runtime::config::Section;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountsSettings {
    /// `accounts.address`: where `torchmesh.accounts.v1.IdentityService` is, such as `http://accounts:8083`, or `https://` with `accounts_tls`. Required.
    pub peer: Peer,
    /// `accounts.snapshot_file`: where what was told last is kept, so that a gateway that starts while the accounts are away knows whom to let in. Required.
    pub snapshot_file: PathBuf,
    /// `accounts.token_file`: a file with the gateways' token; read again for each connection. Default none.
    pub token_file: Option<PathBuf>,
}

impl AccountsSettings {
    /// Reads the table, if it is there; `tls` is `accounts_tls`.
    pub fn read(s: &mut Section, tls: Option<&HopTls>) -> Option<Self> {
        if !s.has("accounts") {
            return None;
        }
        s.section("accounts", |s| {
            let (address, snapshot_file) = (s.required::<String>("address"), s.required::<PathBuf>("snapshot_file"));
            let token_file = s.optional("token_file");
            if let Some(address) = &address {
                check(s, "address", address, "accounts_tls", tls);
            }
            Some(Self { peer: Peer { address: address?, tls: tls.cloned() }, snapshot_file: snapshot_file?, token_file })
        })
    }
}
