//! The marketplace, through the running accounts and either database.

mod command_line;
mod going_on;
mod strangers;

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use tempfile::TempDir;
use torchmesh_api::accounts::v1 as api;
use torchmesh_tests::accounts::{Accounts, Database, OPERATOR};

const DAY_MS: i64 = 86_400_000;

/// The models that begin with `labs-` are the tenant labs'.
const SOLD: &str = r#"
currency = "EUR"

[[price]]
id = "all"
model = "*"
from = "2026-01-01"
rate = [{ unit = "prompt_tokens", per = 1_000_000, price = "0.15" }]

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

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Accounts that sell, with a provider and two other tenants.
struct Market {
    accounts: Accounts,
    _folder: TempDir,
}

impl Market {
    async fn open(database: &Database) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("billing.toml");
        fs::write(&file, SOLD).unwrap();
        let accounts =
            Accounts::start(database, &[("billing.file", &file.display().to_string()), ("billing.issuer", "Torchmesh Ltd")]).await;
        for tenant in ["labs", "acme", "bolt"] {
            accounts.tenant(tenant).await;
        }
        Self { accounts, _folder: folder }
    }

    /// A draft by an operator.
    async fn draft(&self, model: &str, provider: &str, tenants: &[&str]) -> api::Listing {
        let tenants: Vec<String> = tenants.iter().map(|name| (*name).to_owned()).collect();
        let audience = api::ListingAudience { everyone: tenants.is_empty(), tenants };
        let asked = api::CreateListingRequest { provider: provider.to_owned(), audience: Some(audience), ..new(model) };
        self.accounts.listings(OPERATOR).create_listing(asked).await.unwrap().into_inner().listing.unwrap()
    }

    async fn published(&self, model: &str, provider: &str, tenants: &[&str]) -> api::Listing {
        self.draft(model, provider, tenants).await;
        let asked = api::PublishListingRequest { model: model.to_owned(), revision: 0 };
        self.accounts.listings(OPERATOR).publish_listing(asked).await.unwrap().into_inner().listing.unwrap()
    }
}

fn new(model: &str) -> api::CreateListingRequest {
    let text = api::ListingText { language: "en".to_owned(), summary: "A model.".to_owned(), ..Default::default() };
    api::CreateListingRequest { model: model.to_owned(), task: "generate".to_owned(), texts: vec![text], ..Default::default() }
}
