//! Twelve months of whatever may happen, in both databases: the same documents to the byte, and books that balance.

use std::{fs, path::Path, time::Duration};

use fastrand::Rng;
use torchmesh_accounts::{
    access::Asker,
    billing::{
        self, Billing, BillingSettings, NewCredit, NewNote, NewProfile, Payment, PaymentKind, Wanted, find_invoice, ledger, list_invoices,
    },
    page::Page,
    store::{DatabaseSettings, Kind, Store},
    tenants::{self, Tenant},
    usage,
};
use torchmesh_api::usage::v1::{Units, UsageEvent};
use torchmesh_billing::When;
use torchmesh_tests::{bounded_by, postgres::Postgres};

use super::{SOLD, first_of};

const DAY: i64 = 86_400_000;
const TENANTS: [&str; 4] = ["acme", "bolt", "cube", "labs"];
const PLANS: [&str; 4] = ["pro", "payg", "free", "partner"];

/// All documents of a year, and how the ledger stands.
#[derive(Debug, PartialEq, Eq)]
struct Year {
    documents: Vec<String>,
    entries: Vec<String>,
}

struct Life {
    store: Store,
    billing: Billing,
    tenants: Vec<Tenant>,
    rng: Rng,
    count: u64,
}

impl Life {
    async fn begin(folder: &Path, database: DatabaseSettings, seed: u64) -> Self {
        let store = Store::new(&database).unwrap();
        store.open().await.unwrap();
        fs::write(folder.join("billing.toml"), SOLD).unwrap();
        let settings = BillingSettings {
            file: Some(folder.join("billing.toml")),
            issuer: "Torchmesh Ltd".into(),
            note: String::new(),
            self_service: false,
            check_every: Duration::from_secs(60),
            issue_after: None,
        };
        let (billing, mut tenants) = (Billing::new(settings), Vec::new());
        billing.take_over(&store, first_of(1)).await.unwrap();
        for (number, name) in TENANTS.into_iter().enumerate() {
            let new = tenants::New { name, display_name: "", models: None };
            let tenant = tenants::create(&store, &Asker::Operator, new, first_of(1)).await.unwrap();
            let profile = NewProfile {
                tax_name: Some("VAT".into()),
                tax_rate: Some("19%".into()),
                from_sign_up: Some(number % 2 == 1),
                prepaid: Some(number == 0),
                recipient: None,
            };
            billing::update_profile(&store, &Asker::Operator, &tenant, profile, first_of(1)).await.unwrap();
            tenants.push(tenant);
        }
        Self { store, billing, tenants, rng: Rng::with_seed(seed), count: 0 }
    }

    fn id(&mut self) -> String {
        self.count += 1;
        format!("x{}", self.count)
    }

    /// Lives through a year from the first of January on: what cannot be is refused and has not happened, in both databases alike.
    async fn live(&mut self) -> Vec<String> {
        let mut refused = Vec::new();
        for day in 0..365_i64 {
            let now = first_of(1) + day * DAY + self.rng.i64(0..DAY / 2);
            for at in 0..self.tenants.len() {
                let tenant = self.tenants[at].clone();
                self.use_some(&tenant, now).await;
                if self.rng.u8(0..12) == 0 {
                    refused.push(self.deed(&tenant, now).await);
                }
            }
            if day % 10 == 5 {
                self.close(now + DAY / 2).await;
            }
        }
        self.close(first_of(1) + 400 * DAY).await;
        refused
    }

    async fn close(&mut self, now: i64) {
        for tenant in self.tenants.clone() {
            billing::issue(&self.billing, &self.store, &Asker::Operator, &tenant, 0, now).await.unwrap();
            billing::check_stops(&self.billing, &self.store, &tenant, now).await.unwrap();
        }
    }

    async fn use_some(&mut self, tenant: &Tenant, now: i64) {
        let calls = self.rng.u64(0..4);
        let mut events = Vec::new();
        for _ in 0..calls {
            self.count += 1;
            let units = Units { prompt_tokens: self.rng.u64(0..9000), completion_tokens: self.rng.u64(0..900), ..Default::default() };
            events.push(UsageEvent {
                id: u128::from(self.count).to_be_bytes().to_vec(),
                time_unix_ms: (now + self.rng.i64(0..DAY / 2)).unsigned_abs(),
                tenant: tenant.name.clone(),
                model: (*self.rng.choice(&["text", "image", "labs-7b"]).unwrap()).into(),
                code: *self.rng.choice(&[0, 0, 1, 13]).unwrap(),
                units: Some(units),
                ..Default::default()
            });
        }
        usage::record(&self.store, &events).await.unwrap();
    }

