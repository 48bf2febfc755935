//! What is told of somebody, and what is left when they are erased.

mod erase;
mod export;
mod retention;

use std::fs;

use serde_json::Value;
use sqlx::Row as _;
use tokio::sync::mpsc;
use torchmesh_api::usage::v1::{Units, UsageEvent};
use torchmesh_billing::When;

use super::{
    NOW,
    billing::{Shop, at, call, tokens},
    key, outbox,
    people::PASSWORD,
    second_factor::decoded,
    tenant,
    webhooks::listening,
};
use crate::{
    access::{Asker, Role},
    billing::{self, NewBudget, NewNote, NewProfile, PaymentKind},
    error::Result,
    listings::{self, Content, New, Text},
    people::{
        self, Member, NewMember, Outbox, Passwords,
        second_factor::{self, shown},
    },
    privacy::Sink,
    sealing::Keys,
    store::Store,
    usage,
};

const ADA: &str = "ada@example.org";
const BOB: &str = "bob@example.org";
/// What tells who somebody is, in one form or another.
const STREET: &str = "Ada Lovelace\n1 Analytical Street";

/// Accounts with one of everything about acme.
struct Filled {
    shop: Shop,
    outbox: Outbox,
    ada: Member,
    bob: Member,
}

impl Filled {
    async fn open() -> Self {
        // Boxed: it is as large as all that is filled in.
        Box::pin(Self::fill()).await
    }

    async fn fill() -> Self {
        let shop = Shop::open().await;
        let outbox = outbox(shop.folder.path());
        let ada = joined(&shop, &outbox, ADA, Role::Owner).await;
        let bob = joined(&shop, &outbox, BOB, Role::Admin).await;
        key(&shop.store, &shop.acme, "adas-laptop").await;
        let filled = Self { shop, outbox, ada, bob };
        filled.renamed().await;
        filled.sold().await;
        filled.listed().await;
        filled.guarded().await;
        listening(filled.shop.folder.path(), filled.store(), &filled.shop.acme, NOW).await;
        key(filled.store(), &filled.shop.acme, "adas-phone").await;
        filled
    }

    fn store(&self) -> &Store {
        &self.shop.store
    }

