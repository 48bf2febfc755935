//! What partners are told, month by month.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    mem,
};

use sqlx::AnyConnection;
use torchmesh_billing::{
    Account, Anchor, CreditNote, Invoice, Ledger, Moment, Period, Statement, StatementOf, ledger::What, statement as made_of,
};

use super::{Billing, books, invoices, moment, ms, notes};
use crate::{
    error::{Refusal, Result},
    page::Page,
    store::Store,
    tenants::Tenant,
};

/// What was posted for a partner, and the documents that it was posted for.
struct Told {
    ledger: Ledger,
    invoices: BTreeMap<String, Invoice>,
    notes: BTreeMap<String, CreditNote>,
}

impl Told {
    async fn open(connection: &mut AnyConnection, partner: &str) -> Result<Self> {
        let ledger = books::of_account(connection, &Account::PartnerPayable(partner.to_owned())).await?;
        Ok(Self { ledger, invoices: BTreeMap::new(), notes: BTreeMap::new() })
    }

    /// Fetches the documents behind the entries of a period, those that are taken back in it among them, and lets go of all others: a year's would be a lot.
    async fn fetch(&mut self, connection: &mut AnyConnection, period: &Period) -> Result<()> {
        self.invoices.clear();
        self.notes.clear();
        let mut open: Vec<What> =
            self.ledger.entries().filter(|entry| period.contains(entry.at())).map(|entry| entry.what().clone()).collect();
        while let Some(what) = open.pop() {
            match what {
                What::Invoice(number) => self.fetch_invoice(&mut *connection, number).await?,
                What::CreditNote(number) if !self.notes.contains_key(&number) => {
                    let kept = notes::by_number(&mut *connection, &number).await?.ok_or(Refusal::Fault)?;
                    self.fetch_invoice(&mut *connection, kept.note.invoice.clone()).await?;
                    self.notes.insert(number, kept.note);
                }
                // An entry is older than what takes it back: this comes to an end.
                What::Reversal(id) => open.extend(self.ledger.get(&id).map(|entry| entry.what().clone())),
                _ => {}
            }
        }
        Ok(())
    }

    async fn fetch_invoice(&mut self, connection: &mut AnyConnection, number: String) -> Result<()> {
        if let Entry::Vacant(place) = self.invoices.entry(number) {
            let kept = invoices::by_number(connection, place.key()).await?.ok_or(Refusal::Fault)?;
            place.insert(kept.invoice);
        }
        Ok(())
    }

    async fn statement(
        &mut self,
        connection: &mut AnyConnection,
        of: (&str, torchmesh_billing::Currency),
        period: Period,
    ) -> Result<Statement> {
        self.fetch(connection, &period).await?;
        let (partner, currency) = of;
        let (invoices, notes): (Vec<_>, Vec<_>) =
            (mem::take(&mut self.invoices).into_values().collect(), mem::take(&mut self.notes).into_values().collect());
        let month = period.start.date();
        let number = format!("ST-{partner}-{}", month.get(..7).unwrap_or(&month));
        let of = StatementOf { number: &number, partner, currency, period, invoices: &invoices, notes: &notes, ledger: &self.ledger };
        Ok(made_of(&of)?)
    }
}

/// A partner's statement of the month that a moment is in; of one that is not over, as far as it has come.
pub async fn statement(billing: &Billing, store: &Store, tenant: &Tenant, at_ms: i64) -> Result<Statement> {
    let mut connection = store.reads()?.acquire().await?;
    let sold = billing.sold(&mut connection).await?;
    if at_ms <= 0 {
        return Err(Refusal::Invalid("month_unix_ms: must be a time in the month".to_owned()));
    }
    let period = Anchor::Calendar.period(moment(at_ms)?)?;
    let mut told = Told::open(&mut connection, &tenant.name).await?;
    told.statement(&mut connection, (&tenant.name, sold.currency), period).await
}

/// The statements of a partner, the newest first; none of who is no partner. Gives the next page's token, too.
pub async fn list(billing: &Billing, store: &Store, tenant: &Tenant, page: &Page, now: i64) -> Result<(Vec<Statement>, String)> {
    let mut connection = store.reads()?.acquire().await?;
    let sold = billing.sold(&mut connection).await?;
    let mut told = Told::open(&mut connection, &tenant.name).await?;
    let Some(first) = told.ledger.entries().next().map(torchmesh_billing::Entry::at) else { return Ok((Vec::new(), String::new())) };
    let wrong = || Refusal::Invalid("page_token: is not one that was given".to_owned());
    let mut at = match page.after.as_str() {
        "" => moment(now)?,
        text => moment(text.parse::<i64>().ok().filter(|at| *at > 0).ok_or_else(wrong)?)?.earlier(1),
    };
    let mut statements = Vec::new();
    while at >= first {
        let period = Anchor::Calendar.period(at)?;
        statements.push(told.statement(&mut connection, (&tenant.name, sold.currency), period).await?);
        if period.start == Moment::FIRST {
            break;
        }
        if i64::try_from(statements.len()).unwrap_or(i64::MAX) == page.size {
            let more = period.start > first;
            return Ok((statements, if more { ms(period.start).to_string() } else { String::new() }));
        }
        at = period.start.earlier(1);
    }
    Ok((statements, String::new()))
}
