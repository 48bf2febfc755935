//! The settings of who may call.

use std::path::PathBuf;

use torchmesh_runtime::config::Section;

use super::{issuer::IssuerSettings, oauth::OauthSettings};

/// See the fields.
#[derive(Debug, Clone)]
pub struct IdentitySettings {
    /// `keys_file`: TOML with keys, OAuth clients and workloads; read again when it changes. Required.
    pub keys_file: PathBuf,
    /// `[[issuer]]`: whose tokens are taken. Default nobody's.
    pub issuers: Vec<IssuerSettings>,
    /// `oauth`: the gateway as an issuer of tokens. Default none.
    pub oauth: Option<OauthSettings>,
}

impl IdentitySettings {
    /// Reads the settings.
    pub fn read(s: &mut Section) -> Self {
        let keys_file = s.required::<PathBuf>("keys_file").unwrap_or_default();
        let (issuers, oauth) = (IssuerSettings::read_all(s), OauthSettings::read(s));
        if let Some(own) = &oauth {
            let apart = issuers.iter().all(|issuer| issuer.issuer != own.issuer);
            s.check(apart, "issuer", "has the name of oauth.issuer, whose tokens are the gateway's own");
        }
        Self { keys_file, issuers, oauth }
    }
}
