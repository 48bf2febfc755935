//! Refunds, as they are told.

use serde_json::Value;
use torchmesh_billing::Money;

use super::{session::id_of, units};
use crate::payments::{GaveBack, Unread};

/// What became of a refund; none: nothing yet, or it is of no payment intent, which is none of a session's.
pub(super) fn told(refund: &Value) -> Result<Option<GaveBack>, Unread> {
    let returned = match refund["status"].as_str().ok_or(Unread::Body)? {
        "succeeded" => false,
        "failed" | "canceled" => true,
        _ => return Ok(None),
    };
    if refund["payment_intent"].is_null() {
        return Ok(None);
    }
    let read = || {
        let (id, money) = (id_of(&refund["id"])?, id_of(&refund["payment_intent"])?);
        let amount: Money = units::money(refund["currency"].as_str()?, refund["amount"].as_i64()?)?;
        Some(GaveBack { id: id.to_owned(), money: money.to_owned(), amount, returned })
    };
    read().map(Some).ok_or(Unread::Body)
}
