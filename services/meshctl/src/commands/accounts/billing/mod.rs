//! What is sold, subscribed to, billed and paid.

mod bank_file;
mod import;
mod invoices;
mod money;
mod plans;

use std::io::Write as _;

use torchmesh_api::accounts::v1::{self as api, billing_service_client::BillingServiceClient};

pub(super) use invoices::{invoices, statements};
pub(super) use money::{budgets, credits, ledger, payment};
pub(super) use plans::{plans, subscribe, subscriptions};

use super::{Accounts, moment, refused};
use crate::{
    cli::{DocumentArgs, DocumentFormat},
    error::{FAILED, Failure, Result},
};

impl Accounts {
    fn billing(&self) -> BillingServiceClient<tonic::transport::Channel> {
        BillingServiceClient::new(self.channel.clone())
    }
}

/// An amount for people: `12.00 EUR`.
fn shown(amount: Option<&api::Money>) -> String {
    amount.map_or_else(|| "-".to_owned(), |amount| format!("{} {}", amount.amount, amount.currency))
}

/// The format of a document, as it is asked for.
fn format(document: &DocumentArgs) -> i32 {
    let asked = match document.format {
        None => api::DocumentFormat::Unspecified,
        Some(DocumentFormat::Json) => api::DocumentFormat::Json,
        Some(DocumentFormat::Csv) => api::DocumentFormat::Csv,
        Some(DocumentFormat::Html) => api::DocumentFormat::Html,
        Some(DocumentFormat::Pdf) => api::DocumentFormat::Pdf,
    };
    asked.into()
}

/// Prints a document as it is, for a file.
fn print(document: &api::Document) -> Result<()> {
    match std::io::stdout().write_all(&document.content) {
        // The reader has had enough (`| head`).
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(FAILED, format!("cannot write: {error}"))),
        _ => Ok(()),
    }
}
