//! Money that the processor gave back, written down: each once, by the processor's id of it.

use super::{GaveBack, kept};
use crate::{
    access::Asker,
    billing::{self, Billing, PaymentKind},
    error::Result,
    store::{Change, Store},
    tenants,
};

/// Writes down that money was given back, or came back from there. What is of no payment that was booked here has no effect.
///
/// What never arrived is both: then it does not matter in which order the two are told, or whether only the last is.
pub(super) async fn take(billing: &Billing, store: &Store, told: &GaveBack, now: i64) -> Result<()> {
    let mut change = Change::begin(store, &Asker::Itself, now).await?;
    let Some(mut payment) = kept::by_money(change.connection(), &told.money).await? else { return Ok(()) };
    let tenant = tenants::by_id(change.connection(), &payment.tenant_id).await?;
    let (_, is_gone) = billing::enter(&mut change, &tenant, PaymentKind::Refunded, &told.id, told.amount).await?;
    let is_back = told.returned && billing::enter(&mut change, &tenant, PaymentKind::Received, &told.id, told.amount).await?.1;
    let signed = match (is_gone, is_back) {
        (true, false) => told.amount,
        (false, true) => told.amount.negated(),
        (true, true) => told.amount.minus(told.amount)?,
        (false, false) => return Ok(()),
    };
    payment.gave_back(&mut change, signed).await?;
    payment.commit(change, if is_back { "refund returned" } else { "payment refunded" }).await?;
    billing::check_stops_or_later(billing, store, &tenant, now).await;
    Ok(())
}
