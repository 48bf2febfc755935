//! What use costs: money, prices, plans, a ledger, and invoices as a function of them.
//!
//! Nothing here reads a file, asks for the time or draws a number, and no amount is ever a float. [`mod@file`] reads what is sold ([`catalogue`]) from the text of
//! `billing.toml`; [`mod@invoice`] makes an invoice of it, of what a tenant subscribed to ([`subscription`]), used ([`mod@unit`]) and paid ([`ledger`]); [`note`] gives back
//! and corrects; [`mod@statement`] tells partners; [`render`] makes documents that people read. `docs/billing.md` says how everything is reckoned.

pub mod budget;
pub mod catalogue;
pub mod coupon;
pub mod credit;
pub mod currency;
pub mod error;
pub mod file;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod invoice;
pub mod ledger;
pub mod moment;
pub mod money;
pub mod note;
pub mod period;
pub mod plan;
pub mod price;
pub mod render;
pub mod selector;
pub mod share;
pub mod statement;
pub mod subscription;
pub mod unit;

pub use catalogue::Catalogue;
pub use currency::Currency;
pub use error::BillingError;
pub use invoice::{Bill, Invoice, Tax, Tenant, boundaries, invoice};
pub use ledger::{Account, Entry, Ledger};
pub use moment::Moment;
pub use money::Money;
pub use note::{CreditNote, Heading, reissue};
pub use period::{Anchor, Period};
pub use share::Share;
pub use statement::{Statement, StatementOf, statement};
pub use subscription::{Change, Subscription, SubscriptionEvent, When};
pub use unit::{Rollup, Unit, Usage};
