//! What use costs: what is kept here, joined with the functions of `torchmesh_billing`.
//!
//! [`Billing`] knows what is sold; a [`desk::Desk`] is all that a tenant's invoice is made of, as it is in the database at a moment. Whatever is written down goes through
//! [`crate::store::Change`], one after the other, so that two who issue the same invoice are one who does and one who finds it there.

mod balance;
mod books;
mod budgets;
mod credit;
mod desk;
mod draw;
mod invoices;
mod issue;
mod notes;
mod offer;
mod profile;
mod received;
mod settings;
mod settled;
mod sold;
mod statements;
mod stops;
mod subscribe;
mod usage;
mod watch;

pub use balance::{Balance, CreditLeft, balance};
pub use books::{Posted, list as ledger};
pub use budgets::{BudgetTold, NewBudget, list as budgets, set as set_budget, tell as tell_budgets};
pub use credit::{NewCredit, Payment, PaymentKind, add as add_credit, pay};
pub use desk::{Desk, preview};
pub use invoices::{InvoiceState, Kept, find as find_invoice, list as list_invoices};
pub use issue::{issue, reissue};
pub use notes::{KeptNote, NewNote, credit, find as find_note};
pub use offer::Offer;
pub use profile::{NewProfile, Profile, read as profile, update as update_profile};
pub(crate) use received::{enter, invoice, left_of};
pub use settings::BillingSettings;
pub(crate) use settled::{check as check_settled, needed_since};
pub use sold::{Billing, Sold};
pub use statements::{list as statements, statement};
pub use stops::{check as check_stops, check_or_later as check_stops_or_later};
pub(crate) use subscribe::end as end_subscription;
pub use subscribe::{Held, Wanted, cancel, held, redeem, subscribe};
pub use usage::rollups;
pub use watch::{attend, look_at};

use torchmesh_billing::{BillingError, Currency, Moment, Money};

use crate::error::{Refusal, Result};

/// A moment of the clock.
fn moment(ms: i64) -> Result<Moment> {
    Ok(Moment::from_unix_ms(u64::try_from(ms).unwrap_or_default())?)
}

/// The milliseconds of a moment.
pub fn ms(at: Moment) -> i64 {
    at.unix_ms().cast_signed()
}

/// A name that whoever asks chooses, for things that are done once.
fn check_id(field: &str, id: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=64).contains(&id.len()) && id.chars().all(good) {
        return Ok(());
    }
    Err(Refusal::Invalid(format!("{field}: must have 1 to 64 letters, digits, '.', '_' and '-'")))
}

/// An amount that somebody asks for: whole smallest units of the currency, more than nothing.
fn amount(field: &str, number: &str, named: &str, currency: Currency) -> Result<Money> {
    if !named.is_empty() && named != currency.code() {
        return Err(Refusal::Invalid(format!("{field}: must be in {currency}, which everything is billed in")));
    }
    let invalid = |error: &BillingError| Refusal::Invalid(format!("{field}: {error}"));
    let amount = Money::parse_in(number, currency).map_err(|error| invalid(&error))?;
    amount.minor().map_err(|error| invalid(&error))?;
    if amount.is_zero() || amount.is_negative() {
        return Err(Refusal::Invalid(format!("{field}: must be more than 0")));
    }
    Ok(amount)
}