    /// Something; says what became of it.
    async fn deed(&mut self, tenant: &Tenant, now: i64) -> String {
        let (operator, id, cents) = (&Asker::Operator, self.id(), format!("{}.{:02}", self.rng.u8(1..90), self.rng.u8(0..100)));
        let (deed, when) = (self.rng.u8(0..12), if self.rng.bool() { When::Now } else { When::PeriodEnd });
        let (billing, store) = (&self.billing, &self.store);
        let done = match deed {
            0..4 => {
                let (plan, seats) = (PLANS[self.rng.usize(0..PLANS.len())], self.rng.u32(0..4));
                billing::subscribe(billing, store, operator, tenant, Wanted { plan, seats, when, at_ms: 0, trial_until_ms: 0 }, now).await
            }
            4 => billing::cancel(billing, store, operator, tenant, when, 0, now).await,
            5 => billing::redeem(billing, store, operator, tenant, "TENTH", now).await,
            6 | 7 => {
                let expires_ms = if self.rng.bool() { now + self.rng.i64(5..90) * DAY } else { 0 };
                let new = NewCredit { id: &id, amount: (&cents, ""), bought: self.rng.bool(), expires_ms };
                billing::add_credit(billing, store, operator, tenant, new, now).await.map(|_| ())
            }
            8 | 9 => {
                let kind = *self.rng.choice(&[PaymentKind::Received, PaymentKind::Refunded, PaymentKind::PartnerPaid]).unwrap();
                billing::pay(billing, store, operator, tenant, Payment { id: &id, kind, amount: (&cents, "") }, now).await.map(|_| ())
            }
            _ => {
                let Some(number) = last_invoice(store, tenant).await else { return String::new() };
                if deed == 10 {
                    billing::reissue(billing, store, operator, &number, now).await.map(|_| ())
                } else {
                    let line = [(1, format!("0.{:02}", self.rng.u8(1..60)))];
                    let lines: &[(u32, String)] = if self.rng.bool() { &line } else { &[] };
                    billing::credit(store, operator, &number, NewNote { id: &id, lines, reason: "goodwill" }, now).await.map(|_| ())
                }
            }
        };
        format!("{deed} {:?}", done.err())
    }

    async fn told(&self) -> Year {
        let (mut documents, mut entries) = (Vec::new(), Vec::new());
        for tenant in &self.tenants {
            let page = Page::of(1000, "").unwrap();
            for kept in list_invoices(&self.store, tenant, &page).await.unwrap() {
                let again = find_invoice(&self.store, &Asker::Operator, &kept.invoice.number).await.unwrap();
                documents.push(format!("{} {:?} {}", again.content, again.state(), again.sha256));
                documents.extend(again.notes.iter().map(|note| note.content.clone()));
            }
            let (statements, _) = billing::statements(&self.billing, &self.store, tenant, &page, first_of(1) + 400 * DAY).await.unwrap();
            documents.extend(statements.iter().map(|made| made.to_json().unwrap()));
            let balance = billing::balance(&self.billing, &self.store, tenant).await.unwrap();
            documents.push(format!("{} {} {}", balance.owed, balance.credit_left, balance.partner_payable));
        }
        let mut after = String::new();
        loop {
            let page = Page::of(1000, &after).unwrap();
            let mut posted = ledger(&self.store, None, &page).await.unwrap();
            after = page.cut(&mut posted, |posted| posted.sequence.to_string());
            entries.extend(posted.iter().map(|posted| format!("{} {:?}", posted.sequence, posted.entry)));
            if after.is_empty() {
                return Year { documents, entries };
            }
        }
    }
}

async fn last_invoice(store: &Store, tenant: &Tenant) -> Option<String> {
    let page = Page::of(1, "").unwrap();
    list_invoices(store, tenant, &page).await.unwrap().first().map(|kept| kept.invoice.number.clone())
}

async fn year(database: DatabaseSettings, seed: u64) -> (Vec<String>, Year) {
    let folder = tempfile::tempdir().unwrap();
    let mut life = Life::begin(folder.path(), database, seed).await;
    let refused = life.live().await;
    (refused, life.told().await)
}

#[test]
fn a_year_of_whatever_may_happen_is_billed_the_same_to_the_byte_in_both_databases_and_the_books_balance() {
    bounded_by(Duration::from_secs(400), async {
        for seed in [1, 2] {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite:{}", folder.path().join("accounts.db").display());
            let sqlite = DatabaseSettings { kind: Kind::Sqlite, url, password_file: None, max_connections: 2 };
            let server = Postgres::start().await;
            let postgres = DatabaseSettings { kind: Kind::Postgres, url: server.url(), password_file: None, max_connections: 4 };
            let (in_sqlite, in_postgres) = tokio::join!(year(sqlite, seed), year(postgres, seed));
            assert_eq!(in_sqlite.0, in_postgres.0, "the same was refused");
            assert!(in_sqlite.1.documents.len() > 50 && in_sqlite.1.entries.len() > 50, "{:?}", in_sqlite.1.documents.len());
            assert_eq!(in_sqlite.1, in_postgres.1);
            let unbalanced =
                "SELECT count(*) FROM (SELECT entry_id FROM ledger_postings GROUP BY entry_id, currency HAVING SUM(amount_minor) <> 0) x";
            assert_eq!((server.ask(unbalanced), server.ask("SELECT SUM(amount_minor) FROM ledger_postings")), ("0".into(), "0".into()));
            let entries: usize = server.ask("SELECT count(*) FROM ledger_entries").parse().unwrap();
            assert_eq!(entries, in_sqlite.1.entries.len());
            let refused = server.refused("UPDATE invoices SET content = ''; ");
            assert!(refused.contains("never changed"), "{refused}");
        }
    });
}
