//! Whoever takes payers' money, as the rest of the accounts knows it.

use std::fmt;

use futures_util::future::BoxFuture;
use torchmesh_billing::Money;

use crate::error::Refusal;

/// What is to be paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The payment's id: what is begun with the same one is begun once.
    pub id: String,
    /// The tenant's id.
    pub tenant_id: String,
    /// The invoice's number.
    pub invoice: String,
    /// How much.
    pub amount: Money,
}

/// A payment that was begun there.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// The processor's name for it.
    pub id: String,
    /// Where the payer is sent.
    pub url: String,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever has the address can pay.
        f.debug_struct("Session").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What became of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The payer may still pay.
    Open,
    /// The payer has done what they can; the money is on its way.
    Waiting,
    /// It came.
    Paid {
        /// The processor's id of the money: what comes under the same one came once.
        id: String,
        /// What came.
        amount: Money,
    },
    /// It will not come.
    Failed,
    /// The payer did not pay in time.
    Expired,
}

/// What the processor says of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The id of the payment, as it was begun with.
    pub payment: String,
    /// The id of the tenant, as it was begun with; empty: it is not said.
    pub tenant_id: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What the processor says of money that it gave back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GaveBack {
    /// The processor's id of giving it back: what is told under the same one was given back once.
    pub id: String,
    /// The id of the money, as of [`Outcome::Paid`].
    pub money: String,
    /// How much.
    pub amount: Money,
    /// Whether it never arrived, and the processor has it again.
    pub returned: bool,
}

/// What a notice says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Of a payment.
    Payment(Told),
    /// Of money that was given back.
    GaveBack(GaveBack),
}

/// What the processor sends by itself, as it came.
#[derive(Debug, Clone, Copy)]
pub struct Notice<'a> {
    /// Byte for byte.
    pub body: &'a [u8],
    /// What says that it is the processor's.
    pub signature: &'a str,
}

/// Why the processor did not do what it was asked. What it said is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// It will not, however often it is asked so.
    Refused,
    /// It did not answer, or not now: whether it was done is not known.
    Away,
}

impl From<Failed> for Refusal {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused => Self::State("the payment processor has refused it; the accounts' log says why".to_owned()),
            Failed::Away => Self::Beside("the payment processor does not answer; try again".into()),
        }
    }
}

/// Why a notice says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// No signature is good, or it is too old.
    Signature,
    /// What is said is not what such notices say.
    Body,
    /// What signatures are tried with cannot be read.
    Secret,
}

impl From<Unread> for Refusal {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Signature => Self::Invalid("signature: is not the payment processor's, or is more than five minutes old".to_owned()),
            Unread::Body => Self::Invalid("body: is not what the payment processor sends of payments".to_owned()),
            Unread::Secret => Self::Fault,
        }
    }
}

/// See the module.
pub trait PaymentProcessor: fmt::Debug + Send + Sync {
    /// Its name in settings and tables.
    fn name(&self) -> &'static str;

    /// Begins a payment; the same one, when it is begun again with the same id.
    fn begin<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Session, Failed>>;

    /// What became of it.
    fn find<'a>(&'a self, session: &'a str) -> BoxFuture<'a, Result<Told, Failed>>;

    /// Ends it before it was paid; refused when it was.
    fn end<'a>(&'a self, session: &'a str) -> BoxFuture<'a, Result<(), Failed>>;

    /// What a notice says; none: nothing of payments that were begun here.
    fn read(&self, notice: Notice<'_>, now_ms: i64) -> Result<Option<Said>, Unread>;
}
