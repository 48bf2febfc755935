//! Keys and OAuth clients.

use serde::Serialize;
use torchmesh_api::accounts::v1::{
    self as api, CreateCredentialRequest, CredentialKind, ListCredentialsRequest, Models, RevokeCredentialRequest, RotateCredentialRequest,
};

use super::{Accounts, moment, refused};
use crate::{
    cli::KeyCommand,
    error::{Failure, Result, USAGE},
    output::{Screen, table},
};

#[derive(Serialize)]
struct Key {
    id: String,
    name: String,
    kind: &'static str,
    hint: String,
    scopes: Vec<String>,
    models: Option<Vec<String>>,
    created: String,
    expires: String,
    revoked: String,
    last_used: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    secret: String,
}

impl Key {
    fn of(told: Option<api::Credential>, secret: String) -> Self {
        let told = told.unwrap_or_default();
        Self {
            kind: if told.kind() == CredentialKind::OauthClient { "client" } else { "key" },
            id: told.id,
            name: told.full_name,
            hint: told.hint,
            scopes: told.scopes,
            models: told.models.map(|models| models.patterns),
            created: moment(told.created_unix_ms),
            expires: moment(told.expires_unix_ms),
            revoked: moment(told.revoked_unix_ms),
            last_used: moment(told.last_used_unix_ms),
            secret,
        }
    }
}

/// Makes, lists, revokes and rotates keys.
pub(super) async fn keys(accounts: &Accounts, command: &KeyCommand, screen: &Screen) -> Result<()> {
    match command {
        KeyCommand::Create { name, tenant, client, scopes, models, expires } => {
            let kind = if *client { CredentialKind::OauthClient } else { CredentialKind::ApiKey };
            let asked = CreateCredentialRequest {
                tenant: tenant.clone(),
                kind: kind.into(),
                name: name.clone(),
                scopes: scopes.clone(),
                models: (!models.is_empty()).then(|| Models { patterns: models.clone() }),
                expires_unix_ms: expires.as_deref().map_or(Ok(0), unix_ms)?,
            };
            let made = accounts.client().create_credential(accounts.request(asked)).await.map_err(refused)?.into_inner();
            told_once(&Key::of(made.credential, made.secret), screen)
        }
        KeyCommand::Rotate { id, overlap } => {
            let overlap_ms = i64::try_from(overlap.as_millis()).unwrap_or(i64::MAX);
            let asked = accounts.request(RotateCredentialRequest { id: id.clone(), overlap_ms });
            let made = accounts.client().rotate_credential(asked).await.map_err(refused)?.into_inner();
            told_once(&Key::of(made.credential, made.secret), screen)
        }
        KeyCommand::Revoke { id } => {
            let asked = accounts.request(RevokeCredentialRequest { id: id.clone() });
            let revoked = accounts.client().revoke_credential(asked).await.map_err(refused)?.into_inner();
            let key = Key::of(revoked.credential, String::new());
            screen.show(&key, || format!("{} ({}…) is revoked", key.name, key.hint))
        }
        KeyCommand::List { tenant } => list(accounts, tenant, screen).await,
    }
}

/// The secret alone on standard output, so that it can be put into a file; what it is beside it.
fn told_once(key: &Key, screen: &Screen) -> Result<()> {
    if !screen.is_json() {
        screen.note(&format!("{} {} has the id {}; its secret is shown this once", key.kind, key.name, key.id));
    }
    screen.show(key, || key.secret.clone())
}

async fn list(accounts: &Accounts, tenant: &str, screen: &Screen) -> Result<()> {
    let (mut keys, mut page_token) = (Vec::<Key>::new(), String::new());
    loop {
        let asked = accounts.request(ListCredentialsRequest { tenant: tenant.to_owned(), page_size: 1000, page_token });
        let page = accounts.client().list_credentials(asked).await.map_err(refused)?.into_inner();
        keys.extend(page.credentials.into_iter().map(|told| Key::of(Some(told), String::new())));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let row = |key: &Key| {
        let models = key.models.as_ref().map_or_else(|| "the tenant's".to_owned(), |models| models.join(" "));
        let [name, kind, hint, scopes] = [key.name.clone(), key.kind.to_owned(), key.hint.clone(), key.scopes.join(" ")];
        [name, kind, hint, scopes, models, key.expires.clone(), key.revoked.clone(), key.last_used.clone(), key.id.clone()]
    };
    let heading = ["name", "kind", "begins", "scopes", "models", "expires", "revoked", "last used", "id"];
    screen.show(&keys, || table(heading, keys.iter().map(row)))
}

fn unix_ms(time: &str) -> Result<i64> {
    let at = humantime::parse_rfc3339(time).ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let at = at.and_then(|since| i64::try_from(since.as_millis()).ok());
    at.ok_or_else(|| Failure::new(USAGE, format!("{time} is no time in UTC such as 2027-01-31T12:00:00Z")))
}
