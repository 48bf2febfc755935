//! Writes down what a bank's file says: each line once, by its id.

use std::{fs, path::Path};

use serde::Serialize;
use tonic::{Code, Status};
use torchmesh_api::accounts::v1::{self as api, Money, PaymentKind};

use super::{
    Accounts,
    bank_file::{self, Paid},
    refused,
};
use crate::{
    error::{FAILED, Failure, Result, USAGE},
    output::{Screen, table},
};

#[derive(Serialize)]
struct Booked {
    line: usize,
    id: String,
    invoice: String,
    tenant: String,
    amount: String,
}

#[derive(Serialize)]
struct Left {
    line: usize,
    reason: String,
}

#[derive(Serialize, Default)]
struct Report {
    dry_run: bool,
    booked: Vec<Booked>,
    left: Vec<Left>,
}

/// Reads the file, and writes down every line that can be; fails when one cannot.
pub(super) async fn import(accounts: &Accounts, file: &Path, dry_run: bool, screen: &Screen) -> Result<()> {
    let bytes = fs::read(file).map_err(|error| Failure::file("read", file, &error))?;
    let lines = bank_file::read(&bytes).map_err(|why| Failure::new(USAGE, format!("{}: {why}", file.display())))?;
    let mut report = Report { dry_run, ..Report::default() };
    for (line, said) in lines {
        let done = match said {
            Ok(paid) => book(accounts, line, paid, dry_run).await?,
            Err(reason) => Err(reason),
        };
        match done {
            Ok(booked) => report.booked.push(booked),
            Err(reason) => report.left.push(Left { line, reason }),
        }
    }
    let row = |booked: &Booked| {
        [booked.line.to_string(), booked.id.clone(), booked.tenant.clone(), booked.invoice.clone(), booked.amount.clone()]
    };
    screen.show(&report, || table(["line", "id", "tenant", "invoice", "amount"], report.booked.iter().map(row)))?;
    for Left { line, reason } in &report.left {
        screen.warn(&format!("line {line}: {reason}"));
    }
    if report.left.is_empty() {
        return Ok(());
    }
    let (left, all) = (report.left.len(), report.left.len() + report.booked.len());
    let what = if dry_run { "would not be written down" } else { "were not written down" };
    Err(Failure::new(FAILED, format!("{left} of {all} lines {what}; the others can be imported again without harm")))
}

/// Writes a line down, or says why it cannot be.
///
/// Error: no line can be.
async fn book(accounts: &Accounts, line: usize, paid: Paid, dry_run: bool) -> Result<std::result::Result<Booked, String>> {
    let asked = api::GetInvoiceRequest { number: paid.invoice.clone(), ..Default::default() };
    let invoice = match accounts.billing().get_invoice(accounts.request(asked)).await {
        Ok(told) => told.into_inner().invoice.unwrap_or_default(),
        Err(status) => return of_line(status, &format!("reference: {}: ", paid.invoice)),
    };
    if invoice.currency != paid.currency {
        return Ok(Err(format!("currency: {} is in {}", paid.invoice, invoice.currency)));
    }
    if !dry_run {
        let amount = Some(Money { amount: paid.amount.clone(), currency: paid.currency.clone() });
        let (tenant, id, kind) = (invoice.tenant_id.clone(), paid.id.clone(), PaymentKind::Received.into());
        let asked = api::RecordPaymentRequest { tenant, id, kind, amount };
        if let Err(status) = accounts.billing().record_payment(accounts.request(asked)).await {
            return of_line(status, "");
        }
    }
    let amount = format!("{} {}", paid.amount, paid.currency);
    Ok(Ok(Booked { line, id: paid.id, invoice: paid.invoice, tenant: invoice.tenant_id, amount }))
}

/// What is refused of one line, and what of all of them.
fn of_line<T>(status: Status, what: &str) -> Result<std::result::Result<T, String>> {
    match status.code() {
        Code::InvalidArgument | Code::NotFound | Code::AlreadyExists | Code::Aborted => Ok(Err(format!("{what}{}", status.message()))),
        _ => Err(refused(status)),
    }
}
