//! Gateways that follow the accounts: whom they let in, and what they do while the accounts are away.

use std::{
    collections::BTreeSet,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use serde_json::Value;
use torchmesh_api::{
    access,
    accounts::v1::{Models, RevokeCredentialRequest, RotateCredentialRequest, TenantState, UpdateTenantRequest},
};
use torchmesh_tests::{
    KEY, MeshSandbox, Signal,
    accounts::{Accounts, Database},
    bounded, eventually,
    models::Model,
};

use super::{answer, models};

/// What the accounts say is heeded at once.
const SOON: Duration = Duration::from_secs(5);

async fn mesh(accounts: &Accounts, gateways: usize) -> MeshSandbox {
    accounts.of(MeshSandbox::builder().model(Model::noop()).gateways(gateways)).start().await
}

/// Waits until a gateway answers with this status.
async fn until(mesh: &MeshSandbox, gateway: usize, key: &str, status: u16) {
    eventually(&format!("gateway {gateway} answers {status}"), SOON, async || (models(mesh, gateway, key).await == status).then_some(()))
        .await;
}

#[test]
fn a_revoked_key_is_refused_at_every_gateway_within_a_second() {
    bounded(async {
        for database in [Database::Sqlite, Database::postgres().await] {
            let accounts = Accounts::start(&database, &[]).await;
            accounts.tenant("acme").await;
            let mesh = mesh(&accounts, 2).await;
            let (key, secret) = accounts.key("acme", "search").await;
            for gateway in 0..2 {
                until(&mesh, gateway, &secret, 200).await;
                assert_eq!(models(&mesh, gateway, KEY).await, 200, "the keys file goes on being good");
            }
            accounts.operator().revoke_credential(RevokeCredentialRequest { id: key.id }).await.unwrap();
            let revoked = Instant::now();
            for gateway in 0..2 {
                until(&mesh, gateway, &secret, 401).await;
            }
            assert!(revoked.elapsed() < Duration::from_secs(1), "it took {:?}", revoked.elapsed());
        }
    });
}

#[test]
fn guessing_keys_lets_nobody_in_tells_nothing_and_is_counted() {
    const GUESSES: u64 = 500;
    bounded(async {
        let accounts = Accounts::start(&Database::Sqlite, &[]).await;
        accounts.tenant("acme").await;
        let mesh = mesh(&accounts, 1).await;
        let (_, secret) = accounts.key("acme", "search").await;
        until(&mesh, 0, &secret, 200).await;
        let id = secret.split('_').nth(1).unwrap();
        let mut drawn: u64 = 7;
        let mut told = BTreeSet::new();
        for _ in 0..GUESSES {
            // Of the right form, with the id of a key that there is: nothing but the secret is missing.
            let guess = access::key::draw(Some(id), &mut || {
                drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                Ok(drawn.to_be_bytes()[0])
            });
            let answer = answer(&mesh, 0, &guess.unwrap().key).await;
            let mut error: Value = serde_json::from_str(&answer.text()).unwrap();
            error["error"].as_object_mut().unwrap().retain(|name, _| !name.contains("request"));
            told.insert((answer.status, error.to_string()));
        }
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told.first().unwrap().0, 401);
        let why = [("credential", "key"), ("why", "unknown")];
        // What waited for the accounts was counted, too.
        mesh.gateways[0].metric_until("torchmesh_gateway_refused_credentials_total", &why, SOON, |refused| refused >= GUESSES).await;
        assert_eq!(models(&mesh, 0, &secret).await, 200, "who has a key is let in meanwhile");
    });
}

#[test]
fn gateways_serve_while_the_accounts_are_dead_and_catch_up_after() {
    bounded(async {
        let mut accounts = Accounts::start(&Database::Sqlite, &[]).await;
        accounts.tenant("acme").await;
        let (mut mesh, (_, secret)) = (mesh(&accounts, 1).await, accounts.key("acme", "search").await);
        until(&mesh, 0, &secret, 200).await;
        accounts.kill();
        mesh.gateways[0].metric_until("torchmesh_gateway_follows_accounts", &[], SOON, |follows| follows == 0).await;
        assert_eq!(models(&mesh, 0, &secret).await, 200, "those who were known stay so");
        let kept = mesh.folder().join("gateway-1.roll").metadata().unwrap();
        assert_eq!(kept.permissions().mode() & 0o777, 0o600);
        mesh.gateways[0].signal(Signal::KILL);
        mesh.start_again("gateway", 0).await;
        assert_eq!(models(&mesh, 0, &secret).await, 200, "and after a restart without the accounts");
        assert_eq!(models(&mesh, 0, "tm_unknown").await, 401);
        accounts.start_again().await;
        let (second, later) = accounts.key("acme", "later").await;
        until(&mesh, 0, &later, 200).await;
        accounts.operator().revoke_credential(RevokeCredentialRequest { id: second.id }).await.unwrap();
        until(&mesh, 0, &later, 401).await;
        assert_eq!(models(&mesh, 0, &secret).await, 200);
    });
}

#[test]
fn a_tenant_that_is_suspended_a_secret_that_was_rotated_and_models_that_were_taken_away_are_heeded() {
    bounded(async {
        let accounts = Accounts::start(&Database::Sqlite, &[]).await;
        accounts.tenant("acme").await;
        let (mesh, (key, old)) = (mesh(&accounts, 1).await, accounts.key("acme", "search").await);
        until(&mesh, 0, &old, 200).await;
        let rotated = accounts.operator().rotate_credential(RotateCredentialRequest { id: key.id, overlap_ms: 2500 }).await.unwrap();
        let (new, began) = (rotated.into_inner().secret, Instant::now());
        until(&mesh, 0, &new, 200).await;
        if began.elapsed() < Duration::from_secs(1) {
            assert_eq!(models(&mesh, 0, &old).await, 200, "both are good for a while");
        }
        until(&mesh, 0, &old, 401).await;
        let change = async |state: TenantState, models| {
            let asked = UpdateTenantRequest { tenant: "acme".to_owned(), state: state.into(), models };
            accounts.operator().update_tenant(asked).await.unwrap();
        };
        change(TenantState::Suspended, None).await;
        until(&mesh, 0, &new, 401).await;
        change(TenantState::Active, Some(Models { patterns: vec!["other".to_owned()] })).await;
        until(&mesh, 0, &new, 200).await;
        let answer = super::listed(&mesh, &new).await;
        assert!(!answer.contains("noop"), "{answer}");
        change(TenantState::Unspecified, Some(Models { patterns: vec!["*".to_owned()] })).await;
        eventually("the model is seen again", SOON, async || super::listed(&mesh, &new).await.contains("noop").then_some(())).await;
    });
}

#[test]
fn a_gateway_that_has_never_heard_of_the_accounts_does_not_call_keys_wrong() {
    bounded(async {
        let mut accounts = Accounts::start(&Database::Sqlite, &[]).await;
        accounts.tenant("acme").await;
        let (_, secret) = accounts.key("acme", "search").await;
        accounts.kill();
        let mesh = mesh(&accounts, 1).await;
        assert_eq!(models(&mesh, 0, &secret).await, 503);
        assert_eq!(models(&mesh, 0, KEY).await, 200, "the keys file needs nobody");
        accounts.start_again().await;
        until(&mesh, 0, &secret, 200).await;
    });
}
