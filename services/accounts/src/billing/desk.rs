//! All that a tenant's invoice is made of, as it is in the database at a moment.

use std::sync::Arc;

use sqlx::{AnyConnection, Row as _};
use torchmesh_billing::{Anchor, Bill, Invoice, Ledger, Moment, Period, Rollup, Subscription, boundaries, credit::CreditGrant, invoice};

use super::{Billing, Profile, Sold, books, credit, moment, profile, subscribe, usage};
use crate::{
    error::{Refusal, Result},
    store::Store,
    tenants::Tenant,
};

/// See the module.
#[derive(Debug)]
pub struct Desk {
    /// What is sold.
    pub sold: Arc<Sold>,
    /// How the tenant is billed.
    pub profile: Profile,
    /// Who pays; known by their name.
    pub payer: torchmesh_billing::Tenant,
    /// What it subscribed to.
    pub subscription: Subscription,
    /// When it first did.
    pub first: Moment,
    /// Its credit.
    pub grants: Vec<CreditGrant>,
    /// What was posted.
    pub ledger: Ledger,
}

impl Desk {
    /// The desk of a tenant; none, when it has never subscribed to anything.
    pub async fn open(billing: &Billing, connection: &mut AnyConnection, tenant: &Tenant) -> Result<Option<Self>> {
        let sold = billing.sold(&mut *connection).await?;
        let profile = profile::read(&mut *connection, &tenant.id).await?;
        let Some(subscription) = subscribe::load(&mut *connection, &tenant.id, &profile).await? else { return Ok(None) };
        let Some(first) = subscription.events().first().map(|event| event.at) else { return Ok(None) };
        let grants = credit::grants(&mut *connection, &tenant.id, &tenant.name).await?;
        let ledger = books::of_tenant(&mut *connection, &tenant.id).await?;
        let payer = torchmesh_billing::Tenant { id: tenant.name.clone(), currency: sold.currency, tax: profile.tax.clone() };
        Ok(Some(Self { sold, profile, payer, subscription, first, grants, ledger }))
    }

    /// Where its months begin.
    pub fn anchor(&self) -> Anchor {
        self.subscription.anchor()
    }

    /// The period whose invoice is the next: behind the last one that has one, or the first.
    pub async fn next_period(&self, connection: &mut AnyConnection, tenant_id: &str) -> Result<Period> {
        let query = sqlx::query("SELECT MAX(end_ms) AS last FROM invoices WHERE tenant_id = $1").bind(tenant_id.to_owned());
        let last: Option<i64> = query.fetch_one(connection).await?.try_get("last")?;
        Ok(self.anchor().period(last.map_or(Ok(self.first), moment)?)?)
    }

    /// What was used in a period.
    pub async fn used(&self, connection: &mut AnyConnection, period: &Period) -> Result<Vec<Rollup>> {
        let at = boundaries(&self.sold.catalogue, &self.subscription, period)?;
        usage::rollups(connection, &self.payer.id, &at, self.first).await
    }

    /// The bill of a period.
    pub fn bill<'a>(&'a self, number: &'a str, period: Period, issued: Moment, usage: &'a [Rollup]) -> Bill<'a> {
        Bill {
            number,
            tenant: &self.payer,
            period,
            issued,
            catalogue: &self.sold.catalogue,
            subscription: &self.subscription,
            usage,
            grants: &self.grants,
            ledger: &self.ledger,
        }
    }

    /// The invoice of the period that it is now, as it would be if nothing happened any more.
    pub async fn preview(&self, connection: &mut AnyConnection, now: i64) -> Result<Invoice> {
        let at = moment(now)?;
        let period = self.anchor().period(at)?;
        let used = self.used(connection, &period).await?;
        // What was written down at this very moment counts.
        Ok(invoice(&self.bill("", period, at.later(1), &used))?)
    }
}

/// What a tenant has spent in this period, as the invoice that it would get.
pub async fn preview(billing: &Billing, store: &Store, tenant: &Tenant, now: i64) -> Result<Invoice> {
    let mut connection = store.reads()?.acquire().await?;
    let desk = Desk::open(billing, &mut connection, tenant).await?;
    let desk = desk.ok_or_else(|| Refusal::State("the tenant has not subscribed to anything; subscribe to a plan".to_owned()))?;
    desk.preview(&mut connection, now).await
}
