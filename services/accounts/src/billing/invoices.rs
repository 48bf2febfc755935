//! Invoices as they are kept. What was issued stays; what became of it is said by what came after.

use sqlx::{AnyConnection, AssertSqlSafe, Row as _, any::AnyRow};
use torchmesh_billing::{CreditNote, Invoice, render::Language, render::Look};

use super::{Billing, Profile, draw, ms, notes::KeptNote};
use crate::{
    access::Asker,
    error::{Refusal, Result},
    page::Page,
    secrets,
    store::{Change, Store},
    tenants::Tenant,
};

/// What became of an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvoiceState {
    /// It counts.
    Issued,
    /// Another one took its place.
    Replaced,
    /// Some of it was given back.
    PartlyCredited,
    /// All of it was.
    Credited,
}

/// An invoice that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its place among all.
    pub sequence: i64,
    /// Whose it is.
    pub tenant_id: String,
    /// The invoice.
    pub invoice: Invoice,
    /// Its JSON, byte for byte.
    pub content: String,
    /// The SHA-256 of that, in hexadecimal digits.
    pub sha256: String,
    /// The number of the one that took its place.
    pub replaced_by: Option<String>,
    /// What was given back of it.
    pub notes: Vec<KeptNote>,
    issuer: String,
    recipient: String,
    note: String,
}

impl Kept {
    /// What became of it.
    pub fn state(&self) -> InvoiceState {
        if self.replaced_by.is_some() {
            return InvoiceState::Replaced;
        }
        let given: Vec<CreditNote> = self.notes.iter().map(|kept| kept.note.clone()).collect();
        let heading = torchmesh_billing::Heading { number: "", issued: self.invoice.issued, reason: "" };
        match CreditNote::whole(&self.invoice, &given, heading) {
            _ if given.is_empty() => InvoiceState::Issued,
            Ok(left) if left.lines.is_empty() => InvoiceState::Credited,
            _ => InvoiceState::PartlyCredited,
        }
    }

    /// How its documents look.
    pub fn look(&self, language: Language) -> Look<'_> {
        Look { language, issuer: &self.issuer, recipient: &self.recipient, note: &self.note }
    }
}

const SELECTED: &str = "SELECT i.sequence, i.tenant_id, i.issuer, i.recipient, i.note, i.content, i.sha256, r.number AS replaced_by \
                        FROM invoices i LEFT JOIN invoices r ON r.replaces = i.number";

async fn read(connection: &mut AnyConnection, row: &AnyRow) -> Result<Kept> {
    let content: String = row.try_get("content")?;
    let invoice: Invoice = serde_json::from_str(&content)?;
    Ok(Kept {
        sequence: row.try_get("sequence")?,
        tenant_id: row.try_get("tenant_id")?,
        notes: super::notes::of_invoice(connection, &invoice.number).await?,
        invoice,
        content,
        sha256: row.try_get("sha256")?,
        replaced_by: row.try_get("replaced_by")?,
        issuer: row.try_get("issuer")?,
        recipient: row.try_get("recipient")?,
        note: row.try_get("note")?,
    })
}

/// The invoice of this number.
pub(super) async fn by_number(connection: &mut AnyConnection, number: &str) -> Result<Option<Kept>> {
    let query = sqlx::query(AssertSqlSafe(format!("{SELECTED} WHERE i.number = $1"))).bind(number.to_owned());
    let Some(row) = query.fetch_optional(&mut *connection).await? else { return Ok(None) };
    read(connection, &row).await.map(Some)
}

/// The invoice of this number, if whoever asks may see it.
pub async fn find(store: &Store, asker: &Asker, number: &str) -> Result<Kept> {
    let mut connection = store.reads()?.acquire().await?;
    let found = by_number(&mut connection, number).await?.filter(|found| asker.sees(&found.tenant_id));
    found.ok_or_else(absent)
}

/// There is no such invoice, or not for whoever asks.
pub(super) fn absent() -> Refusal {
    Refusal::Absent("there is no such invoice".to_owned())
}

/// The invoices of a tenant, the newest first.
pub async fn list(store: &Store, tenant: &Tenant, page: &Page) -> Result<Vec<Kept>> {
    let before = match page.after.as_str() {
        "" => i64::MAX,
        text => text.parse().map_err(|_| Refusal::Invalid("page_token: is not one that was given".to_owned()))?,
    };
    let mut connection = store.reads()?.acquire().await?;
    let text = format!("{SELECTED} WHERE i.tenant_id = $1 AND i.sequence < $2 ORDER BY i.sequence DESC LIMIT $3");
    let query = sqlx::query(AssertSqlSafe(text)).bind(tenant.id.clone()).bind(before).bind(page.limit());
    let mut kept = Vec::new();
    for row in query.fetch_all(&mut *connection).await? {
        kept.push(read(&mut connection, &row).await?);
    }
    Ok(kept)
}

/// A new invoice's number and place.
pub(super) async fn next_number(change: &mut Change) -> Result<(i64, String)> {
    let sequence = draw::next(change, "invoice").await?;
    Ok((sequence, format!("INV-{sequence:06}")))
}

/// Keeps an invoice, as it looks now.
pub(super) async fn keep(
    change: &mut Change,
    billing: &Billing,
    profile: &Profile,
    tenant: &Tenant,
    sequence: i64,
    invoice: &Invoice,
) -> Result<()> {
    let content = invoice.to_json()?;
    let recipient = if profile.recipient.is_empty() { &tenant.display_name } else { &profile.recipient };
    let row = "INSERT INTO invoices (number, sequence, tenant_id, start_ms, end_ms, issued_ms, replaces, issuer, recipient, note, content, sha256) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    let row = sqlx::query(row).bind(invoice.number.clone()).bind(sequence).bind(tenant.id.clone());
    let row = row.bind(ms(invoice.period.start)).bind(ms(invoice.period.end)).bind(ms(invoice.issued)).bind(invoice.replaces.clone());
    let row = row.bind(billing.settings().issuer.clone()).bind(recipient.clone()).bind(billing.settings().note.clone());
    let row = row.bind(content.clone()).bind(secrets::hash(&content));
    row.execute(change.connection()).await?;
    Ok(())
}
