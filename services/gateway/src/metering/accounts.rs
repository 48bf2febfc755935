//! The sink that sends events to the accounts: `torchmesh.usage.v1.UsageService`.

use std::{path::PathBuf, time::Duration};

use tonic::{Request, transport::Channel};
use torchmesh_api::usage::v1::{RecordRequest, UsageEvent, usage_service_client::UsageServiceClient};

use super::ship::Sink;
use crate::identity::accounts::bearer;

/// How long the accounts may take for one delivery.
const PATIENCE: Duration = Duration::from_secs(20);

/// See the module.
#[derive(Debug)]
pub struct Accounts {
    client: UsageServiceClient<Channel>,
    token_file: Option<PathBuf>,
}

impl Accounts {
    /// Those behind this channel, who are shown the token of the file.
    pub fn over(channel: Channel, token_file: Option<PathBuf>) -> Self {
        Self { client: UsageServiceClient::new(channel), token_file }
    }
}

impl Sink for Accounts {
    const NAME: &str = "accounts";

    async fn take(&mut self, events: &[UsageEvent]) -> Result<(), String> {
        let mut request = Request::new(RecordRequest { events: events.to_vec() });
        if let Some(path) = &self.token_file {
            request.metadata_mut().insert("authorization", bearer(path).map_err(|status| status.message().to_owned())?);
        }
        request.set_timeout(PATIENCE);
        let recording = tokio::time::timeout(PATIENCE, self.client.record(request)).await;
        recording
            .map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?
            .map(|_| ())
            .map_err(|status| format!("{}: {}", status.code(), status.message()))
    }
}
