//! Prepaid credit, and money that came and went: each once, by the id that whoever asks has chosen.

use sqlx::{AnyConnection, Row as _};
use torchmesh_billing::{Account, Entry, Moment, Money, credit::CreditGrant};

use super::{Billing, Posted, amount, books, check_id, moment, ms, stops};
use crate::{
    access::Asker,
    error::{Refusal, Result},
    store::{Change, Store, Told},
    tenants::Tenant,
    webhooks::{self, Event, Kind},
};

/// Credit that is to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewCredit<'a> {
    /// Its id.
    pub id: &'a str,
    /// How much, as text, and in which currency; the usual one when empty.
    pub amount: (&'a str, &'a str),
    /// Whether it was paid for.
    pub bought: bool,
    /// When it ends; never when 0.
    pub expires_ms: i64,
}

/// What happened to money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentKind {
    /// It came from the tenant.
    Received,
    /// It went back to the tenant.
    Refunded,
    /// It went to the tenant as a partner.
    PartnerPaid,
}

impl PaymentKind {
    /// The ledger's entry of it, and what is told of it.
    pub(super) fn entry(self, tenant: &Tenant, id: &str, at: Moment, amount: Money) -> Result<(Entry, Kind)> {
        let (id, who) = (whole_id(tenant, id), tenant.name.as_str());
        Ok(match self {
            Self::Received => (Entry::payment(&id, at, who, amount)?, Kind::PaymentReceived),
            Self::Refunded => (Entry::refund(&id, at, who, amount)?, Kind::PaymentRefunded),
            Self::PartnerPaid => (Entry::partner_paid(&id, at, who, amount)?, Kind::PartnerPaid),
        })
    }

    fn what(self) -> &'static str {
        match self {
            Self::Received => "payment received",
            Self::Refunded => "payment refunded",
            Self::PartnerPaid => "partner paid",
        }
    }
}

/// Money that came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payment<'a> {
    /// Its id.
    pub id: &'a str,
    /// What happened.
    pub kind: PaymentKind,
    /// How much, as text, and in which currency; the usual one when empty.
    pub amount: (&'a str, &'a str),
}

/// The id within a tenant as all tenants' are told from each other: a tenant's name has no `/`.
fn whole_id(tenant: &Tenant, id: &str) -> String {
    format!("{}/{id}", tenant.name)
}

fn used_otherwise(id: &str) -> Refusal {
    Refusal::Exists(format!("id: {id:?} was used for something else; choose another"))
}

/// A tenant's credit.
pub(super) async fn grants(connection: &mut AnyConnection, tenant_id: &str, name: &str) -> Result<Vec<CreditGrant>> {
    let query = sqlx::query("SELECT id, amount, granted_ms, expires_ms, bought FROM credits WHERE tenant_id = $1 ORDER BY id");
    let mut grants = Vec::new();
    for row in query.bind(tenant_id.to_owned()).fetch_all(connection).await? {
        let text: String = row.try_get("amount")?;
        grants.push(CreditGrant {
            id: row.try_get("id")?,
            tenant: name.to_owned(),
            amount: text.parse().map_err(|_| Refusal::Fault)?,
            granted: moment(row.try_get("granted_ms")?)?,
            expires: row.try_get::<Option<i64>, _>("expires_ms")?.map(moment).transpose()?,
            bought: row.try_get::<i64, _>("bought")? != 0,
        });
    }
    Ok(grants)
}

