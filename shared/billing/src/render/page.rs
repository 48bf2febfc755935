//! What stands on a document, before it has a form.

use super::{
    Language,
    labels::{self, Word},
};
use crate::{invoice::Invoice, money::Money, note::CreditNote, statement::Statement};

/// A document: some facts, a table, and sums.
pub(super) struct Page {
    pub(super) title: String,
    pub(super) facts: Vec<(&'static str, String)>,
    /// Each with whether its column is of numbers.
    pub(super) columns: Vec<(&'static str, bool)>,
    pub(super) rows: Vec<Vec<String>>,
    pub(super) sums: Vec<(String, String)>,
}

pub(super) fn invoice(invoice: &Invoice, language: Language) -> Page {
    let word = |word: Word| word.text(language);
    let mut facts = vec![
        (word(Word::Number), invoice.number.clone()),
        (word(Word::Tenant), invoice.tenant.clone()),
        (word(Word::Period), format!("{} (UTC)", labels::span(&invoice.period))),
        (word(Word::Issued), invoice.issued.date()),
    ];
    if let Some(old) = &invoice.replaces {
        facts.push((word(Word::Replaces), old.clone()));
    }
    let numbers = [Word::Quantity, Word::UnitPrice, Word::Amount, Word::Discount, Word::Tax];
    let mut columns = vec![(word(Word::Line), true), (word(Word::Description), false)];
    columns.extend(numbers.map(|column| (word(column), true)));
    let row = |line: &crate::invoice::Line| {
        let price = line.unit_price.map(labels::price).unwrap_or_default();
        let quantity = labels::grouped(line.quantity);
        let head = [line.number.to_string(), labels::line(line, language), quantity, price];
        head.into_iter().chain([line.amount, line.discount, line.tax].map(|amount| amount.to_string())).collect()
    };
    let mut sums = vec![(word(Word::Subtotal).to_owned(), invoice.subtotal.to_string())];
    let minus = |amount: Money| amount.negated().to_string();
    sums.extend(invoice.discounts.iter().map(|one| (format!("{} {}", word(Word::Discount), one.coupon), minus(one.amount))));
    sums.push((word(Word::Net).to_owned(), invoice.net.to_string()));
    let tax = invoice.tax_name.as_deref().unwrap_or(word(Word::Tax));
    sums.push((format!("{tax} {}", invoice.tax_rate), invoice.tax.to_string()));
    sums.push((word(Word::Total).to_owned(), invoice.total.to_string()));
    sums.extend(invoice.credits.iter().map(|used| (format!("{} {}", word(Word::Credit), used.grant), minus(used.amount))));
    sums.push((word(Word::Due).to_owned(), invoice.due.to_string()));
    Page {
        title: format!("{} {}", word(Word::Invoice), invoice.number),
        facts,
        columns,
        rows: invoice.lines.iter().map(row).collect(),
        sums,
    }
}

pub(super) fn note(note: &CreditNote, language: Language) -> Page {
    let word = |word: Word| word.text(language);
    let facts = vec![
        (word(Word::Number), note.number.clone()),
        (word(Word::ForInvoice), note.invoice.clone()),
        (word(Word::Tenant), note.tenant.clone()),
        (word(Word::Issued), note.issued.date()),
        (word(Word::Reason), note.reason.clone()),
    ];
    let rows = note.lines.iter().map(|line| vec![line.line.to_string(), line.net.to_string(), line.tax.to_string()]);
    let sums = [(Word::Net, note.net), (Word::Tax, note.tax), (Word::Total, note.total)];
    Page {
        title: format!("{} {}", word(Word::CreditNote), note.number),
        facts,
        columns: [Word::Line, Word::Net, Word::Tax].map(|column| (word(column), true)).into(),
        rows: rows.collect(),
        sums: sums.map(|(label, amount)| (word(label).to_owned(), amount.to_string())).into(),
    }
}

pub(super) fn statement(statement: &Statement, language: Language) -> Page {
    let word = |word: Word| word.text(language);
    let facts = vec![
        (word(Word::Number), statement.number.clone()),
        (word(Word::Partner), statement.partner.clone()),
        (word(Word::Period), format!("{} (UTC)", labels::span(&statement.period))),
    ];
    let mut columns = vec![(word(Word::Model), false), (word(Word::Unit), false)];
    columns.extend([Word::Quantity, Word::Gross, Word::PlatformShare, Word::Payable].map(|column| (word(column), true)));
    let row = |line: &crate::statement::StatementLine| {
        let head = [line.model.clone(), labels::unit(line.unit, language).to_owned(), labels::grouped(line.quantity)];
        head.into_iter().chain([line.gross, line.platform, line.payable].map(|amount| amount.to_string())).collect()
    };
    let sums = [
        (Word::Opening, statement.opening),
        (Word::Earned, statement.earned),
        (Word::Paid, statement.paid.negated()),
        (Word::Closing, statement.closing),
    ];
    Page {
        title: format!("{} {}", word(Word::Statement), statement.number),
        facts,
        columns,
        rows: statement.lines.iter().map(row).collect(),
        sums: sums.map(|(label, amount)| (word(label).to_owned(), amount.to_string())).into(),
    }
}
