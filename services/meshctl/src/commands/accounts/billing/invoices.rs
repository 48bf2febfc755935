//! Invoices, credit notes and statements.

use serde::Serialize;
use torchmesh_api::accounts::v1::{self as api};

use super::{Accounts, format, moment, print, refused};
use crate::{
    cli::{DocumentArgs, InvoiceCommand, StatementCommand},
    error::Result,
    output::{Screen, table},
};

#[derive(Serialize)]
struct Line {
    number: u32,
    kind: String,
    plan: String,
    model: String,
    unit: String,
    quantity: u64,
    unit_price: String,
    per: u64,
    amount: String,
    discount: String,
    net: String,
    tax: String,
}

#[derive(Serialize)]
struct Invoice {
    number: String,
    state: String,
    period_from: String,
    period_to: String,
    issued: String,
    currency: String,
    subtotal: String,
    discount: String,
    net: String,
    tax: String,
    total: String,
    credit: String,
    due: String,
    replaces: String,
    replaced_by: String,
    credit_notes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<Line>,
}

impl From<api::Invoice> for Invoice {
    fn from(told: api::Invoice) -> Self {
        let state = told.state().as_str_name().trim_start_matches("INVOICE_STATE_").to_lowercase();
        let period = told.period.unwrap_or_default();
        let line = |line: api::InvoiceLine| Line {
            number: line.number,
            kind: line.kind,
            plan: line.plan,
            model: line.model,
            unit: line.unit,
            quantity: line.quantity,
            unit_price: line.unit_price,
            per: line.per,
            amount: line.amount,
            discount: line.discount,
            net: line.net,
            tax: line.tax,
        };
        Self {
            state: if told.number.is_empty() { "preview".to_owned() } else { state },
            number: told.number,
            period_from: moment(period.start_unix_ms),
            period_to: moment(period.end_unix_ms),
            issued: moment(told.issued_unix_ms),
            currency: told.currency,
            subtotal: told.subtotal,
            discount: told.discount,
            net: told.net,
            tax: told.tax,
            total: told.total,
            credit: told.credit,
            due: told.due,
            replaces: told.replaces,
            replaced_by: told.replaced_by,
            credit_notes: told.credit_notes.into_iter().map(|note| note.number).collect(),
            lines: told.lines.into_iter().map(line).collect(),
        }
    }
}

const HEADING: [&str; 8] = ["number", "state", "from", "issued", "total", "credit", "due", "currency"];

impl Invoice {
    fn row(&self) -> [String; 8] {
        let [from, issued] = [&self.period_from, &self.issued].map(|at| at.split('T').next().unwrap_or_default().to_owned());
        let [total, credit, due] = [&self.total, &self.credit, &self.due].map(Clone::clone);
        [self.number.clone(), self.state.clone(), from, issued, total, credit, due, self.currency.clone()]
    }

    fn whole(&self) -> String {
        let row = |line: &Line| {
            let what = if line.model.is_empty() { line.kind.clone() } else { format!("{} {} {}", line.kind, line.model, line.unit) };
            let price = if line.per > 1 { format!("{} for {}", line.unit_price, line.per) } else { line.unit_price.clone() };
            [line.number.to_string(), what, line.quantity.to_string(), price, line.amount.clone(), line.net.clone(), line.tax.clone()]
        };
        let lines = table(["line", "what", "quantity", "price", "amount", "net", "tax"], self.lines.iter().map(row));
        format!("{}\n\n{lines}", table(HEADING, [self.row()]))
    }
}

fn show(told: Option<api::Invoice>, screen: &Screen) -> Result<()> {
    let invoice = Invoice::from(told.unwrap_or_default());
    screen.show(&invoice, || invoice.whole())
}

/// Issues, lists, shows, reissues and gives back invoices.
pub(crate) async fn invoices(accounts: &Accounts, command: &InvoiceCommand, screen: &Screen) -> Result<()> {
    let mut billing = accounts.billing();
    match command {
        InvoiceCommand::Issue { tenant, until } => issue(accounts, tenant.as_deref(), until.unwrap_or_default(), screen).await,
        InvoiceCommand::List { tenant } => list(accounts, tenant, screen).await,
        InvoiceCommand::Preview { tenant } => {
            let asked = accounts.request(api::PreviewInvoiceRequest { tenant: tenant.clone() });
            show(billing.preview_invoice(asked).await.map_err(refused)?.into_inner().invoice, screen)
        }
        InvoiceCommand::Show { number, document } if number.starts_with("CN-") => note(accounts, number, document, screen).await,
        InvoiceCommand::Show { number, document } => {
            let language = document.language.clone();
            let asked = api::GetInvoiceRequest { number: number.clone(), format: format(document), language };
            let told = billing.get_invoice(accounts.request(asked)).await.map_err(refused)?.into_inner();
            told.document.map_or_else(|| show(told.invoice, screen), |document| print(&document))
        }
        InvoiceCommand::Reissue { number } => {
            let asked = accounts.request(api::ReissueInvoiceRequest { number: number.clone() });
            show(billing.reissue_invoice(asked).await.map_err(refused)?.into_inner().invoice, screen)
        }
        InvoiceCommand::Credit { number, id, reason, lines } => {
            let lines = lines.iter().map(|(line, net)| api::CreditedLine { line: *line, net: net.clone() }).collect();
            let asked = api::CreditInvoiceRequest { number: number.clone(), id: id.clone(), lines, reason: reason.clone() };
            let told = billing.credit_invoice(accounts.request(asked)).await.map_err(refused)?.into_inner();
            show_note(told.credit_note.unwrap_or_default(), screen)
        }
    }
}