/// Adds credit.
pub async fn add(billing: &Billing, store: &Store, asker: &Asker, tenant: &Tenant, new: NewCredit<'_>, now: i64) -> Result<CreditGrant> {
    asker.is_operator()?;
    check_id("id", new.id)?;
    let mut change = Change::begin(store, asker, now).await?;
    let sold = billing.sold(change.connection()).await?;
    let amount = amount("amount", new.amount.0, new.amount.1, sold.currency)?;
    let expires = (new.expires_ms != 0).then(|| moment(new.expires_ms)).transpose()?;
    let id = whole_id(tenant, new.id);
    if let Some(there) = grants(change.connection(), &tenant.id, &tenant.name).await?.into_iter().find(|grant| grant.id == id) {
        let same = there.amount == amount && there.bought == new.bought && there.expires == expires;
        if !same {
            return Err(used_otherwise(new.id));
        }
        drop(change);
        stops::check_or_later(billing, store, tenant, now).await;
        return Ok(there);
    }
    if new.expires_ms < 0 || (new.expires_ms != 0 && new.expires_ms <= now) {
        return Err(Refusal::Invalid("expires_unix_ms: must be in the future; 0 is never".to_owned()));
    }
    let granted = books::next_moment(&mut change, &tenant.id).await?;
    let grant = CreditGrant { id, tenant: tenant.name.clone(), amount, granted, expires, bought: new.bought };
    let row = sqlx::query("INSERT INTO credits (id, tenant_id, amount, granted_ms, expires_ms, bought) VALUES ($1, $2, $3, $4, $5, $6)");
    let row = row.bind(grant.id.clone()).bind(tenant.id.clone()).bind(amount.to_string()).bind(ms(granted));
    row.bind(expires.map(ms)).bind(i64::from(new.bought)).execute(change.connection()).await?;
    books::post(&mut change, &tenant.id, &grant.entry()?).await?;
    webhooks::happened(&mut change, &tenant.id, &Event::credit(new.id, &grant)).await?;
    let detail = format!("{} {amount} {}", grant.id, if new.bought { "bought" } else { "given" });
    change.commit(Told { tenant_id: &tenant.id, subject: &grant.id, what: "credit added", detail: &detail }).await?;
    stops::check_or_later(billing, store, tenant, now).await;
    Ok(grant)
}

/// Writes down that money came or went.
pub async fn pay(billing: &Billing, store: &Store, asker: &Asker, tenant: &Tenant, paid: Payment<'_>, now: i64) -> Result<Posted> {
    asker.is_operator()?;
    check_id("id", paid.id)?;
    let mut change = Change::begin(store, asker, now).await?;
    let sold = billing.sold(change.connection()).await?;
    let amount = amount("amount", paid.amount.0, paid.amount.1, sold.currency)?;
    let at = books::next_moment(&mut change, &tenant.id).await?;
    let (entry, kind) = paid.kind.entry(tenant, paid.id, at, amount)?;
    if let Some(there) = books::find(change.connection(), entry.id()).await? {
        if there.entry.postings() != entry.postings() {
            return Err(used_otherwise(paid.id));
        }
        drop(change);
        stops::check_or_later(billing, store, tenant, now).await;
        return Ok(there);
    }
    if let Some(account) = owed_first(tenant, paid.kind) {
        let owed = owed(change.connection(), &account, amount).await?;
        if owed.minus(amount)?.is_negative() {
            return Err(Refusal::State(format!("amount: only {owed} is owed to the tenant on {account}")));
        }
    }
    let posted = books::post(&mut change, &tenant.id, &entry).await?;
    webhooks::happened(&mut change, &tenant.id, &Event::payment(kind, paid.id, amount)).await?;
    let detail = format!("{} {amount}", whole_id(tenant, paid.id));
    change.commit(Told { tenant_id: &tenant.id, subject: entry.id(), what: paid.kind.what(), detail: &detail }).await?;
    stops::check_or_later(billing, store, tenant, now).await;
    Ok(posted)
}

/// The account on which so much must be owed to the tenant before it is paid.
fn owed_first(tenant: &Tenant, kind: PaymentKind) -> Option<Account> {
    match kind {
        PaymentKind::Received => None,
        PaymentKind::Refunded => Some(Account::Receivable(tenant.name.clone())),
        PaymentKind::PartnerPaid => Some(Account::PartnerPayable(tenant.name.clone())),
    }
}

/// What an account owes, in the currency of an amount.
async fn owed(connection: &mut AnyConnection, account: &Account, amount: Money) -> Result<Money> {
    let ledger = books::of_account(connection, account).await?;
    Ok(ledger.balance(account, amount.currency(), Moment::LAST)?.negated())
}
