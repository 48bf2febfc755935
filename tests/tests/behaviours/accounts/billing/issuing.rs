//! Invoices of everybody, while processes die and several do the same.

use std::{collections::BTreeSet, time::Duration};

use torchmesh_api::accounts::v1::{IssueInvoicesRequest, ListLedgerRequest};
use torchmesh_tests::{
    accounts::{Accounts, Database},
    bounded_by, eventually,
    postgres::Postgres,
};

use super::{Shop, first_of};

/// Tenants, each with three months to be invoiced.
const TENANTS: usize = 40;
const ALL: usize = TENANTS * 3;
const BOUND: Duration = Duration::from_secs(200);

async fn tenants(shop: &Shop) {
    for number in 0..TENANTS {
        shop.tenant(&name(number), "pro", 4).await;
    }
}

fn name(number: usize) -> String {
    format!("tenant-{number:02}")
}

fn everybody() -> IssueInvoicesRequest {
    IssueInvoicesRequest { until_unix_ms: first_of(7), page_size: 1000, ..Default::default() }
}

fn postgres(database: &Database) -> &Postgres {
    let Database::Postgres(postgres) = database else { panic!("a server") };
    postgres
}

/// How many invoices there are.
async fn count(shop: &Shop) -> usize {
    let mut all = 0;
    for number in 0..TENANTS {
        all += shop.invoices(&name(number)).await.len();
    }
    all
}

/// Every tenant has one for each month, numbers have no gaps, and the ledger has an entry for each and sums to nothing.
async fn everybody_has_each_once(shop: &Shop) {
    let (mut numbers, mut months) = (BTreeSet::new(), [4, 5, 6].map(first_of).to_vec());
    months.reverse();
    for number in 0..TENANTS {
        let invoices = shop.invoices(&name(number)).await;
        assert_eq!(invoices.iter().map(|made| made.period.unwrap().start_unix_ms).collect::<Vec<_>>(), months, "{}", name(number));
        numbers.extend(invoices.into_iter().map(|made| made.number));
    }
    assert_eq!(numbers, (1..=ALL).map(|number| format!("INV-{number:06}")).collect());
    let asked = ListLedgerRequest { page_size: 1000, ..Default::default() };
    let entries = shop.operator().list_ledger(asked).await.unwrap().into_inner().entries;
    assert_eq!(entries.len(), ALL);
    for entry in entries {
        let cents = |posting: &torchmesh_api::accounts::v1::LedgerPosting| {
            posting.amount.as_ref().unwrap().amount.replace('.', "").parse::<i64>().unwrap()
        };
        assert_eq!(entry.postings.iter().map(cents).sum::<i64>(), 0, "{entry:?}");
    }
}

async fn survives_kills(database: &Database) {
    let mut shop = Shop::open(database, &[]).await;
    tenants(&shop).await;
    for round in 0..3 {
        let mut operator = shop.operator();
        let issuing = tokio::spawn(async move { operator.issue_invoices(everybody()).await.map(|_| ()) });
        // Some more than there were, and then the power fails.
        let some = name(round * 8 + 4);
        let begun = async || (!shop.invoices(&some).await.is_empty()).then_some(());
        eventually("some are issued", Duration::from_secs(60), begun).await;
        shop.accounts.killed_and_started().await;
        let answer = issuing.await.unwrap();
        shop.sells().await;
        let there = count(&shop).await;
        assert!(there < ALL && answer.is_err(), "the kill came in the middle: {there} of {ALL} were issued");
    }
    shop.operator().issue_invoices(everybody()).await.unwrap();
    everybody_has_each_once(&shop).await;
}

#[test]
fn each_tenant_has_each_invoice_once_though_the_accounts_are_killed_in_the_middle() {
    bounded_by(BOUND, survives_kills(&Database::Sqlite));
}

#[test]
fn each_tenant_has_each_invoice_once_in_postgresql_though_the_accounts_are_killed_in_the_middle() {
    bounded_by(BOUND, async { survives_kills(&Database::postgres().await).await });
}

#[test]
fn two_processes_that_issue_at_once_issue_each_invoice_once() {
    bounded_by(BOUND, async {
        let database = Database::postgres().await;
        let shop = Shop::open(&database, &[]).await;
        tenants(&shop).await;
        let path = shop.file.path().join("billing.toml").display().to_string();
        let other = Accounts::start(&database, &[("billing.file", &path), ("billing.issuer", "Torchmesh Ltd\nBerlin")]).await;
        let (mut one, mut two) = (shop.operator(), other.billing(torchmesh_tests::accounts::OPERATOR));
        // Neither gets on before both have begun. From then on they go through the same tenants side by side, and who comes second finds it done: that may always be the same one.
        let held = postgres(&database).hold("SELECT value FROM revision FOR UPDATE");
        let both_wait = eventually("both wait", Duration::from_secs(60), async || {
            (postgres(&database).ask("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == "2").then_some(())
        });
        let let_go = async {
            both_wait.await;
            drop(held);
        };
        let (one, two, ()) = tokio::join!(one.issue_invoices(everybody()), two.issue_invoices(everybody()), let_go);
        let issued = [one, two].map(|answer| answer.unwrap().into_inner().issued);
        let numbers: Vec<String> = issued.into_iter().flatten().map(|made| made.number).collect();
        assert_eq!((numbers.len(), numbers.iter().collect::<BTreeSet<_>>().len()), (ALL, ALL));
        everybody_has_each_once(&shop).await;
    });
}
