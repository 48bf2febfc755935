//! What every page stands on.

use std::sync::Arc;

use torchmesh_runtime::process::StartError;

use crate::{
    assets::Assets,
    config::PortalConfig,
    guard::Attempts,
    playground::Keys,
    text::Words,
    traffic::Traffic,
    upstream::{Accounts, Gateway, Router},
};

/// See the module. One for the process.
#[derive(Debug)]
pub struct App {
    /// The settings.
    pub config: PortalConfig,
    /// Who knows people, keys and usage.
    pub accounts: Accounts,
    /// Where models are called.
    pub gateway: Gateway,
    /// Who knows routes and rollouts, if one is told.
    pub router: Option<Router>,
    /// The style and the script.
    pub assets: Assets,
    /// The texts of every language.
    pub words: Words,
    /// Attempts to sign in, by the address that they come from.
    pub attempts: Attempts,
    /// Keys that the playground calls with.
    pub keys: Keys,
    /// What the router has counted in the last hour.
    pub traffic: Traffic,
}

/// What handlers take.
pub type Shared = Arc<App>;

impl App {
    /// Joins the parts; nobody is asked yet. Must be called on a runtime.
    pub fn new(config: PortalConfig) -> Result<Self, StartError> {
        Ok(Self {
            accounts: Accounts::new(&config)?,
            gateway: Gateway::new(&config)?,
            router: config.router.as_ref().map(|router| Router::new(router, config.timeout)).transpose()?,
            assets: Assets::new(),
            words: Words::new()?,
            attempts: Attempts::new(config.limits.attempts, config.limits.attempts_window),
            keys: Keys::new(config.playground.key_lifetime),
            traffic: Traffic::default(),
            config,
        })
    }
}
