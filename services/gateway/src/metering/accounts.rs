//! The sink that sends events to the accounts: `torchmesh.usage.v1.UsageService`.

use std::time::Duration;

use tonic::{
    Request,
    transport::{Channel, Endpoint},
};
use torchmesh_api::usage::v1::{RecordRequest, UsageEvent, usage_service_client::UsageServiceClient};

use super::ship::Sink;

/// How long the accounts may take for one delivery.
const PATIENCE: Duration = Duration::from_secs(20);

/// See the module.
#[derive(Debug)]
pub struct Accounts {
    client: UsageServiceClient<Channel>,
}

impl Accounts {
    /// Those at this endpoint; the connection is made when it is needed, and made again.
    pub fn at(endpoint: Endpoint) -> Self {
        let channel = endpoint.connect_timeout(Duration::from_secs(5)).tcp_nodelay(true).connect_lazy();
        Self { client: UsageServiceClient::new(channel) }
    }
}

impl Sink for Accounts {
    const NAME: &str = "accounts";

    async fn take(&mut self, events: &[UsageEvent]) -> Result<(), String> {
        let mut request = Request::new(RecordRequest { events: events.to_vec() });
        request.set_timeout(PATIENCE);
        let recording = tokio::time::timeout(PATIENCE, self.client.record(request)).await;
        recording
            .map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?
            .map(|_| ())
            .map_err(|status| format!("{}: {}", status.code(), status.message()))
    }
}