#[derive(Serialize)]
struct Issued {
    issued: Vec<Invoice>,
    not_issued: Vec<NotIssued>,
}

#[derive(Serialize)]
struct NotIssued {
    tenant: String,
    reason: String,
}

async fn issue(accounts: &Accounts, tenant: Option<&str>, until_unix_ms: i64, screen: &Screen) -> Result<()> {
    let (mut done, mut page_token) = (Issued { issued: Vec::new(), not_issued: Vec::new() }, String::new());
    loop {
        let tenant = tenant.unwrap_or_default().to_owned();
        let asked = accounts.request(api::IssueInvoicesRequest { tenant, until_unix_ms, page_size: 0, page_token });
        let page = accounts.billing().issue_invoices(asked).await.map_err(refused)?.into_inner();
        done.issued.extend(page.issued.into_iter().map(Invoice::from));
        done.not_issued.extend(page.not_issued.into_iter().map(|not| NotIssued { tenant: not.tenant, reason: not.reason }));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    for not in &done.not_issued {
        screen.warn(&format!("no invoice for {}: {}", not.tenant, not.reason));
    }
    screen.show(&done, || table(HEADING, done.issued.iter().map(Invoice::row)))
}

async fn list(accounts: &Accounts, tenant: &str, screen: &Screen) -> Result<()> {
    let (mut invoices, mut page_token) = (Vec::<Invoice>::new(), String::new());
    loop {
        let asked = accounts.request(api::ListInvoicesRequest { tenant: tenant.to_owned(), page_size: 1000, page_token });
        let page = accounts.billing().list_invoices(asked).await.map_err(refused)?.into_inner();
        invoices.extend(page.invoices.into_iter().map(Invoice::from));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    screen.show(&invoices, || table(HEADING, invoices.iter().map(Invoice::row)))
}

#[derive(Serialize)]
struct Note {
    number: String,
    invoice: String,
    issued: String,
    net: String,
    tax: String,
    total: String,
    currency: String,
    reason: String,
}

fn show_note(told: api::CreditNote, screen: &Screen) -> Result<()> {
    let issued = moment(told.issued_unix_ms);
    let api::CreditNote { number, invoice, net, tax, total, currency, reason, .. } = told;
    let note = Note { number, invoice, issued, net, tax, total, currency, reason };
    screen.show(&note, || format!("{} gives back {} {} of {}: {}", note.number, note.total, note.currency, note.invoice, note.reason))
}

async fn note(accounts: &Accounts, number: &str, document: &DocumentArgs, screen: &Screen) -> Result<()> {
    let asked = api::GetCreditNoteRequest { number: number.to_owned(), format: format(document), language: document.language.clone() };
    let told = accounts.billing().get_credit_note(accounts.request(asked)).await.map_err(refused)?.into_inner();
    match told.document {
        Some(document) => print(&document),
        None => show_note(told.credit_note.unwrap_or_default(), screen),
    }
}

#[derive(Serialize)]
struct Statement {
    number: String,
    from: String,
    opening: String,
    earned: String,
    paid: String,
    closing: String,
    currency: String,
}

impl From<api::Statement> for Statement {
    fn from(told: api::Statement) -> Self {
        let from = moment(told.period.unwrap_or_default().start_unix_ms);
        let api::Statement { number, currency, opening, earned, paid, closing, .. } = told;
        Self { number, from, opening, earned, paid, closing, currency }
    }
}

fn show_statements(statements: &[Statement], screen: &Screen) -> Result<()> {
    let row =
        |one: &Statement| [&one.number, &one.from, &one.opening, &one.earned, &one.paid, &one.closing, &one.currency].map(Clone::clone);
    let heading = ["number", "from", "opening", "earned", "paid", "closing", "currency"];
    screen.show(&statements, || table(heading, statements.iter().map(row)))
}

/// Lists and shows what partners are told.
pub(crate) async fn statements(accounts: &Accounts, command: &StatementCommand, screen: &Screen) -> Result<()> {
    match command {
        StatementCommand::List { tenant } => {
            let asked = accounts.request(api::ListStatementsRequest { tenant: tenant.clone(), ..Default::default() });
            let told = accounts.billing().list_statements(asked).await.map_err(refused)?.into_inner().statements;
            show_statements(&told.into_iter().map(Statement::from).collect::<Vec<_>>(), screen)
        }
        StatementCommand::Show { tenant, month, document } => {
            let (format, language) = (format(document), document.language.clone());
            let asked = api::GetStatementRequest { tenant: tenant.clone(), month_unix_ms: *month, format, language };
            let told = accounts.billing().get_statement(accounts.request(asked)).await.map_err(refused)?.into_inner();
            match told.document {
                Some(document) => print(&document),
                None => show_statements(&[Statement::from(told.statement.unwrap_or_default())], screen),
            }
        }
    }
}
