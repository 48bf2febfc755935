//! Signing in through a provider of OpenID Connect: one that does what it should, and one that does not.

mod provider;
mod refused;

use std::{fs, time::Duration};

use serde_json::{Value, json};
use sqlx::Row as _;
use tempfile::TempDir;

use self::provider::FakeProvider;
use super::{
    NOW, outbox,
    people::{EMAIL, PASSWORD, asker},
    store, tenant,
};
use crate::{
    access::{Asker, Role},
    error::{Refusal, Result},
    oidc::{self, ProviderSettings, Providers, Returned},
    people::{self, NewMember, Passwords, Session},
    store::Store,
};

const CLIENT: &str = "mesh";
const SECRET: &str = "client-secret";
/// What the browser shows again.
const BINDING: &str = "a-cookie-of-the-browser";

/// Accounts that believe a provider, and a member.
struct Known {
    folder: TempDir,
    store: Store,
    provider: FakeProvider,
    providers: Providers,
}

fn settings(folder: &TempDir, provider: &FakeProvider, apart: Duration) -> ProviderSettings {
    let file = folder.path().join("client.secret");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    ProviderSettings {
        name: "id".to_owned(),
        title: "Example ID".to_owned(),
        issuer: provider.issuer(),
        client_id: CLIENT.to_owned(),
        client_secret_file: Some(file),
        scopes: vec!["openid".to_owned(), "email".to_owned()],
        redirect: "https://portal.example.org/sign-in/with/id/back".parse().unwrap(),
        ca_file: None,
        refresh_at_least_apart: apart,
    }
}

impl Known {
    async fn open() -> Self {
        Self::apart(Duration::ZERO).await
    }

    async fn apart(apart: Duration) -> Self {
        let ((folder, store), provider) = (store().await, FakeProvider::open().await);
        let other = ProviderSettings { name: "other".to_owned(), ..settings(&folder, &provider, apart) };
        let providers = Providers::new(vec![settings(&folder, &provider, apart), other]).unwrap();
        Self { folder, store, provider, providers }
    }

    /// With a member who has this address, and a password where it is confirmed.
    async fn with(self, email: &str, confirmed: bool) -> Self {
        let outbox = outbox(self.folder.path());
        let acme = tenant(&self.store, "acme").await;
        people::invite(&self.store, &outbox, &Asker::Operator, NewMember { tenant: &acme, email, role: Role::Owner }, NOW).await.unwrap();
        if confirmed {
            let letter = outbox.letters_to(&[email.to_owned()]).await.unwrap().remove(0);
            let letter = fs::read_to_string(letter).unwrap();
            let token = letter.lines().find(|line| line.starts_with("tm_letter_")).unwrap();
            people::reset(&self.store, &Passwords::new().unwrap(), token, PASSWORD, NOW).await.unwrap();
        }
        self
    }

    async fn begin(&self) -> Result<String> {
        oidc::begin(&self.store, &self.providers, "id", BINDING, "/console/usage", NOW).await
    }

    /// What the provider sends somebody back with, of whom these claims are others.
    async fn comes(&self, changed: &Value) -> (String, String) {
        self.provider.authorizes(&self.begin().await.unwrap(), changed)
    }

    async fn complete(&self, (state, code): &(String, String)) -> Result<Session> {
        self.returned(Returned { provider: "id", state, code, issuer: "", binding: BINDING }, false, NOW).await
    }

    async fn returned(&self, returned: Returned<'_>, sign_up: bool, now: i64) -> Result<Session> {
        let (session, next) = oidc::complete(&self.store, &self.providers, returned, sign_up, now).await?;
        assert_eq!(next, "/console/usage");
        Ok(session)
    }

    async fn signs_up(&self, changed: &Value) -> Result<Session> {
        let (state, code) = self.comes(changed).await;
        self.returned(Returned { provider: "id", state: &state, code: &code, issuer: "", binding: BINDING }, true, NOW).await
    }

