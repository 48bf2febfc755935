//! The accounts as a source of credentials: followed while they are there, and remembered while they are not.

mod kept;
mod roll;
mod settings;

use std::{path::PathBuf, time::Duration};

use tokio::time::{sleep, timeout};
use tonic::{Request, Status, metadata::MetadataValue, transport::Channel};
use torchmesh_api::accounts::v1::{WatchRequest, WatchResponse, identity_service_client::IdentityServiceClient};
use torchmesh_relay::channel::Lazy;
use torchmesh_runtime::process::StartError;

pub use settings::AccountsSettings;

use self::roll::Roll;
use super::{keys::Keys, metrics::IdentityMetrics};

/// How long the first message may take, and any when none has said how often they come.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the accounts are left alone that do not answer: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Messages may be so many heartbeats late.
const LATE: u32 = 3;
/// The longest message: a thousand credentials have a fraction of it.
const LONGEST: usize = 16 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Accounts {
    settings: AccountsSettings,
    channel: Channel,
    roll: Roll,
    metrics: IdentityMetrics,
}

impl Accounts {
    /// Reads what was told last; gives the credentials too, if anything was.
    pub(super) fn open(settings: AccountsSettings, metrics: IdentityMetrics) -> Result<(Self, Option<Keys>), StartError> {
        // A connection that is dead and says nothing is noticed by the heartbeats.
        let channel = Lazy::to(&settings.peer).map_err(|error| format!("accounts.address: {error}"))?.channel();
        let mut accounts = Self { settings, channel, roll: Roll::default(), metrics };
        let keys = match kept::read(&accounts.settings.snapshot_file) {
            Ok(kept) => kept.map(|kept| {
                accounts.roll.take(kept);
                let keys = accounts.roll.keys();
                tracing::info!(keys = keys.count(), "the credentials that the accounts told last are known");
                keys
            }),
            // The accounts tell everything again.
            Err(error) => {
                tracing::error!(%error, path = %accounts.settings.snapshot_file.display(), "what the accounts told last cannot be read");
                None
            }
        };
        Ok((accounts, keys))
    }

    /// Follows the accounts for as long as the process lives; `know` is given everything that counts, whenever it changes.
    pub(super) async fn follow(mut self, know: impl Fn(Keys)) {
        let mut pause = PAUSE.0;
        loop {
            let before = self.roll.reached().1;
            let ended = self.listen(&know).await;
            self.metrics.follows(false);
            if self.roll.reached().1 != before {
                pause = PAUSE.0;
            }
            tracing::warn!(why = ended.message(), code = %ended.code(), pause_s = pause.as_secs_f64(), "the accounts are not followed; those who are known stay so");
            sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Listens to one stream until it ends; gives why it did.
    async fn listen(&mut self, know: &impl Fn(Keys)) -> Status {
        let (origin, revision) = self.roll.reached();
        let mut request = Request::new(WatchRequest { origin: origin.to_owned(), revision });
        if let Err(status) = self.show_token(&mut request) {
            return status;
        }
        let mut client = IdentityServiceClient::new(self.channel.clone()).max_decoding_message_size(LONGEST);
        let silent = || Status::deadline_exceeded("nothing has come for too long");
        let mut stream = match timeout(PATIENCE, client.watch(request)).await {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return status,
            Err(_) => return silent(),
        };
        let mut patience = PATIENCE;
        loop {
            match timeout(patience, stream.message()).await {
                Ok(Ok(Some(message))) => {
                    patience = patience_of(&message);
                    self.metrics.follows(true);
                    if self.roll.take(message) {
                        know(self.roll.keys());
                        self.keep().await;
                    }
                }
                Ok(Ok(None)) => return Status::unavailable("the stream has ended"),
                Ok(Err(status)) => return status,
                Err(_) => return silent(),
            }
        }
    }

    fn show_token(&self, request: &mut Request<WatchRequest>) -> Result<(), Status> {
        let Some(path) = &self.settings.token_file else { return Ok(()) };
        request.metadata_mut().insert("authorization", bearer(path)?);
        Ok(())
    }

    async fn keep(&self) {
        let (path, whole): (PathBuf, WatchResponse) = (self.settings.snapshot_file.clone(), self.roll.whole());
        let written = tokio::task::spawn_blocking(move || kept::write(&path, &whole)).await;
        if let Err(error) = written.unwrap_or_else(|_| Err(std::io::Error::other("the writer ended early"))) {
            tracing::error!(%error, "accounts.snapshot_file cannot be written: a restart without the accounts would know what was written before");
        }
    }
}

fn patience_of(message: &WatchResponse) -> Duration {
    let heartbeat = Duration::from_millis(message.heartbeat_ms.clamp(0, 60_000).unsigned_abs());
    if heartbeat.is_zero() { PATIENCE } else { heartbeat * LATE }
}

/// What shows the token of a file.
pub(crate) fn bearer(path: &std::path::Path) -> Result<MetadataValue<tonic::metadata::Ascii>, Status> {
    let told = |error: &dyn std::fmt::Display| Status::unauthenticated(format!("token_file: {}: {error}", path.display()));
    let token = std::fs::read_to_string(path).map_err(|error| told(&error))?;
    let mut value = MetadataValue::try_from(format!("Bearer {}", token.trim())).map_err(|error| told(&error))?;
    value.set_sensitive(true);
    Ok(value)
}
