//! Credit, payments, budgets and the ledger.

use serde::Serialize;
use torchmesh_api::accounts::v1::{self as api, Money, PaymentKind};

use super::{Accounts, import::import, moment, refused, shown};
use crate::{
    cli::{BudgetCommand, CreditCommand, PaymentArgs, PaymentCommand},
    error::Result,
    output::{Screen, table},
};

/// An amount in the currency that everything is billed in.
fn amount(text: &str) -> Money {
    Money { amount: text.to_owned(), currency: String::new() }
}

#[derive(Serialize)]
struct Credit {
    id: String,
    amount: String,
    left: String,
    bought: bool,
    granted: String,
    expires: String,
}

impl From<api::Credit> for Credit {
    fn from(told: api::Credit) -> Self {
        Self {
            amount: shown(told.amount.as_ref()),
            left: shown(told.left.as_ref()),
            bought: told.bought,
            granted: moment(told.granted_unix_ms),
            expires: moment(told.expires_unix_ms),
            id: told.id,
        }
    }
}

#[derive(Serialize)]
struct Balance {
    owed: String,
    credit_left: String,
    partner_payable: String,
    credits: Vec<Credit>,
}

/// Adds credit, and shows what is left.
pub(crate) async fn credits(accounts: &Accounts, command: &CreditCommand, screen: &Screen) -> Result<()> {
    match command {
        CreditCommand::Add { tenant, amount: said, id, given, expires } => {
            let asked = api::AddCreditRequest {
                tenant: tenant.clone(),
                id: id.clone(),
                amount: Some(amount(said)),
                bought: !given,
                expires_unix_ms: expires.unwrap_or_default(),
            };
            let told = accounts.billing().add_credit(accounts.request(asked)).await.map_err(refused)?.into_inner();
            let credit = Credit::from(told.credit.unwrap_or_default());
            screen.show(&credit, || format!("{} has {} left of {}", credit.id, credit.left, credit.amount))
        }
        CreditCommand::Show { tenant } => {
            let asked = accounts.request(api::GetBalanceRequest { tenant: tenant.clone() });
            let told = accounts.billing().get_balance(asked).await.map_err(refused)?.into_inner();
            let balance = Balance {
                owed: shown(told.owed.as_ref()),
                credit_left: shown(told.credit_left.as_ref()),
                partner_payable: shown(told.partner_payable.as_ref()),
                credits: told.credits.into_iter().map(Credit::from).collect(),
            };
            let row = |credit: &Credit| [&credit.id, &credit.left, &credit.amount, &credit.expires].map(Clone::clone);
            screen.show(&balance, || {
                let credits = table(["credit", "left", "of", "expires"], balance.credits.iter().map(row));
                format!(
                    "owes {}, has {} of credit, is owed {} as a partner\n\n{credits}",
                    balance.owed, balance.credit_left, balance.partner_payable
                )
            })
        }
    }
}

#[derive(Serialize)]
struct Entry {
    id: String,
    time: String,
    what: String,
    about: String,
    postings: Vec<Posting>,
}

#[derive(Serialize)]
struct Posting {
    account: String,
    amount: String,
}

impl From<api::LedgerEntry> for Entry {
    fn from(told: api::LedgerEntry) -> Self {
        let posting = |posting: api::LedgerPosting| Posting { amount: shown(posting.amount.as_ref()), account: posting.account };
        let postings = told.postings.into_iter().map(posting).collect();
        Self { id: told.id, time: moment(told.time_unix_ms), what: told.what, about: told.about, postings }
    }
}

/// Writes down that money came or went.
pub(crate) async fn payment(accounts: &Accounts, args: &PaymentArgs, screen: &Screen) -> Result<()> {
    if let Some(PaymentCommand::Import { file, dry_run }) = &args.many {
        return import(accounts, file, *dry_run, screen).await;
    }
    let kind = match (args.refund, args.to_partner) {
        (true, _) => PaymentKind::Refunded,
        (_, true) => PaymentKind::PartnerPaid,
        _ => PaymentKind::Received,
    };
    let [tenant, id, said] = [&args.tenant, &args.id, &args.amount].map(|text| text.clone().unwrap_or_default());
    let asked = api::RecordPaymentRequest { tenant, id, kind: kind.into(), amount: Some(amount(&said)) };
    let told = accounts.billing().record_payment(accounts.request(asked)).await.map_err(refused)?.into_inner();
    let entry = Entry::from(told.entry.unwrap_or_default());
    screen.show(&entry, || format!("{} is in the ledger", entry.id))
}

/// Lists the ledger, the newest entry first.
pub(crate) async fn ledger(accounts: &Accounts, tenant: Option<&str>, screen: &Screen) -> Result<()> {
    let (mut entries, mut page_token) = (Vec::<Entry>::new(), String::new());
    loop {
        let tenant = tenant.unwrap_or_default().to_owned();
        let asked = accounts.request(api::ListLedgerRequest { tenant, page_size: 1000, page_token });
        let page = accounts.billing().list_ledger(asked).await.map_err(refused)?.into_inner();
        entries.extend(page.entries.into_iter().map(Entry::from));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let rows = entries.iter().flat_map(|entry| {
        let row = |posting: &Posting| [entry.time.clone(), entry.id.clone(), posting.account.clone(), posting.amount.clone()];
        entry.postings.iter().map(row)
    });
    screen.show(&entries, || table(["time", "entry", "account", "amount"], rows))
}

#[derive(Serialize)]
struct Budget {
    name: String,
    limit: String,
    thresholds: Vec<u32>,
    told: Vec<u32>,
}

impl From<api::Budget> for Budget {
    fn from(told: api::Budget) -> Self {
        Self { limit: shown(told.limit.as_ref()), name: told.name, thresholds: told.thresholds, told: told.told }
    }
}

/// Sets, lists and takes away budgets.
pub(crate) async fn budgets(accounts: &Accounts, command: &BudgetCommand, screen: &Screen) -> Result<()> {
    let asked = match command {
        BudgetCommand::Set { tenant, name, limit, thresholds } => api::SetBudgetRequest {
            tenant: tenant.clone(),
            name: name.clone(),
            limit: Some(amount(limit)),
            thresholds: thresholds.clone(),
            remove: false,
        },
        BudgetCommand::Remove { tenant, name } => {
            api::SetBudgetRequest { tenant: tenant.clone(), name: name.clone(), remove: true, ..Default::default() }
        }
        BudgetCommand::List { tenant } => return list(accounts, tenant, screen).await,
    };
    let name = asked.name.clone();
    let told = accounts.billing().set_budget(accounts.request(asked)).await.map_err(refused)?.into_inner();
    let budget = told.budget.map(Budget::from);
    screen.show(&budget, || {
        budget.as_ref().map_or_else(|| format!("{name} is gone"), |budget| format!("{} is {}", budget.name, budget.limit))
    })
}

async fn list(accounts: &Accounts, tenant: &str, screen: &Screen) -> Result<()> {
    let asked = accounts.request(api::ListBudgetsRequest { tenant: tenant.to_owned() });
    let told = accounts.billing().list_budgets(asked).await.map_err(refused)?.into_inner().budgets;
    let budgets: Vec<Budget> = told.into_iter().map(Budget::from).collect();
    let percents = |percents: &[u32]| percents.iter().map(|percent| format!("{percent}%")).collect::<Vec<_>>().join(" ");
    let row = |budget: &Budget| [budget.name.clone(), budget.limit.clone(), percents(&budget.thresholds), percents(&budget.told)];
    screen.show(&budgets, || table(["budget", "limit", "at", "told"], budgets.iter().map(row)))
}