    async fn count(&self, query: &'static str) -> i64 {
        sqlx::query(query).fetch_one(self.store.reads().unwrap()).await.unwrap().get(0)
    }
}

#[tokio::test]
async fn a_member_is_found_by_their_address_once_and_by_what_the_provider_calls_them_from_then_on() {
    let known = Known::open().await.with(EMAIL, true).await;
    let session = known.complete(&known.comes(&json!({})).await).await.unwrap();
    assert_eq!(session.member.email, EMAIL);
    assert!(asker(&known.store, &session.token, NOW).await.is_ok());
    for changed in [json!({ "email": "countess@example.org" }), json!({ "email_verified": false }), json!({ "email": null })] {
        let again = known.complete(&known.comes(&changed).await).await.unwrap();
        assert_eq!(again.member.id, session.member.id, "{changed}");
    }
    assert_eq!(known.count("SELECT COUNT(*) FROM changes WHERE what = 'identity linked'").await, 1);
    assert_eq!(known.count("SELECT COUNT(*) FROM changes WHERE what = 'signed in through id' AND actor LIKE 'member:%'").await, 4);
}

#[tokio::test]
async fn somebody_who_comes_back_twice_at_once_is_one_and_a_state_is_good_once() {
    let known = Known::open().await.with(EMAIL, true).await;
    let (one, other) = (known.comes(&json!({})).await, known.comes(&json!({})).await);
    let (first, second) = tokio::join!(known.complete(&one), known.complete(&other));
    assert_eq!(first.unwrap().member, second.unwrap().member);
    assert_eq!(known.count("SELECT COUNT(*) FROM member_identities").await, 1);
    let same = known.comes(&json!({})).await;
    let (first, second) = tokio::join!(known.complete(&same), known.complete(&same));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    assert_eq!(known.count("SELECT COUNT(*) FROM oidc_attempts").await, 0);
}

#[tokio::test]
async fn whoever_is_not_known_becomes_an_owner_where_strangers_may_come_and_is_told_what_to_do_elsewhere() {
    let known = Known::open().await;
    let refused = known.complete(&known.comes(&json!({})).await).await;
    assert!(matches!(&refused, Err(Refusal::State(why)) if why.contains("invitation")), "{refused:?}");
    tenant(&known.store, "ada").await;
    let session = known.signs_up(&json!({})).await.unwrap();
    assert_eq!((session.member.role, session.member.verified_ms), (Role::Owner, Some(NOW)));
    let other = known.signs_up(&json!({ "sub": "bob-1", "email": "Bob.B@example.org" })).await.unwrap();
    assert_ne!(other.member.tenant_id, session.member.tenant_id);
    let names = sqlx::query("SELECT name FROM tenants ORDER BY name").fetch_all(known.store.reads().unwrap()).await.unwrap();
    let names: Vec<String> = names.iter().map(|row| row.get("name")).collect();
    assert!(names[0] == "ada" && names[1].starts_with("ada-") && names[2] == "bobb", "{names:?}");
}

#[tokio::test]
async fn an_address_that_its_owner_has_not_confirmed_links_nobody() {
    let known = Known::open().await.with(EMAIL, false).await;
    for unconfirmed in [json!({}), json!({ "email_verified": false }), json!({ "email": null }), json!({ "email": "not an address" })] {
        let refused = known.signs_up(&unconfirmed).await;
        assert!(matches!(refused, Err(Refusal::State(_))), "{unconfirmed}: {refused:?}");
    }
    assert_eq!(known.count("SELECT COUNT(*) FROM member_identities").await, 0);
    assert_eq!(known.count("SELECT COUNT(*) FROM sessions").await, 0);
}

#[tokio::test]
async fn whoever_gets_an_address_after_its_owner_is_not_that_owner() {
    let known = Known::open().await.with(EMAIL, true).await;
    known.complete(&known.comes(&json!({})).await).await.unwrap();
    let refused = known.signs_up(&json!({ "sub": "ada-2" })).await;
    assert!(matches!(&refused, Err(Refusal::State(why)) if why.contains("somebody else")), "{refused:?}");
}
