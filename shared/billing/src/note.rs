//! What is given back of an invoice: credit notes, and invoices that take another one's place.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    currency::Currency,
    error::BillingError,
    invoice::{Bill, Invoice, Line, PartnerCut, invoice_in_place_of},
    ledger::{Account, Entry, Ledger, What},
    moment::Moment,
    money::{Money, round_div},
};

/// What is given back of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteLine {
    /// The invoice's line.
    pub line: u32,
    /// How much of its net.
    pub net: Money,
    /// The tax on that.
    pub tax: Money,
    /// What a partner and the platform's share give back.
    pub partner: Option<PartnerCut>,
}

/// A credit note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditNote {
    /// Its number.
    pub number: String,
    /// The invoice that it is for.
    pub invoice: String,
    /// Whose it is.
    pub tenant: String,
    /// In which currency.
    pub currency: Currency,
    /// When it was issued.
    pub issued: Moment,
    /// Why.
    pub reason: String,
    /// What is given back.
    pub lines: Vec<NoteLine>,
    /// The lines' nets.
    pub net: Money,
    /// The lines' taxes.
    pub tax: Money,
    /// Net and tax.
    pub total: Money,
}

/// How a credit note is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heading<'a> {
    /// Its number.
    pub number: &'a str,
    /// When it is issued.
    pub issued: Moment,
    /// Why.
    pub reason: &'a str,
}

impl CreditNote {
    /// Gives back so much of the net of some lines, after what `earlier` notes of the same invoice gave back. Tax and partner's cut follow: of a line that is given
    /// back in parts, they sum to what the line has of them.
    ///
    /// Error: there is no such line, an amount is not more than nothing, or less is left of the line.
    pub fn new(invoice: &Invoice, earlier: &[Self], heading: Heading<'_>, give: &BTreeMap<u32, Money>) -> Result<Self, BillingError> {
        let mut lines = Vec::new();
        for (number, net) in give {
            let missing = || BillingError::Unknown { what: "line", id: number.to_string() };
            let line = invoice.lines.iter().find(|line| line.number == *number).ok_or_else(missing)?;
            let given = Given::of(invoice, earlier, line)?;
            let left = line.net.minus(given.net)?;
            net.minor()?;
            if net.is_negative() || (net.is_zero() && !line.net.is_zero()) {
                return Err(BillingError::NotPositive("a line of a credit note"));
            }
            if left.minus(*net)?.is_negative() || (line.net.is_zero() && given.any) {
                return Err(BillingError::OverCredited { line: *number, left: left.to_string(), asked: net.to_string() });
            }
            lines.push(note_line(line, &given, *net)?);
        }
        Self::of(invoice, heading, lines)
    }

    /// Gives back all that is left.
    pub fn whole(invoice: &Invoice, earlier: &[Self], heading: Heading<'_>) -> Result<Self, BillingError> {
        let mut give = BTreeMap::new();
        for line in &invoice.lines {
            let given = Given::of(invoice, earlier, line)?;
            let left = line.net.minus(given.net)?;
            let cut = line.partner.as_ref().is_some_and(|cut| !cut.payable.is_zero() || !cut.platform.is_zero());
            if !left.is_zero() || (line.net.is_zero() && cut && !given.any) {
                give.insert(line.number, left);
            }
        }
        Self::new(invoice, earlier, heading, &give)
    }

    fn of(invoice: &Invoice, heading: Heading<'_>, lines: Vec<NoteLine>) -> Result<Self, BillingError> {
        let net = Money::sum(invoice.currency, lines.iter().map(|line| line.net))?;
        let tax = Money::sum(invoice.currency, lines.iter().map(|line| line.tax))?;
        Ok(Self {
            number: heading.number.to_owned(),
            invoice: invoice.number.clone(),
            tenant: invoice.tenant.clone(),
            currency: invoice.currency,
            issued: heading.issued,
            reason: heading.reason.to_owned(),
            lines,
            net,
            tax,
            total: net.plus(tax)?,
        })
    }

