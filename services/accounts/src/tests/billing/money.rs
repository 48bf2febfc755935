//! Credit, payments, and what the database does not let happen.

use sqlx::AssertSqlSafe;
use torchmesh_billing::When;

use super::{Shop, at, tokens};
use crate::{
    access::{Asker, Role},
    billing::{self, NewCredit, PaymentKind},
    error::Refusal,
    page::Page,
    tenants::{self, State},
    tests::member,
};

#[tokio::test]
async fn credit_and_payments_count_once_by_their_ids() {
    let shop = Shop::open().await;
    shop.start("pro", "2026-06-01").await;
    for _ in 0..2 {
        shop.credit("k", "12.00", "2026-06-02").await;
    }
    let add = async |amount, asker: &Asker| {
        let new = NewCredit { id: "k", amount, bought: true, expires_ms: 0 };
        billing::add_credit(&shop.billing, &shop.store, asker, &shop.acme, new, at("2026-06-03")).await
    };
    assert!(matches!(add(("13.00", ""), &Asker::Operator).await, Err(Refusal::Exists(_))));
    for wrong in [("12.00", "USD"), ("0", ""), ("-1", ""), ("0.001", ""), ("many", "")] {
        assert!(matches!(add(wrong, &Asker::Operator).await, Err(Refusal::Invalid(_))), "{wrong:?}");
    }
    assert!(matches!(add(("12.00", ""), &member(&shop.acme, Role::Owner)).await, Err(Refusal::Denied(_))));
    let made = shop.issue("2026-07-01").await.remove(0);
    assert_eq!((made.total.number(), made.due.number()), ("30.00".to_owned(), "18.00".to_owned()));
    for _ in 0..2 {
        shop.pay("bank-1", PaymentKind::Received, "20.00", "2026-07-02").await.unwrap();
    }
    assert_eq!(shop.owed().await, "-2.00");
    assert!(matches!(shop.pay("bank-1", PaymentKind::Received, "21.00", "2026-07-02").await, Err(Refusal::Exists(_))));
    let more = shop.pay("bank-2", PaymentKind::Refunded, "2.01", "2026-07-03").await;
    assert!(matches!(&more, Err(Refusal::State(why)) if why.contains("2.00 EUR")), "{more:?}");
    shop.pay("bank-2", PaymentKind::Refunded, "2.00", "2026-07-03").await.unwrap();
    assert_eq!(shop.owed().await, "0.00");
    let balance = billing::balance(&shop.billing, &shop.store, &shop.acme).await.unwrap();
    assert!(balance.credits.is_empty() && balance.credit_left.is_zero());
    let kinds: Vec<_> = billing::ledger(&shop.store, Some(&shop.acme), &Page::of(9, "").unwrap()).await.unwrap();
    let ids: Vec<_> = kinds.iter().map(|posted| posted.entry.id()).collect();
    assert_eq!(ids, ["refund/acme/bank-2", "payment/acme/bank-1", "invoice/INV-000001", "credit/acme/k"]);
}

#[tokio::test]
async fn credit_that_expires_with_its_period_leaves_the_books_with_the_invoice() {
    let shop = Shop::open().await;
    shop.start("payg", "2026-06-01").await;
    let new = NewCredit { id: "gift", amount: ("5.00", ""), bought: false, expires_ms: at("2026-06-20") };
    billing::add_credit(&shop.billing, &shop.store, &Asker::Operator, &shop.acme, new, at("2026-06-02")).await.unwrap();
    shop.used("2026-06-25", "text", 0, tokens(2000, 0)).await;
    let made = shop.issue("2026-07-01").await.remove(0);
    assert_eq!(
        (made.total.number(), made.due.number()),
        ("1.00".to_owned(), "0.00".to_owned()),
        "it pays for the period that it expires in"
    );
    assert!(billing::balance(&shop.billing, &shop.store, &shop.acme).await.unwrap().credits.is_empty());
}

#[tokio::test]
async fn a_member_changes_the_plan_and_an_operator_when_it_was_and_nobody_what_is_invoiced() {
    let shop = Shop::open().await;
    let billing_role = member(&shop.acme, Role::Billing);
    let wanted = |plan, at_ms| billing::Wanted { plan, seats: 0, when: When::Now, at_ms, trial_until_ms: 0 };
    let ask =
        async |asker: &Asker, wanted| billing::subscribe(&shop.billing, &shop.store, asker, &shop.acme, wanted, at("2026-07-10")).await;
    assert!(matches!(ask(&member(&shop.acme, Role::Developer), wanted("pro", 0)).await, Err(Refusal::Denied(_))));
    assert!(matches!(ask(&billing_role, wanted("pro", at("2026-06-01"))).await, Err(Refusal::Denied(_))));
    assert!(matches!(ask(&Asker::Operator, wanted("none", 0)).await, Err(Refusal::Invalid(_))));
    ask(&Asker::Operator, wanted("pro", at("2026-06-01"))).await.unwrap();
    shop.issue("2026-07-10").await;
    assert!(matches!(ask(&Asker::Operator, wanted("payg", at("2026-06-30"))).await, Err(Refusal::State(_))), "June is invoiced");
    ask(&billing_role, wanted("payg", 0)).await.unwrap();
    let held = billing::held(&shop.billing, &shop.store, &shop.acme, at("2026-07-11")).await.unwrap();
    assert_eq!(held.state.unwrap().plan, "payg");
}

