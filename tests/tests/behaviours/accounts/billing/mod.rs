//! What the accounts bill, as operators, members and strangers see it.

mod command_line;
mod issuing;
mod month;
mod paying;
mod stops;
mod strangers;
mod year;

use std::{fs, time::Duration};

use tempfile::TempDir;
use torchmesh_api::{
    accounts::v1::{Invoice, ListInvoicesRequest, ListPlansRequest, SubscribeRequest},
    usage::v1::{RecordRequest, UsageEvent},
};
use torchmesh_tests::{
    accounts::{Accounts, Database, OPERATOR},
    eventually,
};

/// What is sold in most of these tests.
const SOLD: &str = r#"
currency = "EUR"

[[price]]
id = "text-1"
model = "text"
from = "2026-01-01"
rate = [{ unit = "prompt_tokens", per = 1000, price = "0.50" }, { unit = "completion_tokens", per = 1000, price = "1.50" }]

[[price]]
id = "text-2"
model = "text"
from = "2026-06-15T10:30:00Z"
batch = "50%"
rate = [{ unit = "prompt_tokens", per = 1000, price = "0.40" }, { unit = "completion_tokens", per = 1000, price = "1.25" }]

[[price]]
id = "others"
model = "*"
from = "2026-01-01"
rate = [{ unit = "calls", mode = "graduated", tiers = [{ up_to = 100, price = "0.01" }, { price = "0.005" }] }]

[[plan]]
id = "pro"
kind = "subscription"
fee = "30.00"
included = [{ units = ["calls"], model = "image", quantity = 50 }]

[[plan]]
id = "payg"
kind = "pay_per_use"

[[plan]]
id = "free"
kind = "freemium"
free = [{ units = ["calls"], quantity = 10 }]
beyond = "stop"

[[plan]]
id = "partner"
kind = "partner"
fee = "0"
platform_share = "20%"

[[coupon]]
code = "TENTH"
share = "10%"

[[partner]]
id = "labs"
models = ["labs-*"]
terms = [{ from = "2026-01-01", plan = "partner" }]
"#;

/// The first of a month of 2026, in milliseconds since 1970.
pub(super) fn first_of(month: u32) -> i64 {
    ms(&format!("2026-{month:02}-01"))
}

fn ms(text: &str) -> i64 {
    text.parse::<torchmesh_billing::Moment>().unwrap().unix_ms().cast_signed()
}

/// Accounts that sell.
pub(super) struct Shop {
    pub(super) accounts: Accounts,
    file: TempDir,
}

impl Shop {
    pub(super) async fn open(database: &Database, more: &[(&str, &str)]) -> Self {
        let file = TempDir::new().unwrap();
        let path = file.path().join("billing.toml").display().to_string();
        fs::write(&path, SOLD).unwrap();
        let settings = [&[("billing.file", path.as_str()), ("billing.issuer", "Torchmesh Ltd\nBerlin")], more].concat();
        let shop = Self { accounts: Accounts::start(database, &settings).await, file };
        shop.sells().await;
        shop
    }

    /// Waits until the file was taken over.
    async fn sells(&self) {
        let sells = async || self.operator().list_plans(ListPlansRequest {}).await.is_ok().then_some(());
        eventually("what is sold was taken over", Duration::from_secs(20), sells).await;
    }

    pub(super) fn operator(&self) -> torchmesh_tests::accounts::Billing {
        self.accounts.billing(OPERATOR)
    }

    /// Makes a tenant that subscribes to a plan on the first of a month.
    pub(super) async fn tenant(&self, name: &str, plan: &str, month: u32) {
        self.accounts.tenant(name).await;
        let asked = SubscribeRequest { tenant: name.into(), plan: plan.into(), at_unix_ms: first_of(month), ..Default::default() };
        self.operator().subscribe(asked).await.unwrap();
    }

    async fn used(&self, events: &[UsageEvent]) {
        for events in events.chunks(1000) {
            self.accounts.recorder().record(RecordRequest { events: events.to_vec() }).await.unwrap();
        }
    }

    async fn invoices(&self, tenant: &str) -> Vec<Invoice> {
        let asked = ListInvoicesRequest { tenant: tenant.into(), page_size: 1000, ..Default::default() };
        self.operator().list_invoices(asked).await.unwrap().into_inner().invoices
    }
}
