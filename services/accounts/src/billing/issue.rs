//! Issuing: a period's invoice once, and another in its place where it has to be.

use torchmesh_billing::{Invoice, Moment, Period, credit::expire, invoice, reissue as in_place_of};

use super::{Billing, Desk, books, invoices, moment, ms};
use crate::{
    access::Asker,
    error::{Refusal, Result},
    store::{Change, Store, Told},
    tenants::{self, Tenant},
    usage,
    webhooks::{self, Event},
};

/// Issues the invoices of a tenant's periods that were over by `until` and have none; gives those that it has issued. Each is a transaction of its own: whoever is killed goes on where it was.
pub async fn issue(billing: &Billing, store: &Store, asker: &Asker, tenant: &Tenant, until: i64, now: i64) -> Result<Vec<Invoice>> {
    asker.is_operator()?;
    if tenant.erased_ms.is_some() {
        // Whom another invoice would be for is not known any more.
        return Ok(Vec::new());
    }
    let until = moment(if until == 0 { now } else { until.min(now) })?;
    let mut issued = Vec::new();
    let Some(mut period) = next_period(billing, store, tenant).await? else { return Ok(issued) };
    while period.end <= until {
        match issue_one(billing, store, asker, tenant, period, now).await? {
            One::Issued(invoice, next) => {
                issued.push(*invoice);
                period = next;
            }
            One::Nothing(next) => period = next,
            // Somebody else was there first.
            One::Gone => match next_period(billing, store, tenant).await? {
                Some(next) if next.start > period.start => period = next,
                _ => break,
            },
        }
    }
    Ok(issued)
}

async fn next_period(billing: &Billing, store: &Store, tenant: &Tenant) -> Result<Option<Period>> {
    let mut connection = store.reads()?.acquire().await?;
    let Some(desk) = Desk::open(billing, &mut connection, tenant).await? else { return Ok(None) };
    desk.next_period(&mut connection, &tenant.id).await.map(Some)
}

/// What became of a period, and which one is the next.
enum One {
    Issued(Box<Invoice>, Period),
    /// There is nothing to be invoiced.
    Nothing(Period),
    /// It is not the next one any more.
    Gone,
}

async fn issue_one(billing: &Billing, store: &Store, asker: &Asker, tenant: &Tenant, period: Period, now: i64) -> Result<One> {
    let mut change = Change::begin(store, asker, now).await?;
    // All of it again, now that nobody else changes anything.
    let Some(desk) = Desk::open(billing, change.connection(), tenant).await? else { return Ok(One::Gone) };
    if desk.next_period(change.connection(), &tenant.id).await?.start > period.start {
        return Ok(One::Gone);
    }
    let next = desk.anchor().next(&period)?;
    let used = desk.used(change.connection(), &period).await?;
    let at = books::next_moment(&mut change, &tenant.id).await?;
    let mut made = invoice(&desk.bill("", period, at, &used))?;
    if made.lines.is_empty() {
        return Ok(One::Nothing(next));
    }
    let (sequence, number) = invoices::next_number(&mut change).await?;
    made.number = number;
    invoices::keep(&mut change, billing, &desk.profile, tenant, sequence, &made).await?;
    settle(&mut change, tenant, desk, &made, at).await?;
    told(change, tenant, &made, "invoice issued").await?;
    Ok(One::Issued(Box::new(made), next))
}

/// Posts an invoice, and takes credit off the books that has expired with its period.
async fn settle(change: &mut Change, tenant: &Tenant, mut desk: Desk, made: &Invoice, at: Moment) -> Result<()> {
    if let Some(entry) = made.entry()? {
        desk.ledger.append(entry.clone())?;
        books::post(change, &tenant.id, &entry).await?;
    }
    for entry in expire(&desk.grants, &desk.ledger, made.period.end, at.later(1))? {
        // Once: what a corrected invoice has left of it stays.
        if desk.ledger.get(entry.id()).is_none() {
            books::post(change, &tenant.id, &entry).await?;
        }
    }
    Ok(())
}

async fn told(mut change: Change, tenant: &Tenant, made: &Invoice, what: &str) -> Result<()> {
    webhooks::happened(&mut change, &tenant.id, &Event::invoice(made)).await?;
    let detail = format!("{} {} from {}", made.number, made.total, made.period.start.date());
    change.commit(Told { tenant_id: &tenant.id, subject: &made.number, what, detail: &detail }).await
}

/// Makes another invoice in the place of one.
pub async fn reissue(billing: &Billing, store: &Store, asker: &Asker, number: &str, now: i64) -> Result<Invoice> {
    // Whoever may not see it learns no more than that.
    let tenant_id = invoices::find(store, asker, number).await?.tenant_id;
    asker.is_operator()?;
    let tenant = tenants::find(store, &tenant_id).await?.ok_or_else(invoices::absent)?;
    let mut change = Change::begin(store, asker, now).await?;
    let old = invoices::by_number(change.connection(), number).await?.ok_or_else(invoices::absent)?;
    if let Some(newer) = &old.replaced_by {
        return Err(Refusal::State(format!("the invoice {number} was replaced by {newer}; reissue that one")));
    }
    if !old.notes.is_empty() {
        return Err(Refusal::State(format!(
            "credit notes were given for the invoice {number}; give back what else is wrong by another one"
        )));
    }
    let removed = usage::removed_before(change.connection(), &tenant.name).await?;
    if removed.is_some_and(|before| before > ms(old.invoice.period.start)) {
        return Err(Refusal::State(format!(
            "calls of the invoice {number} are not kept any more (retention.usage_events); give back what is wrong by a credit note"
        )));
    }
    let desk = Desk::open(billing, change.connection(), &tenant).await?.ok_or(Refusal::Fault)?;
    let used = desk.used(change.connection(), &old.invoice.period).await?;
    let at = books::next_moment(&mut change, &tenant.id).await?;
    let (sequence, new) = invoices::next_number(&mut change).await?;
    let made = in_place_of(&old.invoice, &desk.bill(&new, old.invoice.period, at, &used))?;
    let parts = |invoice: &Invoice| (invoice.lines.clone(), invoice.discounts.clone(), invoice.tax_name.clone(), invoice.total);
    if parts(&made.invoice) == parts(&old.invoice) {
        return Err(Refusal::State(format!("the invoice {number} would say the same again; no price and no use has changed since")));
    }
    invoices::keep(&mut change, billing, &desk.profile, &tenant, sequence, &made.invoice).await?;
    let mut desk = desk;
    if let Some(reversal) = &made.reversal {
        desk.ledger.append(reversal.clone())?;
        books::post(&mut change, &tenant.id, reversal).await?;
    }
    settle(&mut change, &tenant, desk, &made.invoice, at).await?;
    told(change, &tenant, &made.invoice, "invoice reissued").await?;
    Ok(made.invoice)
}
