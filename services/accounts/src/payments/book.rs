//! What the processor says, written down: money once, by the processor's id of it.

use torchmesh_billing::Money;

use super::{Notice, Outcome, Payment, PaymentState, Payments, Said, Told, kept, refunds};
use crate::{
    access::Asker,
    billing::{self, Billing, PaymentKind},
    error::Result,
    store::{self, Change, Store},
    tenants::{self, Tenant},
};

/// Takes a notice of the processor's. What it says of nothing that was begun here has no effect.
pub async fn take_notice(payments: &Payments, billing: &Billing, store: &Store, notice: Notice<'_>, now: i64) -> Result<()> {
    match payments.processor()?.read(notice, now)? {
        Some(Said::Payment(told)) => take(billing, store, &told, now).await,
        Some(Said::GaveBack(told)) => refunds::take(billing, store, &told, now).await,
        None => Ok(()),
    }
}

/// Writes down what became of a payment. What is known already changes nothing, and money that came counts whatever was told before.
pub(super) async fn take(billing: &Billing, store: &Store, told: &Told, now: i64) -> Result<()> {
    if told.outcome == Outcome::Open {
        return Ok(());
    }
    let mut change = Change::begin(store, &Asker::Itself, now).await?;
    let payment = kept::by_id(change.connection(), &told.payment).await?;
    let state = match &told.outcome {
        Outcome::Open => return Ok(()),
        Outcome::Waiting => PaymentState::Waiting,
        Outcome::Failed => PaymentState::Failed,
        Outcome::Expired => PaymentState::Expired,
        Outcome::Paid { id, amount } => {
            let tenant_id = payment.as_ref().map_or(&told.tenant_id, |payment| &payment.tenant_id);
            let Some(tenant) = tenants::known(change.connection(), tenant_id).await? else {
                tracing::error!(payment = told.payment, id, %amount, "money came at the processor for a payment and a tenant that are not known here; write it down by hand");
                return Ok(());
            };
            match payment {
                Some(payment) => book(change, &tenant, payment, id, *amount).await?,
                None => book_unknown(change, &tenant, told, id, *amount).await?,
            }
            billing::check_stops_or_later(billing, store, &tenant, now).await;
            return Ok(());
        }
    };
    let Some(mut payment) = payment.filter(|payment| payment.state.is_open() && payment.state != state) else { return Ok(()) };
    payment.set(&mut change, state).await?;
    payment.commit(change, &format!("payment {}", state.as_str())).await
}

/// Books the money of a payment.
async fn book(mut change: Change, tenant: &Tenant, mut payment: Payment, id: &str, amount: Money) -> Result<()> {
    let (posted, is_new) = billing::enter(&mut change, tenant, PaymentKind::Received, id, amount).await?;
    if !is_new && payment.state == PaymentState::Booked {
        return Ok(());
    }
    if payment.state != PaymentState::Booked {
        (payment.received, payment.entry, payment.money) = (Some(amount), posted.entry.id().to_owned(), id.to_owned());
        payment.set(&mut change, PaymentState::Booked).await?;
    }
    if payment.differs() {
        tracing::warn!(payment = payment.id, asked = %payment.amount, came = %amount, "another amount came than was asked for; it is booked as it came");
    }
    payment.commit(change, "payment booked").await
}

/// Books money of a payment that is not known here, as when the database is one that was restored from before it: whose it is has been said when it was begun.
async fn book_unknown(mut change: Change, tenant: &Tenant, told: &Told, id: &str, amount: Money) -> Result<()> {
    let (posted, is_new) = billing::enter(&mut change, tenant, PaymentKind::Received, id, amount).await?;
    if !is_new {
        return Ok(());
    }
    tracing::warn!(payment = told.payment, id, %amount, tenant = tenant.name, "money came at the processor for a payment that is not known here; it is booked as the tenant's");
    let detail = format!("{amount}, of a payment that is not known here");
    change.commit(store::Told { tenant_id: &tenant.id, subject: posted.entry.id(), what: "payment booked", detail: &detail }).await
}
