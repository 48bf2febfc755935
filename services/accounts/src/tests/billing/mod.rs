//! What is billed.

mod events;
mod invoices;
mod kept;
mod money;
mod rollups;
mod spending;
mod stops;

use std::{fs, path::Path, sync::atomic::AtomicU64, sync::atomic::Ordering, time::Duration};

use tempfile::TempDir;
use torchmesh_api::usage::v1::{Units, UsageEvent};
use torchmesh_billing::{Invoice, Moment, When};

use super::{store, tenant};
use crate::{
    access::Asker,
    billing::{self, Billing, BillingSettings, NewCredit, Payment, PaymentKind, Wanted, ms},
    error::Result,
    store::Store,
    tenants::Tenant,
    usage,
};

/// Prices and plans of these tests. June 2026 has 30 days.
pub(super) const SOLD: &str = r#"
    currency = "EUR"
    [[price]]
    id = "text"
    model = "text"
    from = "2026-01-01"
    rate = [{ unit = "prompt_tokens", per = 1000, price = "0.50" }, { unit = "completion_tokens", per = 1000, price = "1.50" }]
    [[price]]
    id = "others"
    model = "*"
    from = "2026-01-01"
    rate = [{ unit = "calls", price = "0.01" }]
    [[plan]]
    id = "pro"
    kind = "subscription"
    fee = "30.00"
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
    [[coupon]]
    code = "OVER"
    share = "50%"
    expires = "2026-02-01"
    [[partner]]
    id = "labs"
    models = ["labs-*"]
    terms = [{ from = "2026-01-01", plan = "partner" }]
"#;

pub(super) fn at(text: &str) -> i64 {
    ms(text.parse::<Moment>().unwrap())
}

/// Accounts that sell, and a tenant.
pub(super) struct Shop {
    pub(super) folder: TempDir,
    pub(super) store: Store,
    pub(super) billing: Billing,
    pub(super) acme: Tenant,
}

fn settings(folder: &Path) -> BillingSettings {
    BillingSettings {
        file: Some(folder.join("billing.toml")),
        issuer: "Torchmesh Ltd".to_owned(),
        note: String::new(),
        self_service: true,
        check_every: Duration::from_secs(1),
        issue_after: None,
    }
}

impl Shop {
    pub(super) async fn open() -> Self {
        Self::selling(SOLD).await
    }

    pub(super) async fn selling(text: &str) -> Self {
        let (folder, store) = store().await;
        fs::write(folder.path().join("billing.toml"), text).unwrap();
        let billing = Billing::new(settings(folder.path()));
        assert!(billing.take_over(&store, at("2026-01-01")).await.unwrap());
        let acme = tenant(&store, "acme").await;
        Self { folder, store, billing, acme }
    }

    /// Puts another text in the file's place, as of a moment.
    async fn sells(&self, text: &str, now: &str) -> std::result::Result<bool, String> {
        fs::write(self.folder.path().join("billing.toml"), text).unwrap();
        self.billing.take_over(&self.store, at(now)).await
    }

    pub(super) async fn subscribe(&self, plan: &str, when: When, now: &str) -> Result<()> {
        let wanted = Wanted { plan, seats: 0, when, at_ms: 0, trial_until_ms: 0 };
        billing::subscribe(&self.billing, &self.store, &Asker::Operator, &self.acme, wanted, at(now)).await
    }

    pub(super) async fn start(&self, plan: &str, now: &str) {
        self.subscribe(plan, When::Now, now).await.unwrap();
    }

    /// A call of acme's that ended then.
    async fn used(&self, when: &str, model: &str, code: u32, units: Units) {
        usage::record(&self.store, &[call("acme", when, model, code, units)]).await.unwrap();
    }

    pub(super) async fn issue(&self, now: &str) -> Vec<Invoice> {
        billing::issue(&self.billing, &self.store, &Asker::Operator, &self.acme, 0, at(now)).await.unwrap()
    }

    async fn spent(&self, now: &str) -> String {
        billing::preview(&self.billing, &self.store, &self.acme, at(now)).await.unwrap().total.number()
    }

    pub(super) async fn credit(&self, id: &str, amount: &str, now: &str) {
        let new = NewCredit { id, amount: (amount, ""), bought: true, expires_ms: 0 };
        billing::add_credit(&self.billing, &self.store, &Asker::Operator, &self.acme, new, at(now)).await.unwrap();
    }

    pub(super) async fn pay(&self, id: &str, kind: PaymentKind, amount: &str, now: &str) -> Result<()> {
        let paid = Payment { id, kind, amount: (amount, "EUR") };
        billing::pay(&self.billing, &self.store, &Asker::Operator, &self.acme, paid, at(now)).await.map(|_| ())
    }

    pub(super) async fn owed(&self) -> String {
        billing::balance(&self.billing, &self.store, &self.acme).await.unwrap().owed.number()
    }
}

/// A call that no other one is.
pub(super) fn call(tenant: &str, when: &str, model: &str, code: u32, units: Units) -> UsageEvent {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = u128::from(NEXT.fetch_add(1, Ordering::Relaxed)).to_be_bytes().to_vec();
    let (tenant, model, time_unix_ms) = (tenant.to_owned(), model.to_owned(), at(when).unsigned_abs());
    UsageEvent { id, tenant, model, time_unix_ms, code, units: Some(units), ..Default::default() }
}

pub(super) fn tokens(prompt_tokens: u64, completion_tokens: u64) -> Units {
    Units { prompt_tokens, completion_tokens, ..Default::default() }
}
