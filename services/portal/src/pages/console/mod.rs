//! Pages for members.

pub mod billing;
pub mod changes;
pub mod invoices;
pub mod keys;
pub mod keys_change;
pub mod members;
pub mod overview;
pub mod payments;
mod qr;
pub mod security;
mod sums;
pub mod usage;
