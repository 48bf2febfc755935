//! What the processor says, written down: money once, by the processor's id of it.

use super::{Notice, Outcome, PaymentState, Payments, Told, kept};
use crate::{
    access::Asker,
    billing::{self, Billing},
    error::Result,
    store::{Change, Store},
    tenants,
};

/// Takes a notice of the processor's. What it says of nothing that was begun here has no effect.
pub async fn take_notice(payments: &Payments, billing: &Billing, store: &Store, notice: Notice<'_>, now: i64) -> Result<()> {
    match payments.processor()?.read(notice, now)? {
        Some(told) => take(billing, store, &told, now).await,
        None => Ok(()),
    }
}

/// Writes down what became of a payment. What is known already changes nothing, and money that came counts whatever was told before.
pub(super) async fn take(billing: &Billing, store: &Store, told: &Told, now: i64) -> Result<()> {
    if told.outcome == Outcome::Open {
        return Ok(());
    }
    let mut change = Change::begin(store, &Asker::Itself, now).await?;
    let Some(mut payment) = kept::by_id(change.connection(), &told.payment).await? else {
        if let Outcome::Paid { id, amount } = &told.outcome {
            tracing::error!(payment = told.payment, id, %amount, "money came at the processor for a payment that is not known here; write it down by hand");
        }
        return Ok(());
    };
    let (id, amount) = match &told.outcome {
        Outcome::Paid { id, amount } => (id, *amount),
        other => {
            let state = match other {
                Outcome::Waiting => PaymentState::Waiting,
                Outcome::Failed => PaymentState::Failed,
                Outcome::Expired => PaymentState::Expired,
                Outcome::Open | Outcome::Paid { .. } => return Ok(()),
            };
            if !payment.state.is_open() || payment.state == state {
                return Ok(());
            }
            payment.set(&mut change, state).await?;
            return payment.commit(change, &format!("payment {}", state.as_str())).await;
        }
    };
    let tenant = tenants::by_id(change.connection(), &payment.tenant_id).await?;
    let (posted, is_new) = billing::receive(&mut change, &tenant, id, amount).await?;
    if !is_new && payment.state == PaymentState::Booked {
        return Ok(());
    }
    if payment.state != PaymentState::Booked {
        (payment.received, payment.entry) = (Some(amount), posted.entry.id().to_owned());
        payment.set(&mut change, PaymentState::Booked).await?;
    }
    if payment.differs() {
        tracing::warn!(payment = payment.id, asked = %payment.amount, came = %amount, "another amount came than was asked for; it is booked as it came");
    }
    payment.commit(change, "payment booked").await?;
    billing::check_stops_or_later(billing, store, &tenant, now).await;
    Ok(())
}
