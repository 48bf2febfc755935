//! What a partner is told: what its models brought in, and what it gets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    currency::Currency,
    error::BillingError,
    invoice::{Invoice, Item, Line, PartnerCut},
    ledger::{Account, Entry, Ledger, Posting, What},
    moment::Moment,
    money::Money,
    note::CreditNote,
    period::Period,
    unit::Unit,
};

/// How often a reversal may itself be reversed; more is a circle.
const DEEPEST_REVERSAL: usize = 64;

/// What one unit of one model brought in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementLine {
    /// Which model.
    pub model: String,
    /// Of which unit.
    pub unit: Unit,
    /// How much was used and charged, without what invoices that were taken back had charged.
    pub quantity: i128,
    /// What that came to, before discounts and tax, and without what credit notes gave back.
    pub gross: Money,
    /// What the platform keeps.
    pub platform: Money,
    /// What the partner gets.
    pub payable: Money,
}

/// A partner's statement of a period, in one currency: by the time at which invoices and notes were issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Its number.
    pub number: String,
    /// Whose it is.
    pub partner: String,
    /// In which currency.
    pub currency: Currency,
    /// For which period.
    pub period: Period,
    /// By model and unit.
    pub lines: Vec<StatementLine>,
    /// What was owed to the partner when the period began.
    pub opening: Money,
    /// The lines' payables.
    pub earned: Money,
    /// What it was paid in the period.
    pub paid: Money,
    /// What is owed to it when the period is over.
    pub closing: Money,
}

impl Statement {
    /// Its canonical form.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// All that a statement is made of. The order of invoices, notes and entries does not matter; those that are not the partner's do not count.
#[derive(Debug, Clone, Copy)]
pub struct StatementOf<'a> {
    /// The number that it gets.
    pub number: &'a str,
    /// Whose it is.
    pub partner: &'a str,
    /// In which currency.
    pub currency: Currency,
    /// For which period.
    pub period: Period,
    /// Every invoice that the ledger names in the period.
    pub invoices: &'a [Invoice],
    /// Every credit note that it names.
    pub notes: &'a [CreditNote],
    /// What was posted.
    pub ledger: &'a Ledger,
}

/// A partner's statement: the ledger says what happened in the period, and the documents what it was for.
///
/// Error: the ledger names an invoice or a note that is not there.
pub fn statement(of: &StatementOf<'_>) -> Result<Statement, BillingError> {
    let account = Account::PartnerPayable(of.partner.to_owned());
    let balance = |at: Moment| of.ledger.balance(&account, of.currency, at).map(Money::negated);
    let (opening, closing) = (balance(of.period.start)?, balance(of.period.end)?);
    let mut lines = BTreeMap::new();
    for entry in of.ledger.entries().filter(|entry| of.period.contains(entry.at())) {
        let here = |posting: &&Posting| posting.account == account && posting.amount.currency() == of.currency;
        if entry.postings().iter().any(|posting| here(&posting)) {
            document(of, entry.what(), &mut lines)?;
        }
    }
    let lines: Vec<StatementLine> = lines.into_values().collect();
    let earned = Money::sum(of.currency, lines.iter().map(|line| line.payable))?;
    Ok(Statement {
        number: of.number.to_owned(),
        partner: of.partner.to_owned(),
        currency: of.currency,
        period: of.period,
        lines,
        opening,
        earned,
        paid: opening.plus(earned)?.minus(closing)?,
        closing,
    })
}

type Lines = BTreeMap<(String, Unit), StatementLine>;

/// What an entry is about in the end, and whether it takes that back: a reversal may itself have been reversed.
fn meaning<'a>(ledger: &'a Ledger, mut what: &'a What) -> Result<(&'a What, bool), BillingError> {
    let mut back = false;
    for _ in 0..DEEPEST_REVERSAL {
        let What::Reversal(id) = what else { return Ok((what, back)) };
        what = ledger.get(id).map(Entry::what).ok_or_else(|| BillingError::Unknown { what: "entry", id: id.clone() })?;
        back = !back;
    }
    Err(BillingError::Unknown { what: "entry that is no reversal, behind", id: format!("{what:?}") })
}

/// Adds what an entry's document says, or takes it off where the entry takes it back.
fn document(of: &StatementOf<'_>, what: &What, lines: &mut Lines) -> Result<(), BillingError> {
    let (what, back) = meaning(of.ledger, what)?;
    match what {
        What::Invoice(number) => {
            let invoice = find_invoice(of, number)?;
            invoice.lines.iter().try_for_each(|line| add(of, line, line.partner.as_ref(), line.quantity.into(), back, lines))
        }
        What::CreditNote(number) => {
            let missing = || BillingError::Unknown { what: "credit note", id: number.clone() };
            let note = of.notes.iter().find(|note| note.number == *number).ok_or_else(missing)?;
            let invoice = find_invoice(of, &note.invoice)?;
            for given in &note.lines {
                let Some(line) = invoice.lines.iter().find(|line| line.number == given.line) else { continue };
                add(of, line, given.partner.as_ref(), 0, !back, lines)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn find_invoice<'a>(of: &StatementOf<'a>, number: &str) -> Result<&'a Invoice, BillingError> {
    let missing = || BillingError::Unknown { what: "invoice", id: number.to_owned() };
    of.invoices.iter().find(|invoice| invoice.number == number).ok_or_else(missing)
}

fn add(
    of: &StatementOf<'_>,
    line: &Line,
    cut: Option<&PartnerCut>,
    quantity: i128,
    back: bool,
    lines: &mut Lines,
) -> Result<(), BillingError> {
    let (Some(cut), Item::Usage { model, unit, .. }) = (cut.filter(|cut| cut.partner == of.partner), &line.item) else { return Ok(()) };
    let nothing = Money::zero(of.currency);
    let empty = StatementLine { model: model.clone(), unit: *unit, quantity: 0, gross: nothing, platform: nothing, payable: nothing };
    let sum = lines.entry((model.clone(), *unit)).or_insert(empty);
    let signed = |amount: Money| if back { amount.negated() } else { amount };
    sum.quantity += if back { -quantity } else { quantity };
    sum.platform = sum.platform.plus(signed(cut.platform))?;
    sum.payable = sum.payable.plus(signed(cut.payable))?;
    sum.gross = sum.platform.plus(sum.payable)?;
    Ok(())
}
