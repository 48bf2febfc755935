//! Money that came or went by way of a payment processor, and what is to be paid still.

use sqlx::AnyConnection;
use torchmesh_billing::{Account, Moment, Money};

use super::{Kept, PaymentKind, Posted, books, check_id, invoices};
use crate::{
    error::Result,
    store::Change,
    tenants::Tenant,
    webhooks::{self, Event},
};

/// Writes down that money came from a tenant or went back to it, within a change: as what it is, in whatever currency. Gives whether it is new; what has this id already is in the ledger once, and stays as it is.
pub(crate) async fn enter(change: &mut Change, tenant: &Tenant, kind: PaymentKind, id: &str, amount: Money) -> Result<(Posted, bool)> {
    check_id("id", id)?;
    let at = books::next_moment(change, &tenant.id).await?;
    let (entry, told) = kind.entry(tenant, id, at, amount)?;
    if let Some(there) = books::find(change.connection(), entry.id()).await? {
        if there.entry.postings() != entry.postings() {
            tracing::error!(entry = entry.id(), %amount, "the processor says another amount than is in the ledger under the same id; write the difference down by hand");
        }
        return Ok((there, false));
    }
    let posted = books::post(change, &tenant.id, &entry).await?;
    webhooks::happened(change, &tenant.id, &Event::payment(told, id, amount)).await?;
    Ok((posted, true))
}

/// An invoice, whoever asks.
pub(crate) async fn invoice(connection: &mut AnyConnection, number: &str) -> Result<Kept> {
    invoices::by_number(connection, number).await?.ok_or_else(invoices::absent)
}

/// What is to be paid of an invoice of which so much has come: nothing of one that was replaced, and never more than the tenant owes, since payments by hand name no invoice.
pub(crate) async fn left_of(connection: &mut AnyConnection, kept: &Kept, received: Money) -> Result<Money> {
    let (invoice, nothing) = (&kept.invoice, Money::zero(kept.invoice.currency));
    if kept.replaced_by.is_some() {
        return Ok(nothing);
    }
    let given = Money::sum(invoice.currency, kept.notes.iter().map(|kept| kept.note.total))?;
    let account = Account::Receivable(invoice.tenant.clone());
    let owed = books::of_account(connection, &account).await?.balance(&account, invoice.currency, Moment::LAST)?;
    let left = invoice.due.minus(given)?.minus(received)?.least(owed)?;
    Ok(if left.is_negative() { nothing } else { left })
}