    /// Its canonical form.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Its entry in the ledger: the tenant owes less, or is owed; none, where it moves nothing.
    pub fn entry(&self) -> Result<Option<Entry>, BillingError> {
        let mut postings = vec![(Account::Receivable(self.tenant.clone()), self.total.negated()), (Account::Tax, self.tax)];
        let mut revenue = self.net;
        for cut in self.lines.iter().filter_map(|line| line.partner.as_ref()) {
            revenue = revenue.minus(cut.payable)?.minus(cut.platform)?;
            postings.push((Account::PartnerPayable(cut.partner.clone()), cut.payable));
            postings.push((Account::PlatformShare, cut.platform));
        }
        postings.push((Account::Revenue, revenue));
        match Entry::new(format!("credit-note/{}", self.number), self.issued, What::CreditNote(self.number.clone()), postings) {
            Err(BillingError::EmptyEntry(_)) => Ok(None),
            made => made.map(Some),
        }
    }
}

/// What earlier notes gave back of a line.
struct Given {
    any: bool,
    net: Money,
    tax: Money,
    payable: Money,
    platform: Money,
}

impl Given {
    fn of(invoice: &Invoice, earlier: &[CreditNote], line: &Line) -> Result<Self, BillingError> {
        let notes = earlier.iter().filter(|note| note.invoice == invoice.number);
        let lines: Vec<_> = notes.flat_map(|note| &note.lines).filter(|given| given.line == line.number).collect();
        let sum = |amounts: Vec<Money>| Money::sum(invoice.currency, amounts);
        let cuts = || lines.iter().filter_map(|line| line.partner.as_ref());
        Ok(Self {
            any: !lines.is_empty(),
            net: sum(lines.iter().map(|line| line.net).collect())?,
            tax: sum(lines.iter().map(|line| line.tax).collect())?,
            payable: sum(cuts().map(|cut| cut.payable).collect())?,
            platform: sum(cuts().map(|cut| cut.platform).collect())?,
        })
    }
}

fn note_line(line: &Line, given: &Given, net: Money) -> Result<NoteLine, BillingError> {
    let reached = given.net.plus(net)?;
    let of = |whole: Money| part(whole, reached, line.net);
    let partner = match &line.partner {
        None => None,
        Some(cut) => {
            let platform = of(cut.platform)?.minus(given.platform)?;
            Some(PartnerCut { partner: cut.partner.clone(), platform, payable: of(cut.payable)?.minus(given.payable)? })
        }
    };
    Ok(NoteLine { line: line.number, net, tax: of(line.tax)?.minus(given.tax)?, partner })
}

/// As much of a whole as `reached` is of `all`, rounded half to even; all of it where `all` is nothing.
fn part(whole: Money, reached: Money, all: Money) -> Result<Money, BillingError> {
    let exact = whole.minor()?.checked_mul(reached.minor()?).ok_or(BillingError::TooLarge)?;
    round_div(exact, all.minor()?).map_or(Ok(whole), |minor| Money::from_minor(whole.currency(), minor))
}

/// An invoice that takes another one's place, because a price was wrong or use came late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reissue {
    /// Takes the old invoice's entry back, a millisecond before the new one is issued: its credits can be used again.
    pub reversal: Option<Entry>,
    /// The new invoice.
    pub invoice: Invoice,
    /// Its entry.
    pub entry: Option<Entry>,
}

/// Makes an invoice again by what is known now. Credit notes that were given for the old one stay given.
///
/// `bill` has the new number and time; its ledger has the old invoice's entry, and gets both of the new ones.
pub fn reissue(old: &Invoice, bill: &Bill<'_>) -> Result<Reissue, BillingError> {
    let at = bill.issued.earlier(1);
    let reversal = old.entry()?.map(|entry| bill.ledger.reversal(entry.id(), at)).transpose()?;
    let ledger = Ledger::of(bill.ledger.entries().cloned().chain(reversal.clone()))?;
    let invoice = invoice_in_place_of(&old.number, &Bill { ledger: &ledger, ..*bill })?;
    let entry = invoice.entry()?;
    Ok(Reissue { reversal, invoice, entry })
}
