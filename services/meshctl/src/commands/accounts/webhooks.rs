//! Webhooks and what was sent to them.

use serde::Serialize;
use torchmesh_api::accounts::v1::{self as api, webhook_service_client::WebhookServiceClient};

use super::{Accounts, moment, refused};
use crate::{
    cli::{WebhookCommand, WebhookDeliveryState},
    error::Result,
    output::{Screen, table},
};

impl Accounts {
    fn webhooks(&self) -> WebhookServiceClient<tonic::transport::Channel> {
        WebhookServiceClient::new(self.channel.clone())
    }
}

#[derive(Serialize)]
struct Webhook {
    id: String,
    tenant_id: String,
    url: String,
    description: String,
    events: Vec<String>,
    state: &'static str,
    created: String,
    failing_since: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    secret: String,
}

impl Webhook {
    fn of(told: Option<api::Webhook>, secret: String) -> Self {
        let told = told.unwrap_or_default();
        let state = match told.state() {
            api::WebhookState::Enabled => "enabled",
            api::WebhookState::Disabled => "disabled",
            api::WebhookState::SwitchedOff => "switched off",
            api::WebhookState::Unspecified => "unknown",
        };
        Self {
            state,
            id: told.id,
            tenant_id: told.tenant_id,
            url: told.url,
            description: told.description,
            events: told.events.unwrap_or_default().names,
            created: moment(told.created_unix_ms),
            failing_since: moment(told.failing_since_unix_ms),
            secret,
        }
    }

    fn row(&self) -> [String; 6] {
        let whose = if self.tenant_id.is_empty() { "operators" } else { &self.tenant_id };
        [&self.url, self.state, &self.events.join(" "), &self.failing_since, whose, &self.id].map(str::to_owned)
    }
}

#[derive(Serialize)]
struct Delivery {
    id: String,
    message: String,
    event: String,
    state: &'static str,
    created: String,
    attempts: i64,
    last_attempt: String,
    next_attempt: String,
    last_status: i32,
    last_error: String,
}

impl From<api::WebhookDelivery> for Delivery {
    fn from(told: api::WebhookDelivery) -> Self {
        let state = match told.state() {
            api::WebhookDeliveryState::Waiting => "waiting",
            api::WebhookDeliveryState::Delivered => "delivered",
            api::WebhookDeliveryState::Dead => "dead",
            api::WebhookDeliveryState::Unspecified => "unknown",
        };
        Self {
            state,
            id: told.id,
            message: told.message_id,
            event: told.event,
            created: moment(told.created_unix_ms),
            attempts: told.attempts,
            last_attempt: moment(told.last_attempt_unix_ms),
            next_attempt: moment(told.next_attempt_unix_ms),
            last_status: told.last_status,
            last_error: told.last_error,
        }
    }
}

impl Delivery {
    fn row(&self) -> [String; 7] {
        let (attempts, next) = (self.attempts.to_string(), &self.next_attempt);
        let said = match (self.last_status, &*self.last_error) {
            (0, "") => "-".to_owned(),
            (status, "") => status.to_string(),
            (_, error) => error.to_owned(),
        };
        [&self.event, self.state, &self.created, &attempts, &said, next, &self.id].map(str::to_owned)
    }
}

/// Makes, changes, lists and tries webhooks.
pub(super) async fn webhooks(accounts: &Accounts, command: &WebhookCommand, screen: &Screen) -> Result<()> {
    match command {
        WebhookCommand::Add { url, tenant, events, description } => {
            let events = Some(api::WebhookEvents { names: events.clone() });
            let (tenant, url, description) = (tenant.clone(), url.clone(), description.clone());
            let asked = accounts.request(api::CreateWebhookRequest { tenant, url, events, description });
            let made = accounts.webhooks().create_webhook(asked).await.map_err(refused)?.into_inner();
            told_once(&Webhook::of(made.webhook, made.secret), screen)
        }
        WebhookCommand::Rotate { id, overlap } => {
            let overlap_ms = i64::try_from(overlap.as_millis()).unwrap_or(i64::MAX);
            let asked = accounts.request(api::RotateWebhookSecretRequest { id: id.clone(), overlap_ms });
            let made = accounts.webhooks().rotate_webhook_secret(asked).await.map_err(refused)?.into_inner();
            told_once(&Webhook::of(made.webhook, made.secret), screen)
        }
        WebhookCommand::Keys => keys(accounts, screen).await,
        WebhookCommand::List { tenant } => list(accounts, tenant, screen).await,
        WebhookCommand::Update { id, url, events, description } => {
            let events = (!events.is_empty()).then(|| api::WebhookEvents { names: events.clone() });
            let (id, url, description) = (id.clone(), url.clone(), description.clone());
            update(accounts, api::UpdateWebhookRequest { id, url, events, description, enabled: None }, screen).await
        }
        WebhookCommand::Enable { id } => switch(accounts, id, true, screen).await,
        WebhookCommand::Disable { id } => switch(accounts, id, false, screen).await,
        WebhookCommand::Remove { id } => {
            let asked = accounts.request(api::DeleteWebhookRequest { id: id.clone() });
            accounts.webhooks().delete_webhook(asked).await.map_err(refused)?;
            screen.show(&serde_json::json!({ "id": id, "removed": true }), || format!("{id} is removed"))
        }
        WebhookCommand::Test { id } => test(accounts, id, screen).await,
        WebhookCommand::Deliveries { id, state, limit } => deliveries(accounts, id, *state, *limit, screen).await,
        WebhookCommand::Redeliver { delivery, dead_of } => redeliver(accounts, delivery.as_deref(), dead_of.as_deref(), screen).await,
    }
}