    async fn renamed(&self) {
        let mut transaction = self.store().begin().await.unwrap();
        let query = sqlx::query("UPDATE tenants SET display_name = 'Lovelace Engines' WHERE id = $1").bind(self.shop.acme.id.clone());
        query.execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// With a second factor of ada's, who is asked for a code, and whom a provider knows.
    async fn guarded(&self) {
        let (store, passwords) = (self.store(), Passwords::new().unwrap());
        let file = self.shop.folder.path().join("second.keys");
        fs::write(&file, "ab".repeat(32)).unwrap();
        let keys = Keys::read(&file).unwrap();
        let asker = Asker::Member { id: self.ada.id.clone(), tenant_id: self.ada.tenant_id.clone(), role: self.ada.role };
        let drawn = second_factor::enrol(store, &passwords, &keys, &asker, PASSWORD, NOW).await.unwrap();
        let code = shown(&decoded(&drawn.secret), NOW);
        second_factor::confirm(store, &self.outbox, Some(&keys), &asker, &code, NOW).await.unwrap();
        people::sign_in(store, &passwords, ADA, PASSWORD, NOW).await.unwrap();
        people::sign_in(store, &passwords, ADA, "a wrong one", NOW).await.unwrap_err();
        let mut transaction = store.begin().await.unwrap();
        let query = sqlx::query(
            "INSERT INTO member_identities (issuer, subject, member_id, linked_ms) VALUES ('https://id', 'adas-subject', $1, 1)",
        );
        query.bind(self.ada.id.clone()).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// A draft of what it would say of a model.
    async fn listed(&self) {
        let Shop { store, billing, acme, .. } = &self.shop;
        let text = Text { language: "en".to_owned(), summary: "Reckons as Lovelace did.".to_owned(), ..Text::default() };
        let content = Content { task: "generate".to_owned(), texts: vec![text], versions: Vec::new() };
        let new = New { model: "engine", provider: &acme.name, content: &content, audience: None };
        listings::create(billing, store, &Asker::Operator, new, NOW).await.unwrap();
    }

    /// A month that was used, invoiced, paid, and of which a part was given back.
    async fn sold(&self) {
        let Shop { store, billing, acme, .. } = &self.shop;
        let new = NewProfile { recipient: Some(STREET.to_owned()), ..NewProfile::default() };
        billing::update_profile(store, &Asker::Operator, acme, new, at("2026-06-01")).await.unwrap();
        let budget = NewBudget { name: "adas-budget", limit: Some(("50.00", "")), thresholds: &[] };
        billing::set_budget(billing, store, &Asker::Operator, acme, budget, at("2026-06-01")).await.unwrap();
        self.shop.start("payg", "2026-06-01").await;
        let events: Vec<UsageEvent> =
            ["2026-06-10T12:00:00Z", "2026-06-10T12:00:00Z", "2026-06-11T01:02:03Z"].iter().map(|when| used(when)).collect();
        usage::record(store, &events).await.unwrap();
        let invoice = self.shop.issue("2026-07-01").await.remove(0);
        let note = NewNote { id: "n", lines: &[(1, "0.10".to_owned())], reason: "an outage" };
        let given = billing::credit(store, &Asker::Operator, &invoice.number, note, at("2026-07-02")).await.unwrap();
        let left = invoice.total.minus(given.total).unwrap().number();
        self.shop.pay("bank-1", PaymentKind::Received, &left, "2026-07-03").await.unwrap();
        billing::cancel(billing, store, &Asker::Operator, acme, When::Now, 0, at("2026-07-03")).await.unwrap();
    }
}

/// A call with adas-laptop from her address.
fn used(when: &str) -> UsageEvent {
    UsageEvent {
        credential: "acme/adas-laptop".to_owned(),
        source_address: "198.51.100.7".to_owned(),
        request_id: "adas-request".to_owned(),
        trace_id: vec![0xad; 16],
        ..call("acme", when, "text", 0, Units { items: 1, ..tokens(1000, 1000) })
    }
}

/// Invites somebody who joins, and whose password somebody else has guessed at meanwhile.
async fn joined(shop: &Shop, outbox: &Outbox, email: &str, role: Role) -> Member {
    let passwords = Passwords::new().unwrap();
    let new = NewMember { tenant: &shop.acme, email, role };
    let member = people::invite(&shop.store, outbox, &Asker::Operator, new, NOW).await.unwrap();
    let letter = outbox.letters_to(&[email.to_owned()]).await.unwrap().remove(0);
    let letter = fs::read_to_string(letter).unwrap();
    let token = letter.lines().find(|line| line.starts_with("tm_letter_")).unwrap();
    people::reset(&shop.store, &passwords, token, PASSWORD, NOW).await.unwrap();
    people::sign_in(&shop.store, &passwords, email, PASSWORD, NOW).await.unwrap();
    people::sign_in(&shop.store, &passwords, email, "a wrong one", NOW).await.unwrap_err();
    people::request_reset(&shop.store, outbox, email, NOW).await.unwrap();
    member
}

/// The document that something writes.
async fn written(write: impl AsyncFnOnce(&mut Sink) -> Result<()>) -> Value {
    let (sender, mut pieces) = mpsc::channel(1 << 20);
    let mut sink = Sink::new(sender);
    let done = write(&mut sink).await;
    sink.end(done).await;
    let mut all = Vec::new();
    while let Some(piece) = pieces.recv().await {
        all.extend(piece.unwrap());
    }
    serde_json::from_slice(&all).unwrap()
}

/// Every text of a table's column.
async fn texts(store: &Store, query: &'static str) -> Vec<String> {
    let rows = sqlx::query(query).fetch_all(store.reads().unwrap()).await.unwrap();
    rows.iter().map(|row| row.try_get(0).unwrap()).collect()
}
