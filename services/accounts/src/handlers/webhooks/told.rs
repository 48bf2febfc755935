//! Webhooks and deliveries, as messages.

use torchmesh_api::accounts::v1 as api;

use crate::{
    sealing::SealingKey,
    webhooks::{Delivery, DeliveryState, State, Webhook},
};

pub(super) fn webhook(told: Webhook) -> api::Webhook {
    let state = match told.state {
        State::Enabled => api::WebhookState::Enabled,
        State::Disabled => api::WebhookState::Disabled,
        State::SwitchedOff => api::WebhookState::SwitchedOff,
    };
    api::Webhook {
        id: told.id,
        tenant_id: told.tenant_id.unwrap_or_default(),
        url: told.url,
        description: told.description,
        events: Some(api::WebhookEvents { names: told.events.split(' ').map(str::to_owned).collect() }),
        state: state.into(),
        created_unix_ms: told.created_ms,
        failing_since_unix_ms: told.failing_since_ms.unwrap_or_default(),
    }
}

pub(super) fn delivery(told: Delivery, with_body: bool) -> api::WebhookDelivery {
    let state = match told.state {
        DeliveryState::Waiting => api::WebhookDeliveryState::Waiting,
        DeliveryState::Delivered => api::WebhookDeliveryState::Delivered,
        DeliveryState::Dead => api::WebhookDeliveryState::Dead,
    };
    api::WebhookDelivery {
        id: told.id,
        webhook_id: told.webhook_id,
        message_id: told.message_id,
        event: told.event,
        state: state.into(),
        created_unix_ms: told.created_ms,
        attempts: told.attempts,
        last_attempt_unix_ms: told.last_ms.unwrap_or_default(),
        next_attempt_unix_ms: if told.state == DeliveryState::Waiting { told.next_ms } else { 0 },
        last_status: i32::try_from(told.status).unwrap_or_default(),
        last_error: told.error,
        body: if with_body { told.body } else { String::new() },
    }
}

pub(super) fn sealing_key(told: SealingKey) -> api::SealingKey {
    let place = told.place.and_then(|place| i32::try_from(place).ok()).unwrap_or_default();
    api::SealingKey { id: told.id, place, secrets: told.secrets }
}
