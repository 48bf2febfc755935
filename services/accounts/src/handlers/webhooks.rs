//! `torchmesh.accounts.v1.WebhookService`.

mod asked;
mod told;

use tonic::{Request, Response, Status};
use torchmesh_api::accounts::v1::{
    self as api,
    webhook_service_server::{WebhookService, WebhookServiceServer},
};

use super::{Ground, call::answer};

/// See the module.
#[derive(Debug, Clone)]
pub struct WebhookDesk(Ground);

impl WebhookDesk {
    /// The service.
    pub fn service(ground: Ground) -> WebhookServiceServer<Self> {
        WebhookServiceServer::new(Self(ground))
    }
}

#[tonic::async_trait]
impl WebhookService for WebhookDesk {
    async fn create_webhook(
        &self,
        request: Request<api::CreateWebhookRequest>,
    ) -> std::result::Result<Response<api::CreateWebhookResponse>, Status> {
        answer(self.create_asked(self.0.call(request).await?).await)
    }

    async fn list_webhooks(
        &self,
        request: Request<api::ListWebhooksRequest>,
    ) -> std::result::Result<Response<api::ListWebhooksResponse>, Status> {
        answer(self.list_asked(self.0.call(request).await?).await)
    }

    async fn update_webhook(
        &self,
        request: Request<api::UpdateWebhookRequest>,
    ) -> std::result::Result<Response<api::UpdateWebhookResponse>, Status> {
        answer(self.update_asked(self.0.call(request).await?).await)
    }

    async fn delete_webhook(
        &self,
        request: Request<api::DeleteWebhookRequest>,
    ) -> std::result::Result<Response<api::DeleteWebhookResponse>, Status> {
        answer(self.delete_asked(self.0.call(request).await?).await)
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<api::RotateWebhookSecretRequest>,
    ) -> std::result::Result<Response<api::RotateWebhookSecretResponse>, Status> {
        answer(self.rotate_asked(self.0.call(request).await?).await)
    }

    async fn test_webhook(
        &self,
        request: Request<api::TestWebhookRequest>,
    ) -> std::result::Result<Response<api::TestWebhookResponse>, Status> {
        answer(self.test_asked(self.0.call(request).await?).await)
    }

    async fn list_webhook_deliveries(
        &self,
        request: Request<api::ListWebhookDeliveriesRequest>,
    ) -> std::result::Result<Response<api::ListWebhookDeliveriesResponse>, Status> {
        answer(self.deliveries_asked(self.0.call(request).await?).await)
    }

    async fn redeliver_webhook(
        &self,
        request: Request<api::RedeliverWebhookRequest>,
    ) -> std::result::Result<Response<api::RedeliverWebhookResponse>, Status> {
        answer(self.redeliver_asked(self.0.call(request).await?).await)
    }

    async fn list_sealing_keys(
        &self,
        request: Request<api::ListSealingKeysRequest>,
    ) -> std::result::Result<Response<api::ListSealingKeysResponse>, Status> {
        answer(self.keys_asked(self.0.call(request).await?).await)
    }
}
