//! What happens, as those hear of it who registered a webhook.

mod command_line;
mod delivering;
mod strangers;

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tempfile::TempDir;
use torchmesh_accounts::webhooks::{Received, Unverified, verify};
use torchmesh_api::accounts::v1::{CreateWebhookRequest, ListWebhookDeliveriesRequest, WebhookDelivery, WebhookEvents};
use torchmesh_tests::{
    accounts::{Accounts, Database, OPERATOR},
    eventually,
    receiver::{Message, Receiver},
};

const SOON: Duration = Duration::from_secs(40);

/// A file with a key that secrets are sealed with.
struct KeyFile(TempDir);

impl KeyFile {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("webhook.keys"), "5a".repeat(32)).unwrap();
        Self(folder)
    }

    fn path(&self) -> String {
        self.0.path().join("webhook.keys").display().to_string()
    }
}

/// The settings of accounts that tell receivers on this machine, and do not wait for long.
fn settings(key_file: &str) -> Vec<(&str, &str)> {
    vec![
        ("webhooks.key_file", key_file),
        ("webhooks.allow_http", "true"),
        ("webhooks.allow_private", "true"),
        ("webhooks.timeout", "2s"),
        ("webhooks.retry_first", "100ms"),
    ]
}

async fn accounts(database: &Database, keys: &KeyFile) -> Accounts {
    Accounts::start(database, &settings(&keys.path())).await
}

/// Registers a receiver; gives the webhook's id and its secret.
async fn registered(accounts: &Accounts, receiver: &Receiver, tenant: &str, events: &[&str]) -> (String, String) {
    let events = Some(WebhookEvents { names: events.iter().map(|name| (*name).to_owned()).collect() });
    let asked = CreateWebhookRequest { tenant: tenant.to_owned(), url: receiver.url(), events, ..Default::default() };
    let made = accounts.webhooks(OPERATOR).create_webhook(asked).await.unwrap().into_inner();
    (made.webhook.unwrap().id, made.secret)
}

async fn deliveries(accounts: &Accounts, webhook_id: &str) -> Vec<WebhookDelivery> {
    let asked = ListWebhookDeliveriesRequest { webhook_id: webhook_id.to_owned(), page_size: 1000, ..Default::default() };
    accounts.webhooks(OPERATOR).list_webhook_deliveries(asked).await.unwrap().into_inner().deliveries
}

/// Waits until so many messages have come, and gives them.
async fn came(receiver: &Receiver, count: usize) -> Vec<Message> {
    eventually(&format!("{count} messages have come"), SOON, async || Some(receiver.messages()).filter(|came| came.len() >= count)).await
}

/// Which keys messages are about.
fn names(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| message.json()["data"]["name"].as_str().unwrap_or_default().to_owned()).collect()
}

fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed()
}

/// As a receiver verifies a message at a time.
fn verified(message: &Message, secret: &str, at: i64) -> Result<(), Unverified> {
    let Message { id, timestamp, signature, body } = message;
    verify(secret, Received { id, timestamp, signature, body }, at)
}
