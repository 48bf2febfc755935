//! Asks the processor about payments that are open for long: a notice may never come.

use std::time::Duration;

use tokio::time::sleep;
use torchmesh_runtime::lifecycle::Drain;

use super::{Failed, Outcome, Payment, PaymentProcessor, PaymentState, Payments, Told, book, kept};
use crate::{
    billing::Billing,
    clock::now_ms,
    error::{Refusal, Result},
    store::Store,
};

/// How often it is looked at whether a payment is to be asked about.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How long after it was begun a payment is asked about first: notices come within seconds.
pub(super) const ASK_AFTER: i64 = 5 * 60 * 1000;
/// It is asked about again when it is twice as old, but at least this often.
const ASK_EVERY: i64 = 24 * 3600 * 1000;
/// The processor remembers for so long what was begun under an id; what it has not answered by then leads nobody there.
const UNANSWERED: i64 = 24 * 3600 * 1000;
/// What has not come by then is not waited for. It is booked all the same if it does come.
const WAITED_FOR: i64 = 30 * 24 * 3600 * 1000;
/// So many are asked about in one turn.
const AT_ONCE: i64 = 100;

/// Does so until the process drains.
pub async fn attend(payments: Payments, billing: Billing, store: Store, drain: Drain) {
    if payments.processor().is_err() {
        return;
    }
    while !drain.is_draining() {
        if store.reads().is_ok()
            && let Err(refusal) = look(&payments, &billing, &store, now_ms()).await
        {
            tracing::warn!(?refusal, "payments could not be asked about; they are again in a while");
        }
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            () = drain.draining() => {}
        }
    }
}

/// Asks about every payment of which it is time to.
pub async fn look(payments: &Payments, billing: &Billing, store: &Store, now: i64) -> Result<()> {
    let processor = payments.processor()?;
    for payment in kept::due(store, processor.name(), now, AT_ONCE).await? {
        // Before it is asked: one that is a trouble each time keeps the others from nothing.
        kept::ask_at(store, &payment.id, now + (now - payment.begun_ms).clamp(ASK_AFTER, ASK_EVERY)).await?;
        let outcome = match ask(processor, &payment, now).await {
            Ok(outcome) => outcome,
            Err(Failed::Away) => return Err(Failed::Away.into()),
            Err(Failed::Refused) => given_up(&payment, now),
        };
        match book::take(billing, store, &Told { payment: payment.id, tenant_id: payment.tenant_id, outcome }, now).await {
            Err(Refusal::Away) => return Err(Refusal::Away),
            Err(refusal) => tracing::warn!(?refusal, "what became of a payment could not be booked"),
            Ok(()) => {}
        }
    }
    Ok(())
}

async fn ask(processor: &dyn PaymentProcessor, payment: &Payment, now: i64) -> std::result::Result<Outcome, Failed> {
    if payment.session.is_empty() {
        return Ok(if now - payment.begun_ms >= UNANSWERED { Outcome::Expired } else { Outcome::Open });
    }
    let outcome = processor.find(&payment.session).await?.outcome;
    Ok(if matches!(outcome, Outcome::Open | Outcome::Waiting) && now - payment.begun_ms >= WAITED_FOR {
        given_up(payment, now)
    } else {
        outcome
    })
}

/// What is said of a payment of which the processor says nothing more.
fn given_up(payment: &Payment, now: i64) -> Outcome {
    match payment.state {
        _ if now - payment.begun_ms < WAITED_FOR => Outcome::Open,
        PaymentState::Waiting => Outcome::Failed,
        _ => Outcome::Expired,
    }
}
