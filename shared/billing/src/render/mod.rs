//! Documents that people and spreadsheets read: HTML, PDF and CSV. JSON is what the documents' `to_json` gives.

mod csv;
mod html;
mod labels;
mod page;
mod pdf;

use serde::{Deserialize, Serialize};

pub use csv::{invoice_csv, note_csv, statement_csv};

use crate::{error::BillingError, invoice::Invoice, note::CreditNote, statement::Statement};

/// In which language labels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Language {
    /// English.
    #[default]
    #[serde(rename = "en")]
    English,
    /// 简体中文.
    #[serde(rename = "zh-CN")]
    Chinese,
}

/// What a document says besides its figures. All of it is text and is escaped; a line break is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look<'a> {
    /// In which language.
    pub language: Language,
    /// Name, address and tax number of whoever bills.
    pub issuer: &'a str,
    /// Name and address of whoever is billed, or is paid.
    pub recipient: &'a str,
    /// What stands below: how to pay, or why there is no tax.
    pub note: &'a str,
}

/// An invoice as a page that needs nothing else: styles are in it, also those for paper.
pub fn invoice_html(invoice: &Invoice, look: &Look<'_>) -> String {
    html::write(&page::invoice(invoice, look.language), look)
}

/// A credit note as such a page.
pub fn note_html(note: &CreditNote, look: &Look<'_>) -> String {
    html::write(&page::note(note, look.language), look)
}

/// A partner's statement as such a page.
pub fn statement_html(statement: &Statement, look: &Look<'_>) -> String {
    html::write(&page::statement(statement, look.language), look)
}

/// An invoice as PDF, in the letters of Western Europe: no font is in it, and those that every reader has know no others.
///
/// Error: something in it is written in other letters, or the language is not English; print the HTML then.
pub fn invoice_pdf(invoice: &Invoice, look: &Look<'_>) -> Result<Vec<u8>, BillingError> {
    pdf::write(&page::invoice(invoice, look.language), look)
}

/// A credit note as PDF, as [`invoice_pdf`].
pub fn note_pdf(note: &CreditNote, look: &Look<'_>) -> Result<Vec<u8>, BillingError> {
    pdf::write(&page::note(note, look.language), look)
}

/// A partner's statement as PDF, as [`invoice_pdf`].
pub fn statement_pdf(statement: &Statement, look: &Look<'_>) -> Result<Vec<u8>, BillingError> {
    pdf::write(&page::statement(statement, look.language), look)
}

#[cfg(test)]
mod tests;