/// The secret alone on standard output, so that it can be put into a file; what it is beside it.
fn told_once(webhook: &Webhook, screen: &Screen) -> Result<()> {
    if !screen.is_json() {
        screen.note(&format!("the webhook to {} has the id {}; its secret is shown this once", webhook.url, webhook.id));
    }
    screen.show(webhook, || webhook.secret.clone())
}

async fn test(accounts: &Accounts, id: &str, screen: &Screen) -> Result<()> {
    let asked = accounts.request(api::TestWebhookRequest { id: id.to_owned() });
    let told = accounts.webhooks().test_webhook(asked).await.map_err(refused)?.into_inner();
    let delivery = Delivery::from(told.delivery.unwrap_or_default());
    screen.show(&delivery, || {
        format!("{} is on its way; `meshctl accounts webhook deliveries {id}` says what became of it", delivery.message)
    })
}

async fn redeliver(accounts: &Accounts, delivery: Option<&str>, dead_of: Option<&str>, screen: &Screen) -> Result<()> {
    let [delivery_id, webhook_id] = [delivery, dead_of].map(|id| id.unwrap_or_default().to_owned());
    let asked = accounts.request(api::RedeliverWebhookRequest { delivery_id, webhook_id });
    let count = accounts.webhooks().redeliver_webhook(asked).await.map_err(refused)?.into_inner().count;
    screen.show(&serde_json::json!({ "redelivered": count }), || format!("{count} sent again"))
}

async fn switch(accounts: &Accounts, id: &str, enabled: bool, screen: &Screen) -> Result<()> {
    let asked = api::UpdateWebhookRequest { id: id.to_owned(), enabled: Some(enabled), ..Default::default() };
    update(accounts, asked, screen).await
}

async fn update(accounts: &Accounts, asked: api::UpdateWebhookRequest, screen: &Screen) -> Result<()> {
    let told = accounts.webhooks().update_webhook(accounts.request(asked)).await.map_err(refused)?.into_inner();
    let webhook = Webhook::of(told.webhook, String::new());
    screen.show(&webhook, || format!("{} is {}, and told of {}", webhook.url, webhook.state, webhook.events.join(", ")))
}

#[derive(Serialize)]
struct SealingKey {
    id: String,
    /// 0: the file lacks it.
    place: i32,
    secrets: i64,
    can_be_removed: bool,
}

async fn keys(accounts: &Accounts, screen: &Screen) -> Result<()> {
    let asked = accounts.request(api::ListSealingKeysRequest {});
    let told = accounts.webhooks().list_sealing_keys(asked).await.map_err(refused)?.into_inner().keys;
    let of = |key: api::SealingKey| SealingKey {
        can_be_removed: key.place > 1 && key.secrets == 0,
        id: key.id,
        place: key.place,
        secrets: key.secrets,
    };
    let all: Vec<SealingKey> = told.into_iter().map(of).collect();
    let row = |key: &SealingKey| {
        let what = match (key.place, key.can_be_removed) {
            (0, _) => "is not in the file: what it seals cannot be opened",
            (1, _) => "seals what is new",
            (_, true) => "can be removed",
            (_, false) => "is needed",
        };
        [key.id.clone(), key.place.to_string(), key.secrets.to_string(), what.to_owned()]
    };
    screen.show(&all, || table(["key", "place", "secrets", ""], all.iter().map(row)))
}

async fn list(accounts: &Accounts, tenant: &str, screen: &Screen) -> Result<()> {
    let (mut all, mut page_token) = (Vec::<Webhook>::new(), String::new());
    loop {
        let asked = accounts.request(api::ListWebhooksRequest { tenant: tenant.to_owned(), page_size: 1000, page_token });
        let page = accounts.webhooks().list_webhooks(asked).await.map_err(refused)?.into_inner();
        all.extend(page.webhooks.into_iter().map(|told| Webhook::of(Some(told), String::new())));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    screen.show(&all, || table(["url", "state", "events", "failing since", "tenant", "id"], all.iter().map(Webhook::row)))
}

async fn deliveries(accounts: &Accounts, id: &str, state: Option<WebhookDeliveryState>, limit: i32, screen: &Screen) -> Result<()> {
    let state = match state {
        None => api::WebhookDeliveryState::Unspecified,
        Some(WebhookDeliveryState::Waiting) => api::WebhookDeliveryState::Waiting,
        Some(WebhookDeliveryState::Delivered) => api::WebhookDeliveryState::Delivered,
        Some(WebhookDeliveryState::Dead) => api::WebhookDeliveryState::Dead,
    };
    let asked =
        api::ListWebhookDeliveriesRequest { webhook_id: id.to_owned(), state: state.into(), page_size: limit, page_token: String::new() };
    let told = accounts.webhooks().list_webhook_deliveries(accounts.request(asked)).await.map_err(refused)?.into_inner();
    let all: Vec<Delivery> = told.deliveries.into_iter().map(Delivery::from).collect();
    let heading = ["event", "state", "since", "attempts", "last answer", "next attempt", "id"];
    screen.show(&all, || table(heading, all.iter().map(Delivery::row)))
}
