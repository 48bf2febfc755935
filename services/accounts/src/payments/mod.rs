//! Payments that a payment processor takes: a payer is sent there, and what became of it is booked once.
//!
//! Who takes the money is behind a trait ([`PaymentProcessor`]); [`Stripe`] is one. A payment is written down before the processor hears of it (`kept`), under an id that begins it once there however often
//! it is asked for. What became of it comes as a notice ([`take_notice`]) or is asked for ([`fn@attend`]); both end in the same place (`book`), which counts by the processor's id of the money: once, in
//! whatever order and however often it is told. Where nobody takes it, payments are written down by hand ([`crate::billing::pay`]), as they may be in any case.

mod attend;
mod begin;
mod book;
mod kept;
mod processor;
mod refunds;
mod settings;
mod stripe;

use std::sync::Arc;

pub use attend::{attend, look};
pub use begin::begin;
pub use book::take_notice;
pub use kept::{Payment, PaymentState, list, payable};
pub use processor::{Asked, Failed, GaveBack, Notice, Outcome, PaymentProcessor, Said, Session, Told, Unread};
pub use settings::{PaymentSettings, StripeSettings};
pub use stripe::Stripe;

use crate::error::{Refusal, Result};

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Payments(Option<Arc<dyn PaymentProcessor>>);

impl Payments {
    /// By these settings; nobody is asked yet.
    ///
    /// Error: why nobody can be.
    pub fn new(settings: PaymentSettings) -> std::result::Result<Self, String> {
        Ok(match settings.stripe {
            Some(stripe) => Self::with(Arc::new(Stripe::new(stripe)?)),
            None => Self(None),
        })
    }

    /// With somebody else.
    pub fn with(processor: Arc<dyn PaymentProcessor>) -> Self {
        Self(Some(processor))
    }

    /// Who takes the money.
    ///
    /// Error: nobody does.
    pub fn processor(&self) -> Result<&dyn PaymentProcessor> {
        let off =
            || Refusal::State("no payment processor is set up here; set payments.processor of the accounts (docs/payments.md)".to_owned());
        self.0.as_deref().ok_or_else(off)
    }

    /// The name of whoever does; `manual`: nobody.
    pub fn name(&self) -> &'static str {
        self.0.as_deref().map_or("manual", PaymentProcessor::name)
    }
}
