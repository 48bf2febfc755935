//! Credit notes.

use std::collections::BTreeMap;

use sqlx::{AnyConnection, AssertSqlSafe, Row as _, any::AnyRow};
use torchmesh_billing::{BillingError, CreditNote, Heading, Money};

use super::{books, check_id, draw, invoices};
use crate::{
    access::Asker,
    error::{Refusal, Result},
    secrets,
    store::{Change, Store, Told},
    webhooks::{self, Event},
};

/// The longest reason.
const LONGEST: usize = 500;

/// A credit note that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptNote {
    /// Whose it is.
    pub tenant_id: String,
    /// The note.
    pub note: CreditNote,
    /// Its JSON, byte for byte.
    pub content: String,
    /// As whoever asked named it, and what was asked for.
    id: String,
    asked: String,
}

/// What is to be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewNote<'a> {
    /// Chosen by whoever asks.
    pub id: &'a str,
    /// Lines of the invoice, and how much of each one's net; all that is left when empty.
    pub lines: &'a [(u32, String)],
    /// Why.
    pub reason: &'a str,
}

const SELECTED: &str = "SELECT tenant_id, id, asked, content FROM credit_notes";

fn read(row: &AnyRow) -> Result<KeptNote> {
    let content: String = row.try_get("content")?;
    let note = serde_json::from_str(&content)?;
    Ok(KeptNote { tenant_id: row.try_get("tenant_id")?, note, content, id: row.try_get("id")?, asked: row.try_get("asked")? })
}

/// Those of an invoice, in the order of their numbers.
pub(super) async fn of_invoice(connection: &mut AnyConnection, invoice: &str) -> Result<Vec<KeptNote>> {
    let query = sqlx::query(AssertSqlSafe(format!("{SELECTED} WHERE invoice = $1 ORDER BY number"))).bind(invoice.to_owned());
    query.fetch_all(connection).await?.iter().map(read).collect()
}

/// The note of this number.
pub(super) async fn by_number(connection: &mut AnyConnection, number: &str) -> Result<Option<KeptNote>> {
    let query = sqlx::query(AssertSqlSafe(format!("{SELECTED} WHERE number = $1"))).bind(number.to_owned());
    query.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// The note of this number, if whoever asks may see it.
pub async fn find(store: &Store, asker: &Asker, number: &str) -> Result<KeptNote> {
    let mut connection = store.reads()?.acquire().await?;
    let found = by_number(&mut connection, number).await?.filter(|found| asker.sees(&found.tenant_id));
    found.ok_or_else(|| Refusal::Absent("there is no such credit note".to_owned()))
}

/// Gives lines of an invoice back.
pub async fn credit(store: &Store, asker: &Asker, number: &str, new: NewNote<'_>, now: i64) -> Result<CreditNote> {
    let seen = invoices::find(store, asker, number).await?;
    asker.is_operator()?;
    check_id("id", new.id)?;
    if new.reason.trim().is_empty() || new.reason.len() > LONGEST || new.reason.chars().any(char::is_control) {
        return Err(Refusal::Invalid(format!("reason: must say why, in at most {LONGEST} characters")));
    }
    let mut give = BTreeMap::new();
    for (line, net) in new.lines {
        let net = Money::parse_in(net, seen.invoice.currency).map_err(|error| Refusal::Invalid(format!("lines: {error}")))?;
        if give.insert(*line, net).is_some() {
            return Err(Refusal::Invalid(format!("lines: line {line} is there twice")));
        }
    }
    let asked = serde_json::to_string(&(&give, new.reason))?;
    let mut change = Change::begin(store, asker, now).await?;
    let kept = invoices::by_number(change.connection(), number).await?.ok_or_else(invoices::absent)?;
    if let Some(there) = kept.notes.iter().find(|note| note.id == new.id) {
        let used = || Refusal::Exists(format!("id: {:?} was used for another note of this invoice; choose another", new.id));
        return if there.asked == asked { Ok(there.note.clone()) } else { Err(used()) };
    }
    if let Some(newer) = &kept.replaced_by {
        return Err(Refusal::State(format!("the invoice {number} was replaced by {newer}; give back what is wrong there")));
    }
    let at = books::next_moment(&mut change, &kept.tenant_id).await?;
    let sequence = draw::next(&mut change, "credit note").await?;
    let heading = Heading { number: &format!("CN-{sequence:06}"), issued: at, reason: new.reason };
    let earlier: Vec<CreditNote> = kept.notes.iter().map(|kept| kept.note.clone()).collect();
    let note = if give.is_empty() {
        CreditNote::whole(&kept.invoice, &earlier, heading)?
    } else {
        CreditNote::new(&kept.invoice, &earlier, heading, &give).map_err(|error| of_lines(&error))?
    };
    if note.lines.is_empty() {
        return Err(Refusal::State(format!("nothing of the invoice {number} is left to be given back")));
    }
    let row = "INSERT INTO credit_notes (number, tenant_id, invoice, id, asked, content, sha256) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let content = note.to_json()?;
    let row = sqlx::query(row).bind(note.number.clone()).bind(kept.tenant_id.clone()).bind(number.to_owned()).bind(new.id.to_owned());
    row.bind(asked).bind(content.clone()).bind(secrets::hash(&content)).execute(change.connection()).await?;
    if let Some(entry) = note.entry()? {
        books::post(&mut change, &kept.tenant_id, &entry).await?;
    }
    webhooks::happened(&mut change, &kept.tenant_id, &Event::note(&note)).await?;
    let detail = format!("{} {} of {number}: {}", note.number, note.total, note.reason);
    change.commit(Told { tenant_id: &kept.tenant_id, subject: &note.number, what: "credit note issued", detail: &detail }).await?;
    Ok(note)
}

/// Why lines cannot be given back: what is left of one is a matter of the invoice's state, all else of what was asked.
fn of_lines(error: &BillingError) -> Refusal {
    match error {
        BillingError::OverCredited { .. } => Refusal::State(format!("lines: {error}")),
        _ => Refusal::Invalid(format!("lines: {error}")),
    }
}