#[tokio::test]
async fn what_waits_for_the_periods_end_is_told_and_can_be_taken_back() {
    let shop = Shop::open().await;
    shop.start("pro", "2026-06-01").await;
    let held = async || billing::held(&shop.billing, &shop.store, &shop.acme, at("2026-06-12")).await.unwrap();
    billing::cancel(&shop.billing, &shop.store, &Asker::Operator, &shop.acme, When::PeriodEnd, 0, at("2026-06-10")).await.unwrap();
    assert_eq!(held().await.next, Some(None), "it ends");
    shop.subscribe("pro", When::Now, "2026-06-11").await.unwrap();
    assert_eq!((held().await.next, held().await.state.unwrap().plan), (None, "pro".to_owned()));
    billing::redeem(&shop.billing, &shop.store, &Asker::Operator, &shop.acme, "TENTH", at("2026-06-11")).await.unwrap();
    for wrong in ["NONE", "OVER"] {
        let refused = billing::redeem(&shop.billing, &shop.store, &Asker::Operator, &shop.acme, wrong, at("2026-06-11")).await;
        assert!(matches!(refused, Err(Refusal::Invalid(_))), "{wrong}");
    }
    assert_eq!((held().await.coupons, shop.spent("2026-06-12").await), (vec!["TENTH".to_owned()], "27.00".to_owned()));
}

#[tokio::test]
async fn a_tenant_that_is_closed_pays_for_its_days_and_for_nothing_afterwards() {
    let shop = Shop::open().await;
    shop.start("pro", "2026-06-01").await;
    let close = async |now: &str| tenants::update(&shop.store, &Asker::Operator, "acme", Some(State::Closed), None, at(now)).await;
    close("2026-06-16").await.unwrap();
    close("2026-06-20").await.unwrap();
    let held = billing::held(&shop.billing, &shop.store, &shop.acme, at("2026-06-21")).await.unwrap();
    assert_eq!((held.state, held.next), (None, None));
    let issued = shop.issue("2026-07-01").await;
    assert_eq!(issued.iter().map(|invoice| invoice.due.number()).collect::<Vec<_>>(), ["15.00"], "15 days of 30");
    assert!(shop.issue("2026-09-01").await.is_empty());
}

#[tokio::test]
async fn the_database_itself_lets_nothing_be_changed_that_was_written_down() {
    let shop = Shop::open().await;
    shop.start("pro", "2026-06-01").await;
    shop.credit("k", "1.00", "2026-06-02").await;
    let number = shop.issue("2026-07-01").await.remove(0).number;
    let note = billing::NewNote { id: "n", lines: &[], reason: "gone" };
    billing::credit(&shop.store, &Asker::Operator, &number, note, at("2026-07-02")).await.unwrap();
    let tables = ["billing_files", "subscription_changes", "credits", "ledger_entries", "ledger_postings", "invoices", "credit_notes"];
    for (table, column) in tables.into_iter().zip(["content", "change", "amount", "content", "account", "content", "content"]) {
        for text in [format!("UPDATE {table} SET {column} = 'x'"), format!("DELETE FROM {table}")] {
            let mut transaction = shop.store.begin().await.unwrap();
            let refused = sqlx::query(AssertSqlSafe(text.clone())).execute(&mut *transaction).await;
            assert!(refused.is_err_and(|error| error.to_string().contains("never changed")), "{text}");
        }
    }
    let tenant = shop.acme.id.clone();
    let posting =
        |id: &str| format!("INSERT INTO ledger_postings (entry_id, account, currency, amount_minor) VALUES ('{id}', 'tax', 'EUR', 1)");
    let entry = format!("INSERT INTO ledger_entries (id, sequence, tenant_id, at_ms, content) VALUES ('e', 99, '{tenant}', 1, '')");
    for (texts, why) in [
        (vec![posting("e"), entry.clone()], "sum to nothing"),
        (vec![entry], "sum to nothing"),
        (vec![posting(&format!("invoice/{number}"))], "no more postings"),
    ] {
        let mut transaction = shop.store.begin().await.unwrap();
        let mut refused = None;
        for text in texts {
            refused = sqlx::query(AssertSqlSafe(text)).execute(&mut *transaction).await.err();
        }
        assert!(refused.is_some_and(|error| error.to_string().contains(why)), "{why}");
    }
    let mut transaction = shop.store.begin().await.unwrap();
    sqlx::query(AssertSqlSafe(posting("nobody"))).execute(&mut *transaction).await.unwrap();
    assert!(transaction.commit().await.is_err(), "postings without an entry are none");
}
