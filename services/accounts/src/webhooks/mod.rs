//! Webhooks: what happens, told to whoever registered an address, as it happens.
//!
//! What is told is written down in the transaction of the change that makes it happen (`record`): what was committed is told, and nothing else. [`fn@attend`] sends it, at least once and in
//! the order in which it happened, signed as [Standard Webhooks](https://www.standardwebhooks.com) has it ([`verify`]), to addresses of the public internet only (`address`).

mod address;
mod attempts;
mod attend;
mod courier;
mod deliveries;
mod endpoints;
mod events;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod outcome;
mod record;
mod schedule;
mod secrets;
mod send;
mod settings;
mod signature;
pub(crate) mod tidy;

use std::sync::Arc;

use prometheus_client::registry::Registry;

pub use attend::attend;
pub use courier::Courier;
pub use deliveries::{Delivery, DeliveryState, find as find_delivery, list as deliveries, redeliver, redeliver_dead, test};
pub use endpoints::{NewWebhook, State, Update, Webhook, create, find, list, remove, update};
pub use events::{Event, Kind};
pub(crate) use record::happened;
pub use secrets::rotate;
pub use settings::{Rules, WebhookSettings};
pub use signature::{Received, TOLERANCE_S, Unverified, verify};

use crate::{
    error::{Refusal, Result},
    sealing::Keys,
};

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Webhooks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: WebhookSettings,
    /// None where webhooks are off: then nothing that they need has to be there, such as certificates.
    sender: Option<send::Sender>,
    attempts: attempts::Attempts,
}

impl Webhooks {
    /// By these settings; nothing is sent yet.
    ///
    /// Error: why nothing can be.
    pub fn new(settings: WebhookSettings, metrics: &mut Registry) -> std::result::Result<Self, String> {
        let sender = settings.keys.is_some().then(|| send::Sender::new(&settings)).transpose()?;
        Ok(Self(Arc::new(Inner { settings, sender, attempts: attempts::Attempts::register(metrics) })))
    }

    /// The settings.
    pub fn settings(&self) -> &WebhookSettings {
        &self.0.settings
    }

    /// The keys that secrets are sealed with.
    ///
    /// Error: there are none, and webhooks are off.
    pub fn keys(&self) -> Result<&Keys> {
        self.0.settings.keys.as_ref().ok_or_else(off)
    }

    fn sender(&self) -> Result<&send::Sender> {
        self.0.sender.as_ref().ok_or_else(off)
    }
}

fn off() -> Refusal {
    Refusal::State("webhooks are off here; set webhooks.key_file of the accounts (docs/webhooks.md)".to_owned())
}
