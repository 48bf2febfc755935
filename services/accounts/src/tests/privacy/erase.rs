//! What is left.

use std::{fmt::Write as _, fs, time::Duration};

use sqlx::{AssertSqlSafe, Column as _, Row as _, ValueRef as _, any::AnyTypeInfoKind};

use super::{ADA, BOB, Filled, NOW, STREET, at, call, tenant, texts, tokens, used};
use crate::{
    access::{Asker, Role},
    billing::{self, NewProfile, PaymentKind},
    error::Refusal,
    page::Page,
    people::{self, NewMember},
    privacy::{Privacy, RetentionSettings},
    store::Store,
    tenants::{self, State, Tenant},
    tests::{member, open},
    usage::{self, By, Question},
};

/// What says who acme was, or whoever was there.
const SAYS_WHO: [&str; 10] = [
    "ada@example.org",
    "bob@example.org",
    "Lovelace",
    "Analytical",
    "adas-laptop",
    "adas-phone",
    "adas-budget",
    "adas-subject",
    "198.51.100.7",
    "127.0.0.1:9",
];

/// Nothing is kept for longer than it has to.
fn at_once() -> RetentionSettings {
    RetentionSettings { invoice_recipients: Duration::ZERO, ..RetentionSettings::default() }
}

impl Filled {
    pub(super) fn privacy(&self, retention: RetentionSettings) -> Privacy {
        Privacy::new(self.store().clone(), self.shop.billing.clone(), self.outbox.clone(), retention)
    }

    async fn closed(&self) {
        tenants::update(self.store(), &Asker::Operator, "acme", Some(State::Closed), None, NOW).await.unwrap();
    }

    async fn erased(&self, retention: RetentionSettings) -> Tenant {
        self.closed().await;
        let privacy = self.privacy(retention);
        let erased = privacy.erase_tenant(&Asker::Operator, &self.shop.acme, NOW).await.unwrap();
        privacy.tidy(NOW).await.unwrap();
        erased
    }
}

/// Every text of every table.
async fn everything(store: &Store) -> String {
    let mut all = String::new();
    for table in texts(store, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\'").await {
        let rows = sqlx::query(AssertSqlSafe(format!("SELECT * FROM {table}"))).fetch_all(store.reads().unwrap()).await.unwrap();
        for row in rows {
            for column in row.columns() {
                if row.try_get_raw(column.ordinal()).unwrap().type_info().kind() == AnyTypeInfoKind::Text {
                    writeln!(all, "{table}.{}: {}", column.name(), row.try_get::<&str, _>(column.ordinal()).unwrap()).unwrap();
                }
            }
        }
    }
    all
}

fn lines<'a>(all: &'a str, wanted: &str) -> Vec<&'a str> {
    all.lines().filter(|line| line.contains(wanted)).collect()
}

/// What was used, by day and model: what bills and statistics are made of.
async fn sums(store: &Store) -> Vec<usage::Sum> {
    let question = Question {
        only: ["acme".to_owned(), String::new(), String::new()],
        by: vec![By::Day, By::Model, By::Version],
        ..Question::default()
    };
    usage::sum(store, &question, &Page::of(1000, "").unwrap()).await.unwrap().0
}

async fn books(store: &Store) -> Vec<String> {
    let mut all = texts(store, "SELECT content FROM ledger_entries ORDER BY sequence").await;
    all.extend(texts(store, "SELECT content || sha256 FROM invoices ORDER BY sequence").await);
    all.extend(texts(store, "SELECT content || sha256 FROM credit_notes ORDER BY number").await);
    all
}

