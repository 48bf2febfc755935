//! The marketplace.

mod measured;
mod steps;
mod told;
mod visible;

use std::{fs, time::Duration};

use tempfile::TempDir;

use super::{NOW, member, store, tenant};
use crate::{
    access::{Asker, Role},
    billing::{Billing, BillingSettings},
    error::{Refusal, Result},
    listings::{self, Audience, Content, Filter, Listing, New, Step, Text},
    page::Page,
    store::Store,
    tenants::Tenant,
};

const DAY: i64 = 24 * 3600 * 1000;

/// The models that begin with `labs-` are the tenant labs'.
const SOLD: &str = r#"
    currency = "EUR"
    [[price]]
    id = "all"
    model = "*"
    from = "2026-01-01"
    rate = [{ unit = "calls", price = "0.01" }]
    [[price]]
    id = "cheap"
    list = "friends"
    model = "*"
    from = "2026-01-01"
    rate = [{ unit = "calls", price = "0.005" }]
    [[plan]]
    id = "friend"
    list = "friends"
    kind = "pay_per_use"
    [[plan]]
    id = "partner"
    kind = "partner"
    fee = "0"
    platform_share = "20%"
    [[partner]]
    id = "labs"
    models = ["labs-*"]
    terms = [{ from = "2026-01-01", plan = "partner" }]
"#;

/// Accounts with a provider and two other tenants.
pub(super) struct Market {
    folder: TempDir,
    store: Store,
    billing: Billing,
    labs: Tenant,
    acme: Tenant,
    bolt: Tenant,
}

fn content(summary: &str) -> Content {
    let text = Text { language: "en".to_owned(), summary: summary.to_owned(), ..Text::default() };
    Content { task: "generate".to_owned(), texts: vec![text], versions: Vec::new() }
}

impl Market {
    async fn open() -> Self {
        let (folder, store) = store().await;
        fs::write(folder.path().join("billing.toml"), SOLD).unwrap();
        let billing = Billing::new(BillingSettings {
            file: Some(folder.path().join("billing.toml")),
            issuer: String::new(),
            note: String::new(),
            self_service: true,
            check_every: Duration::from_secs(1),
            issue_after: None,
        });
        assert!(billing.take_over(&store, NOW).await.unwrap());
        let (labs, acme, bolt) = (tenant(&store, "labs").await, tenant(&store, "acme").await, tenant(&store, "bolt").await);
        Self { folder, store, billing, labs, acme, bolt }
    }

    async fn create(&self, asker: &Asker, model: &str, provider: &str, audience: Option<&Audience>) -> Result<Listing> {
        let new = New { model, provider, content: &content("A model."), audience };
        listings::create(&self.billing, &self.store, asker, new, NOW).await
    }

    /// A listing that everybody, or certain tenants, may see.
    async fn published(&self, model: &str, provider: &str, tenants: &[&str]) -> Listing {
        let audience = Audience { everyone: tenants.is_empty(), tenants: tenants.iter().map(|name| (*name).to_owned()).collect() };
        self.create(&Asker::Operator, model, provider, Some(&audience)).await.unwrap();
        self.step(&Asker::Operator, model, Step::Publish).await.unwrap()
    }

    async fn step(&self, asker: &Asker, model: &str, step: Step) -> Result<Listing> {
        listings::step(&self.store, asker, (model, 0), step, "", NOW).await
    }

    async fn deprecate(&self, asker: &Asker, model: &str, days: i64, successor: &str) -> Result<Listing> {
        let step = Step::Deprecate { retires_ms: NOW + days * DAY };
        listings::step(&self.store, asker, (model, 0), step, successor, NOW).await
    }

    async fn change(&self, asker: &Asker, model: &str, revision: i64, summary: &str) -> Result<Listing> {
        listings::change(&self.store, asker, (model, revision), &content(summary), None, NOW).await
    }

    async fn find(&self, asker: &Asker, model: &str) -> Result<Listing> {
        listings::find(&self.store, asker, model).await
    }

    async fn names(&self, asker: &Asker, filter: Filter) -> Vec<String> {
        let found = listings::list(&self.store, asker, &filter, &Page::of(1000, "").unwrap()).await.unwrap();
        found.into_iter().map(|listing| listing.model).collect()
    }

    fn owner(&self) -> Asker {
        member(&self.labs, Role::Owner)
    }
}

fn is_absent<T: std::fmt::Debug>(done: Result<T>) -> bool {
    done.is_err_and(|refusal| refusal == Refusal::Absent("there is no such listing".to_owned()))
}
