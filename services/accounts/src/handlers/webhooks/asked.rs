//! What is asked of webhooks.

use torchmesh_api::accounts::v1 as api;

use super::{super::call::Call, WebhookDesk, told};
use crate::{
    access::{Act, Asker},
    error::{Refusal, Result},
    page::Page,
    sealing::sealing_keys,
    tenants::Tenant,
    webhooks::{self, DeliveryState, NewWebhook, Update},
};

fn state(said: i32) -> Result<Option<DeliveryState>> {
    match api::WebhookDeliveryState::try_from(said) {
        Ok(api::WebhookDeliveryState::Unspecified) => Ok(None),
        Ok(api::WebhookDeliveryState::Waiting) => Ok(Some(DeliveryState::Waiting)),
        Ok(api::WebhookDeliveryState::Delivered) => Ok(Some(DeliveryState::Delivered)),
        Ok(api::WebhookDeliveryState::Dead) => Ok(Some(DeliveryState::Dead)),
        Err(_) => Err(Refusal::Invalid("state: must be waiting, delivered or dead".to_owned())),
    }
}

impl WebhookDesk {
    /// Refuses whoever may not see webhooks, and everybody where they are off.
    fn may(&self, asker: &Asker) -> Result<()> {
        asker.may(Act::ChangeWebhooks)?;
        self.0.webhooks.keys().map(|_| ())
    }

    /// The tenant that is named; none, where an operator names none.
    async fn tenant<T>(&self, call: &Call<T>, named: &str) -> Result<Option<Tenant>> {
        self.may(&call.asker)?;
        if named.is_empty() && call.asker == Asker::Operator {
            return Ok(None);
        }
        call.asker.tenant(&self.0.store, named).await.map(Some)
    }

    pub(super) async fn create_asked(&self, call: Call<api::CreateWebhookRequest>) -> Result<api::CreateWebhookResponse> {
        let (asked, tenant) = (&call.asked, self.tenant(&call, &call.asked.tenant).await?);
        let events = asked.events.as_ref().map(|events| &*events.names).unwrap_or_default();
        let new = NewWebhook { url: &asked.url, events, description: &asked.description };
        let (webhook, secret) = webhooks::create(&self.0.webhooks, &self.0.store, &call.asker, tenant.as_ref(), new, call.now).await?;
        Ok(api::CreateWebhookResponse { webhook: Some(told::webhook(webhook)), secret })
    }

    pub(super) async fn list_asked(&self, call: Call<api::ListWebhooksRequest>) -> Result<api::ListWebhooksResponse> {
        let tenant = self.tenant(&call, &call.asked.tenant).await?;
        let page = Page::of(call.asked.page_size, &call.asked.page_token)?;
        let mut there = webhooks::list(&self.0.store, tenant.as_ref(), &page).await?;
        let next_page_token = page.cut(&mut there, |webhook| webhook.id.clone());
        Ok(api::ListWebhooksResponse { webhooks: there.into_iter().map(told::webhook).collect(), next_page_token })
    }

    pub(super) async fn update_asked(&self, call: Call<api::UpdateWebhookRequest>) -> Result<api::UpdateWebhookResponse> {
        let asked = &call.asked;
        let new = Update {
            url: asked.url.as_deref(),
            events: asked.events.as_ref().map(|events| &*events.names),
            description: asked.description.as_deref(),
            enabled: asked.enabled,
        };
        let webhook = webhooks::update(&self.0.webhooks, &self.0.store, &call.asker, &asked.id, new, call.now).await?;
        Ok(api::UpdateWebhookResponse { webhook: Some(told::webhook(webhook)) })
    }

    pub(super) async fn delete_asked(&self, call: Call<api::DeleteWebhookRequest>) -> Result<api::DeleteWebhookResponse> {
        webhooks::remove(&self.0.webhooks, &self.0.store, &call.asker, &call.asked.id, call.now).await?;
        Ok(api::DeleteWebhookResponse {})
    }

    pub(super) async fn rotate_asked(&self, call: Call<api::RotateWebhookSecretRequest>) -> Result<api::RotateWebhookSecretResponse> {
        let api::RotateWebhookSecretRequest { id, overlap_ms } = &call.asked;
        let (webhook, secret) = webhooks::rotate(&self.0.webhooks, &self.0.store, &call.asker, id, *overlap_ms, call.now).await?;
        Ok(api::RotateWebhookSecretResponse { webhook: Some(told::webhook(webhook)), secret })
    }

    pub(super) async fn test_asked(&self, call: Call<api::TestWebhookRequest>) -> Result<api::TestWebhookResponse> {
        let delivery = webhooks::test(&self.0.webhooks, &self.0.store, &call.asker, &call.asked.id, call.now).await?;
        Ok(api::TestWebhookResponse { delivery: Some(told::delivery(delivery, true)) })
    }

    pub(super) async fn deliveries_asked(
        &self,
        call: Call<api::ListWebhookDeliveriesRequest>,
    ) -> Result<api::ListWebhookDeliveriesResponse> {
        let webhook = webhooks::find(&self.0.store, &call.asker, &call.asked.webhook_id).await?;
        self.may(&call.asker)?;
        let page = Page::of(call.asked.page_size, &call.asked.page_token)?;
        let mut there = webhooks::deliveries(&self.0.store, &webhook, state(call.asked.state)?, &page).await?;
        let next_page_token = page.cut(&mut there, |delivery| delivery.revision.to_string());
        let deliveries = there.into_iter().map(|delivery| told::delivery(delivery, false)).collect();
        Ok(api::ListWebhookDeliveriesResponse { deliveries, next_page_token })
    }

    pub(super) async fn redeliver_asked(&self, call: Call<api::RedeliverWebhookRequest>) -> Result<api::RedeliverWebhookResponse> {
        let count = match (&*call.asked.delivery_id, &*call.asked.webhook_id) {
            (id, "") if !id.is_empty() => webhooks::redeliver(&self.0.webhooks, &self.0.store, &call.asker, id, call.now).await?,
            ("", id) if !id.is_empty() => webhooks::redeliver_dead(&self.0.webhooks, &self.0.store, &call.asker, id, call.now).await?,
            _ => return Err(Refusal::Invalid("delivery_id: say either a delivery or a webhook".to_owned())),
        };
        Ok(api::RedeliverWebhookResponse { count })
    }

    pub(super) async fn keys_asked(&self, call: Call<api::ListSealingKeysRequest>) -> Result<api::ListSealingKeysResponse> {
        call.asker.is_operator()?;
        let keys = sealing_keys(self.0.webhooks.keys()?, &self.0.store, &call.asker).await?;
        Ok(api::ListSealingKeysResponse { keys: keys.into_iter().map(told::sealing_key).collect() })
    }
}
