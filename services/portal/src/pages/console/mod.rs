//! Pages for members.

pub mod billing;
pub mod budgets;
pub mod changes;
pub mod coupons;
pub mod invoices;
pub mod keys;
pub mod keys_change;
pub mod members;
pub mod overview;
pub mod payments;
pub mod privacy;
mod qr;
pub mod security;
pub mod statements;
pub(super) mod sums;
pub mod usage;
pub mod webhooks;
