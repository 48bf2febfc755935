//! What is told of somebody, what is erased, and what is put back.

mod erasing;
mod restoring;

use serde_json::Value;
use torchmesh_api::{
    accounts::v1::{ExportPersonRequest, ExportTenantRequest, Role},
    usage::v1::{RecordRequest, Units, UsageEvent},
};
use torchmesh_tests::accounts::Accounts;

use super::asking::member;

const ADA: &str = "ada@example.org";
const BOB: &str = "bob@example.org";

/// A call of acme's with ada's key.
fn event(number: u64) -> UsageEvent {
    UsageEvent {
        id: u128::from(number + 1).to_be_bytes().to_vec(),
        time_unix_ms: 1_790_000_000_000 + number * 1000,
        tenant: "acme".to_owned(),
        credential: "acme/adas-laptop".to_owned(),
        model: "m".to_owned(),
        source_address: "198.51.100.7".to_owned(),
        request_id: "adas-request".to_owned(),
        units: Some(Units { items: 1, ..Default::default() }),
        ..Default::default()
    }
}

async fn record(accounts: &Accounts, numbers: std::ops::Range<u64>) {
    let events = numbers.map(event).collect();
    accounts.recorder().record(RecordRequest { events }).await.unwrap();
}

/// A tenant with a member of either kind, a key and calls; gives their sessions' tokens.
async fn filled(accounts: &Accounts) -> [String; 2] {
    accounts.tenant("acme").await;
    let ada = member(accounts, "acme", ADA, Role::Owner).await;
    let bob = member(accounts, "acme", BOB, Role::Developer).await;
    accounts.key("acme", "adas-laptop").await;
    record(accounts, 0..300).await;
    [ada, bob]
}

/// Everything about a tenant, as somebody with a token is told.
async fn tenants(accounts: &Accounts, token: &str, tenant: &str) -> Result<Value, tonic::Status> {
    let asked = ExportTenantRequest { tenant: tenant.to_owned(), ..Default::default() };
    let mut pieces = accounts.privacy(token).export_tenant(asked).await?.into_inner();
    let mut all = Vec::new();
    while let Some(piece) = pieces.message().await? {
        all.extend(piece.json);
    }
    Ok(serde_json::from_slice(&all).unwrap())
}

/// The same of a person.
async fn persons(accounts: &Accounts, token: &str, member: &str) -> Result<Value, tonic::Status> {
    let mut pieces = accounts.privacy(token).export_person(ExportPersonRequest { member: member.to_owned() }).await?.into_inner();
    let mut all = Vec::new();
    while let Some(piece) = pieces.message().await? {
        all.extend(piece.json);
    }
    Ok(serde_json::from_slice(&all).unwrap())
}