#[tokio::test]
async fn nothing_in_the_database_says_who_a_tenant_was_that_was_erased_and_the_books_and_the_use_stay() {
    let filled = Filled::open().await;
    usage::record(filled.store(), &[used("2026-06-20T01:00:00Z"), call("acme", "2026-06-20T02:00:00Z", "text", 0, tokens(7, 7))])
        .await
        .unwrap();
    let before = everything(filled.store()).await;
    for says in SAYS_WHO {
        assert!(!lines(&before, says).is_empty(), "{says} is nowhere, and this test finds nothing");
    }
    let (kept, used) = (books(filled.store()).await, sums(filled.store()).await);
    let erased = filled.erased(at_once()).await;
    assert_eq!((&*erased.name, &*erased.display_name, erased.erased_ms), ("acme", "acme", Some(NOW)));
    let after = everything(filled.store()).await;
    for says in SAYS_WHO {
        assert_eq!(lines(&after, says), Vec::<&str>::new(), "{says} is still there");
    }
    assert_eq!((books(filled.store()).await, sums(filled.store()).await), (kept, used));
    let mut files: Vec<_> = fs::read_dir(filled.shop.folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
    files.extend(fs::read_dir(filled.shop.folder.path().join("outbox")).unwrap().map(|file| file.unwrap().path()));
    for path in files.iter().filter(|path| path.is_file()) {
        let bytes = fs::read(path).unwrap();
        for says in SAYS_WHO {
            assert!(!bytes.windows(says.len()).any(|part| part == says.as_bytes()), "{says} is in {}", path.display());
        }
    }
}

#[tokio::test]
async fn an_invoice_says_whom_it_was_for_as_long_as_it_has_to_be_kept_so() {
    let filled = Filled::open().await;
    filled.erased(RetentionSettings::default()).await;
    let recipients = async || texts(filled.store(), "SELECT recipient FROM invoices").await;
    assert_eq!(recipients().await, [STREET]);
    let privacy = filled.privacy(RetentionSettings::default());
    let years = |years: i64| years * 365 * 24 * 3_600_000;
    privacy.tidy(at("2026-07-01") + years(10) - 1).await.unwrap();
    assert_eq!(recipients().await, [STREET]);
    privacy.tidy(at("2026-07-01") + years(10)).await.unwrap();
    assert_eq!(recipients().await, [""]);
}

#[tokio::test]
async fn a_tenant_that_is_open_owes_something_or_has_something_to_be_invoiced_is_not_erased() {
    let filled = Filled::open().await;
    let (privacy, acme) = (filled.privacy(at_once()), &filled.shop.acme);
    let refused = async |now: &str, why: &str| {
        let refused = privacy.erase_tenant(&Asker::Operator, acme, at(now)).await;
        assert!(matches!(&refused, Err(Refusal::State(text)) if text.contains(why)), "{refused:?}");
        assert!(!lines(&everything(filled.store()).await, ADA).is_empty());
    };
    refused("2026-07-04", "the tenant is active; close it first").await;
    filled.closed().await;
    usage::record(filled.store(), &[used("2026-07-02T01:00:00Z")]).await.unwrap();
    refused("2026-07-04", "2.00 EUR of the period from 2026-07-01 to 2026-08-01 is on no invoice yet").await;
    filled.shop.issue("2026-08-01").await;
    refused("2026-08-02", "receivable/acme has a balance of").await;
    filled.shop.pay("bank-2", PaymentKind::Received, "3.00", "2026-08-03").await.unwrap();
    refused("2026-08-03", "receivable/acme has a balance of").await;
    filled.shop.pay("bank-3", PaymentKind::Refunded, "1.00", "2026-08-03").await.unwrap();
    for asker in [member(acme, Role::Owner), Asker::Anybody] {
        assert!(matches!(privacy.erase_tenant(&asker, acme, NOW).await, Err(Refusal::Denied(_))));
    }
    privacy.erase_tenant(&Asker::Operator, acme, at("2026-08-03")).await.unwrap();
}

#[tokio::test]
async fn a_tenant_is_erased_once_whoever_asks_again_or_at_once() {
    let filled = Filled::open().await;
    filled.closed().await;
    let privacy = filled.privacy(at_once());
    let erase = || privacy.erase_tenant(&Asker::Operator, &filled.shop.acme, NOW);
    let (one, other) = tokio::join!(erase(), erase());
    assert_eq!(one.unwrap(), other.unwrap());
    erase().await.unwrap();
    let told = texts(filled.store(), "SELECT what || detail FROM changes WHERE what LIKE '%erased%'").await;
    assert_eq!(told, ["tenant erased"]);
}

#[tokio::test]
async fn a_kill_before_the_calls_lost_their_keys_and_calls_that_come_late_change_nothing_in_the_end() {
    let filled = Filled::open().await;
    filled.closed().await;
    filled.privacy(at_once()).erase_tenant(&Asker::Operator, &filled.shop.acme, NOW).await.unwrap();
    assert!(!lines(&everything(filled.store()).await, "adas-laptop").is_empty(), "calls are many, and go afterwards");
    let store = open(filled.shop.folder.path()).await;
    let privacy = Privacy::new(store.clone(), filled.shop.billing.clone(), filled.outbox.clone(), at_once());
    privacy.tidy(NOW).await.unwrap();
    assert_eq!(lines(&everything(&store).await, "adas-laptop"), Vec::<&str>::new());
    let before = sums(&store).await;
    usage::record(&store, &[used("2026-06-10T12:00:00Z"), used("2026-06-30T12:00:00Z")]).await.unwrap();
    privacy.tidy(NOW).await.unwrap();
    assert_eq!(lines(&everything(&store).await, "adas-laptop"), Vec::<&str>::new());
    let after = sums(&store).await;
    let calls = |sums: &[usage::Sum]| sums.iter().map(|sum| sum.figures[0]).sum::<i64>();
    assert_eq!((calls(&before), calls(&after), after.len()), (3, 5, 3));
}

#[tokio::test]
async fn who_a_tenant_was_is_not_said_anew_and_gateways_hear_that_its_keys_are_gone() {
    let filled = Filled::open().await;
    let known = crate::credentials::feed(filled.store(), &crate::credentials::Since::default(), NOW).await.unwrap();
    assert_eq!(known.known.len(), 2);
    filled.erased(at_once()).await;
    let then = crate::credentials::feed(filled.store(), &known.to, NOW).await.unwrap();
    assert_eq!((then.known.len(), then.gone.len()), (0, 2), "a gateway that was away meanwhile");
    let (store, acme) = (filled.store(), &filled.shop.acme);
    let new = NewMember { tenant: acme, email: ADA, role: Role::Owner };
    let profile = NewProfile { recipient: Some(STREET.to_owned()), ..NewProfile::default() };
    for done in [
        people::invite(store, &filled.outbox, &Asker::Operator, new, NOW).await.err(),
        billing::update_profile(store, &Asker::Operator, acme, profile, NOW).await.err(),
    ] {
        assert_eq!(done, Some(Refusal::State("the tenant was erased; make another one".to_owned())));
    }
}

#[tokio::test]
async fn the_database_lets_nothing_go_but_whom_the_invoices_of_an_erased_tenant_were_for() {
    let filled = Filled::open().await;
    let change = async |sql: &'static str| {
        let mut transaction = filled.store().begin().await.unwrap();
        let done = sqlx::query(sql).execute(&mut *transaction).await.map(|_| ());
        done.map_err(|error| error.to_string())
    };
    let refused = |done: std::result::Result<(), String>| assert!(done.unwrap_err().contains("never changed"));
    refused(change("UPDATE invoices SET recipient = ''").await);
    filled.erased(RetentionSettings::default()).await;
    refused(change("UPDATE invoices SET recipient = 'somebody else'").await);
    refused(change("UPDATE invoices SET recipient = '', content = ''").await);
    refused(change("UPDATE invoices SET recipient = '', replaces = number").await);
    refused(change("DELETE FROM invoices").await);
    change("UPDATE invoices SET recipient = ''").await.unwrap();
}

