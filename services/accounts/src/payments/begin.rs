//! Begins a payment: written down first, and then at the processor.

use super::{Asked, Failed, Outcome, Payment, PaymentProcessor, PaymentState, Payments, Told, attend::ASK_AFTER, book, kept};
use crate::{
    access::{Act, Asker},
    billing::{self, Billing},
    error::{Refusal, Result},
    ids,
    store::{Change, Store},
};

/// Begins the payment of an invoice; the one that is open, where it asks for the same amount. Gives it, and with it where the payer is sent.
pub async fn begin(payments: &Payments, billing: &Billing, store: &Store, asker: &Asker, number: &str, now: i64) -> Result<Payment> {
    asker.may(Act::ChangeBilling)?;
    // Whose it is, before anything is told of it.
    billing::find_invoice(store, asker, number).await?;
    let processor = payments.processor()?;
    look_back(processor, billing, store, number, now).await?;
    let mut payment = reserve(processor.name(), store, asker, number, now).await?;
    if !payment.url.is_empty() {
        return Ok(payment);
    }
    let Payment { id, tenant_id, invoice, amount, .. } = payment.clone();
    match processor.begin(&Asked { id, tenant_id, invoice, amount }).await {
        Ok(session) => {
            kept::leads_to(store, &payment.id, &session.id, &session.url).await?;
            (payment.session, payment.url) = (session.id, session.url);
            Ok(payment)
        }
        Err(Failed::Refused) => {
            // The processor answers the same to the same id: the next try needs another one.
            book::take(billing, store, &Told { payment: payment.id, tenant_id: payment.tenant_id, outcome: Outcome::Failed }, now).await?;
            Err(Failed::Refused.into())
        }
        Err(Failed::Away) => Err(Failed::Away.into()),
    }
}

/// Finds out what became of the payment that is open, so that nobody pays twice; ends one that asks for another amount than is to be paid now.
async fn look_back(processor: &dyn PaymentProcessor, billing: &Billing, store: &Store, number: &str, now: i64) -> Result<()> {
    let mut connection = store.reads()?.acquire().await?;
    let Some(open) = kept::open_of(&mut connection, number).await?.filter(|open| !open.session.is_empty()) else { return Ok(()) };
    let kept = billing::invoice(&mut connection, number).await?;
    let amount = kept::to_pay(&mut connection, &kept).await?;
    drop(connection);
    let mut told = processor.find(&open.session).await?;
    if told.outcome == Outcome::Open && amount != Some(open.amount) {
        processor.end(&open.session).await?;
        told.outcome = Outcome::Expired;
    }
    book::take(billing, store, &Told { payment: open.id, ..told }, now).await
}

/// Writes down a payment that is to be begun, or finds the one that is: one after the other, so that two who ask at once get the same.
async fn reserve(processor: &str, store: &Store, asker: &Asker, number: &str, now: i64) -> Result<Payment> {
    let mut change = Change::begin(store, asker, now).await?;
    let kept = billing::invoice(change.connection(), number).await?;
    if let Some(other) = &kept.replaced_by {
        return Err(Refusal::State(format!("the invoice was replaced by {other}; pay that one")));
    }
    let open = kept::open_of(change.connection(), number).await?;
    if open.as_ref().is_some_and(|open| open.state == PaymentState::Waiting) {
        return Err(Refusal::State("a payment of this invoice is on its way; it is booked when it comes".to_owned()));
    }
    let amount = kept::to_pay(change.connection(), &kept).await?;
    let amount = amount.ok_or_else(|| Refusal::State("nothing is to be paid of this invoice".to_owned()))?;
    match open {
        Some(open) if open.amount == amount => return Ok(open),
        Some(open) if !open.session.is_empty() => {
            return Err(Refusal::Stale("what is to be paid has changed just now; try again".to_owned()));
        }
        // Nobody was sent there.
        Some(mut open) => open.set(&mut change, PaymentState::Expired).await?,
        None => {}
    }
    let payment = Payment {
        id: ids::new(now),
        tenant_id: kept.tenant_id,
        invoice: kept.invoice.number,
        processor: processor.to_owned(),
        session: String::new(),
        url: String::new(),
        state: PaymentState::Begun,
        amount,
        received: None,
        entry: String::new(),
        money: String::new(),
        refunded: None,
        begun_ms: now,
        changed_ms: now,
    };
    payment.insert(&mut change, now + ASK_AFTER).await?;
    payment.commit(change, "payment begun").await?;
    Ok(payment)
}
