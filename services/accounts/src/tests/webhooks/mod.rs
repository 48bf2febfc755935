//! Webhooks, with a receiver that listens.

mod changing;
mod failing;
mod keys;
mod receiver;
mod sending;

use std::{cell::Cell, fs, path::Path, time::Duration};

use serde_json::Value;
use tempfile::TempDir;
use torchmesh_runtime::lifecycle::Drain;

use super::{NOW, key, outbox, store, tenant};
use crate::{
    access::Asker,
    error::Result,
    page::Page,
    sealing::Keys,
    store::Store,
    tenants::Tenant,
    webhooks::{self, Courier, Delivery, NewWebhook, Rules, Webhook, WebhookSettings, Webhooks},
};

use receiver::Receiver;

thread_local! {
    /// What time it is in a test, which has its thread for itself.
    static CLOCK: Cell<i64> = const { Cell::new(NOW) };
}

const SECOND: i64 = 1000;
const DAY: i64 = 24 * 3600 * SECOND;

fn clock() -> i64 {
    CLOCK.get()
}

fn settings(folder: &Path) -> WebhookSettings {
    let file = folder.join("webhook.keys");
    fs::write(&file, "ab".repeat(32)).unwrap();
    WebhookSettings {
        keys: Some(Keys::read(&file).unwrap()),
        rules: Rules { allow_http: true, allow_private: true },
        timeout: Duration::from_millis(500),
        ..WebhookSettings::default()
    }
}

fn hooks(settings: WebhookSettings) -> Webhooks {
    Webhooks::new(settings, &mut prometheus_client::registry::Registry::default()).unwrap()
}

/// Accounts with webhooks, and a tenant.
pub(super) struct Hooked {
    pub(super) courier: Courier,
    acme: Tenant,
    folder: TempDir,
}

impl Hooked {
    async fn open() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut WebhookSettings)) -> Self {
        CLOCK.set(NOW);
        let (folder, store) = store().await;
        let mut settings = settings(folder.path());
        change(&mut settings);
        let acme = tenant(&store, "acme").await;
        Self { courier: courier(folder.path(), &store, hooks(settings)), acme, folder }
    }

    fn store(&self) -> &Store {
        &self.courier.store
    }

    /// Registers a receiver for a tenant, or for the operators; gives the webhook and its secret.
    async fn register(&self, tenant: Option<&Tenant>, url: &str, events: &[&str]) -> Result<(Webhook, String)> {
        let events: Vec<String> = events.iter().map(|name| (*name).to_owned()).collect();
        let new = NewWebhook { url, events: &events, description: "" };
        webhooks::create(&self.courier.webhooks, self.store(), &Asker::Operator, tenant, new, clock()).await
    }

    /// Registers a receiver for everything that happens to acme.
    async fn registered(&self, receiver: &Receiver) -> (Webhook, String) {
        self.register(Some(&self.acme), &receiver.url(), &[]).await.unwrap()
    }

    async fn deliveries(&self, webhook: &Webhook) -> Vec<Delivery> {
        deliveries(self.store(), webhook).await
    }

    /// The only delivery.
    async fn delivery(&self, webhook: &Webhook) -> Delivery {
        let mut all = self.deliveries(webhook).await;
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    async fn found(&self, webhook: &Webhook) -> Webhook {
        webhooks::find(self.store(), &Asker::Operator, &webhook.id).await.unwrap()
    }
}

/// What sends from a store, by the test's clock.
pub(super) fn courier(folder: &Path, store: &Store, webhooks: Webhooks) -> Courier {
    Courier { webhooks, store: store.clone(), outbox: outbox(folder), clock }
}

/// What sends from a store at a moment, with a webhook that hears of everything that happens to a tenant and reaches nobody.
pub(super) async fn listening(folder: &Path, store: &Store, tenant: &Tenant, now: i64) -> Webhook {
    let (webhooks, new) = (hooks(settings(folder)), NewWebhook { url: "http://127.0.0.1:9/", events: &[], description: "" });
    webhooks::create(&webhooks, store, &Asker::Operator, Some(tenant), new, now).await.unwrap().0
}

/// All deliveries of a webhook, in the order in which their events happened.
pub(super) async fn deliveries(store: &Store, webhook: &Webhook) -> Vec<Delivery> {
    let mut all = webhooks::deliveries(store, webhook, None, &Page::of(1000, "").unwrap()).await.unwrap();
    all.reverse();
    all
}

pub(super) fn body(delivery: &Delivery) -> Value {
    serde_json::from_str(&delivery.body).unwrap()
}

/// Sends everything that is due at this moment.
async fn send_at(courier: &Courier, now: i64) {
    CLOCK.set(now);
    for webhook in courier.due(100).await.unwrap() {
        if let Some(lease) = courier.claim(&webhook).await.unwrap() {
            courier.work(lease, &Drain::default()).await;
        }
    }
}
