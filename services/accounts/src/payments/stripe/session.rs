//! A Checkout session: as it is asked for, and as it is told.

use form_urlencoded::Serializer;
use serde_json::Value;
use torchmesh_billing::Money;

use super::{is_name, units};
use crate::payments::{Asked, Outcome, Session, Told};

/// The form of a session that is asked for; none, where Stripe takes no such amount.
pub(super) fn form(asked: &Asked, return_link: &str) -> Option<String> {
    let page =
        format!("{return_link}/console/billing/invoices/{}", form_urlencoded::byte_serialize(asked.invoice.as_bytes()).collect::<String>());
    let mut form = Serializer::new(String::new());
    form.append_pair("mode", "payment")
        .append_pair("client_reference_id", &asked.id)
        .append_pair("line_items[0][quantity]", "1")
        .append_pair("line_items[0][price_data][currency]", &asked.amount.currency().code().to_ascii_lowercase())
        .append_pair("line_items[0][price_data][unit_amount]", &units::of(asked.amount)?.to_string())
        .append_pair("line_items[0][price_data][product_data][name]", &format!("Invoice {}", asked.invoice))
        .append_pair("metadata[invoice]", &asked.invoice)
        .append_pair("metadata[tenant]", &asked.tenant_id)
        .append_pair("metadata[payment]", &asked.id)
        .append_pair("success_url", &format!("{page}?told=paying"))
        .append_pair("cancel_url", &page);
    Some(form.finish())
}

/// A session that was begun.
pub(super) fn begun(told: &Value) -> Option<Session> {
    let (id, url) = (told["id"].as_str().filter(|id| is_name(id))?, told["url"].as_str()?);
    // The browser is sent there.
    let is_page = reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "https" | "http"));
    is_page.then(|| Session { id: id.to_owned(), url: url.to_owned() })
}

/// What became of a session.
pub(super) fn told(session: &Value) -> Option<Told> {
    let outcome = match (session["status"].as_str()?, session["payment_status"].as_str()?) {
        ("complete", "paid") => paid(session)?,
        ("complete", "unpaid") => Outcome::Waiting,
        ("open", _) => Outcome::Open,
        ("expired", _) => Outcome::Expired,
        _ => return None,
    };
    about(session, outcome)
}

/// The id of something that may be told whole, as it can be an entry's.
pub(super) fn id_of(told: &Value) -> Option<&str> {
    told.as_str().or_else(|| told["id"].as_str()).filter(|id| id.len() <= 64 && is_name(id))
}

/// The money of a session.
pub(super) fn paid(session: &Value) -> Option<Outcome> {
    let id = id_of(&session["payment_intent"])?;
    let amount: Money = units::money(session["currency"].as_str()?, session["amount_total"].as_i64()?)?;
    Some(Outcome::Paid { id: id.to_owned(), amount })
}

/// Whether a session was begun here: an account may have others, of any form.
pub(super) fn is_ours(session: &Value) -> bool {
    session["metadata"]["payment"].as_str().is_some_and(|id| session["client_reference_id"].as_str() == Some(id))
}

/// An outcome of the payment that a session is of.
pub(super) fn about(session: &Value, outcome: Outcome) -> Option<Told> {
    session["id"].as_str()?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some(Told { payment: text(&session["client_reference_id"]), tenant_id: text(&session["metadata"]["tenant"]), outcome })
}
