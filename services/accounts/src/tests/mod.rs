//! Behaviours of the accounts with the embedded database. Those with both, through the running program, are with the tests of the whole mesh.

mod backup;
mod billing;
mod keys;
mod listings;
mod oidc;
mod payments;
mod people;
mod privacy;
mod second_factor;
mod usage;
mod webhooks;

use std::path::Path;

use tempfile::TempDir;

use crate::{
    access::{Asker, Role},
    credentials::{self, Credential, Kind},
    people::{MailSettings, Outbox},
    store::{DatabaseSettings, Kind as Database, Store},
    tenants::{self, Tenant},
};

/// A moment in 2026.
const NOW: i64 = 1_790_000_000_000;

/// A store that is empty.
async fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    (folder, store)
}

async fn open(folder: &Path) -> Store {
    let url = format!("sqlite:{}", folder.join("accounts.db").display());
    let store = Store::new(&DatabaseSettings { kind: Database::Sqlite, url, password_file: None, max_connections: 2 }).unwrap();
    store.open().await.unwrap();
    store
}

fn outbox(folder: &Path) -> Outbox {
    Outbox::open(MailSettings { outbox: folder.join("outbox"), from: "t@localhost".to_owned(), link: None, smtp: None }).unwrap()
}

async fn tenant(store: &Store, name: &str) -> Tenant {
    let new = tenants::New { name, display_name: "", models: None };
    tenants::create(store, &Asker::Operator, new, NOW).await.unwrap()
}

async fn key(store: &Store, tenant: &Tenant, name: &str) -> (Credential, String) {
    let new = credentials::New { kind: Kind::ApiKey, name, scopes: &[], models: None, expires_ms: 0 };
    credentials::create(store, &Asker::Operator, tenant, new, NOW).await.unwrap()
}

fn member(tenant: &Tenant, role: Role) -> Asker {
    Asker::Member { id: "m".to_owned(), tenant_id: tenant.id.clone(), role }
}