#[tokio::test]
async fn a_member_goes_with_their_address_and_everybody_else_stays() {
    let filled = Filled::open().await;
    let privacy = filled.privacy(at_once());
    assert!(lines(&everything(filled.store()).await, BOB).len() >= 2, "there, and in the log");
    let id = privacy.erase_person(&member(&filled.shop.acme, Role::Admin), &filled.bob.id, NOW).await.unwrap();
    let after = everything(filled.store()).await;
    assert_eq!((lines(&after, BOB), &id), (vec![], &filled.bob.id));
    let log = lines(&after, &format!("changes.subject: {id}"));
    assert!(log.len() >= 4, "what they did is still known: {log:?}");
    assert!(!lines(&after, ADA).is_empty() && after.contains("Lovelace Engines"));
    assert_eq!(filled.outbox.letters_to(&[BOB.to_owned()]).await.unwrap().len(), 0);
    assert_eq!(filled.outbox.letters_to(&[ADA.to_owned()]).await.unwrap().len(), 3);
    let subjects = people::subjects_of_attempts(BOB);
    assert!(subjects.iter().all(|subject| !after.contains(subject)), "not even a hash of it");
    assert_eq!(privacy.erase_person(&Asker::Operator, &id, NOW).await.unwrap(), id, "once more");
    let told = texts(filled.store(), "SELECT what || detail FROM changes WHERE what LIKE '%erased%'").await;
    assert_eq!(told, ["person erased"]);
}

#[tokio::test]
async fn whoever_may_not_erase_somebody_does_not_and_the_last_owner_stays() {
    let filled = Filled::open().await;
    let (privacy, acme) = (filled.privacy(at_once()), &filled.shop.acme);
    let bolt = tenant(filled.store(), "bolt").await;
    for named in [&*filled.ada.id, ADA, "no such id", "nobody@example.org"] {
        let refused = privacy.erase_person(&member(&bolt, Role::Owner), named, NOW).await;
        assert_eq!(refused, Err(Refusal::Absent("there is no such member".to_owned())), "{named}");
    }
    for (role, named) in [(Role::Admin, ADA), (Role::Developer, BOB), (Role::Viewer, BOB)] {
        assert!(matches!(privacy.erase_person(&member(acme, role), named, NOW).await, Err(Refusal::Denied(_))), "{role:?} {named}");
    }
    let last = privacy.erase_person(&Asker::Operator, ADA, NOW).await;
    assert!(matches!(&last, Err(Refusal::State(text)) if text.contains("one owner")), "{last:?}");
    let bob = Asker::Member { id: filled.bob.id.clone(), tenant_id: acme.id.clone(), role: Role::Admin };
    let (one, other) =
        tokio::join!(privacy.erase_person(&bob, &filled.bob.id, NOW), privacy.erase_person(&Asker::Operator, &filled.bob.id, NOW));
    assert_eq!((one, other), (Ok(filled.bob.id.clone()), Ok(filled.bob.id.clone())), "both at once, one of them themselves");
    filled.closed().await;
    privacy.erase_person(&Asker::Operator, ADA, NOW).await.unwrap();
    assert_eq!(lines(&everything(filled.store()).await, ADA), Vec::<&str>::new());
}
