//! Calls that stop, and those that must not.

use std::time::Duration;

use torchmesh_api::usage::v1::Units;
use torchmesh_billing::When;

use super::{SOLD, Shop, at, settings, tokens};
use crate::{
    access::Asker,
    billing::{self, Billing, BillingSettings, NewCredit, NewProfile, PaymentKind},
    credentials::{Since, feed},
    error::Refusal,
    page::Page,
    tests::{key, outbox},
};

/// Why the gateways refuse acme's calls, as they were told last.
async fn told(shop: &Shop, now: &str) -> String {
    feed(&shop.store, &Since::default(), at(now)).await.unwrap().known[0].stopped.clone()
}

/// The same after another look.
async fn stopped(shop: &Shop, now: &str) -> String {
    billing::check_stops(&shop.billing, &shop.store, &shop.acme, at(now)).await.unwrap();
    told(shop, now).await
}

/// A shop whose tenant has a key and a plan from June on.
async fn with_plan(shop: Shop, plan: &str) -> Shop {
    key(&shop.store, &shop.acme, "search").await;
    shop.start(plan, "2026-06-01").await;
    shop
}

async fn prepaid(shop: &Shop) {
    let new = NewProfile { prepaid: Some(true), ..NewProfile::default() };
    billing::update_profile(&shop.store, &Asker::Operator, &shop.acme, new, at("2026-06-01")).await.unwrap();
}

async fn calls(shop: &Shop, count: u8, when: &str) {
    for _ in 0..count {
        shop.used(when, "image", 0, Units::default()).await;
    }
}

async fn cancel(shop: &Shop, when: When, now: &str) {
    billing::cancel(&shop.billing, &shop.store, &Asker::Operator, &shop.acme, when, 0, at(now)).await.unwrap();
}

/// What is sold without a price for models that nobody named.
fn named_only() -> String {
    SOLD.replace("model = \"*\"", "model = \"image\"")
}

/// The same with a price for `odd`.
fn odd_priced() -> String {
    format!("{}\n[[price]]\nid='odd'\nmodel='odd'\nfrom='2026-01-01'\nrate=[{{unit='calls',price='0.02'}}]", named_only())
}

#[tokio::test]
async fn prepaid_credit_is_spent_once_though_a_month_that_is_over_has_no_invoice_yet() {
    let shop = with_plan(Shop::open().await, "payg").await;
    prepaid(&shop).await;
    shop.credit("k", "1.00", "2026-06-01").await;
    shop.used("2026-06-02", "text", 0, tokens(1900, 0)).await;
    assert_eq!(stopped(&shop, "2026-06-30").await, "", "0.95 of 1.00");
    assert_eq!(stopped(&shop, "2026-07-01").await, "");
    shop.used("2026-07-01", "text", 0, tokens(200, 0)).await;
    assert!(stopped(&shop, "2026-07-01T12:00:00Z").await.contains("add credit"), "0.10 more");
    shop.issue("2026-07-02").await;
    assert!(stopped(&shop, "2026-07-02").await.contains("add credit"), "the invoice changes nothing");
    shop.credit("l", "0.10", "2026-07-02").await;
    assert_eq!(told(&shop, "2026-07-02").await, "");
}

#[tokio::test]
async fn credit_that_has_expired_pays_for_its_own_month_and_not_for_the_next() {
    let shop = with_plan(Shop::open().await, "payg").await;
    prepaid(&shop).await;
    let gift = NewCredit { id: "gift", amount: ("5.00", ""), bought: false, expires_ms: at("2026-06-20") };
    billing::add_credit(&shop.billing, &shop.store, &Asker::Operator, &shop.acme, gift, at("2026-06-02")).await.unwrap();
    shop.credit("k", "0.50", "2026-06-02").await;
    shop.used("2026-06-25", "text", 0, tokens(2000, 0)).await;
    assert_eq!(stopped(&shop, "2026-07-01").await, "", "the gift pays 1.00, and 0.50 are left");
    shop.used("2026-07-02", "text", 0, tokens(1200, 0)).await;
    assert!(stopped(&shop, "2026-07-03").await.contains("add credit"));
}

#[tokio::test]
async fn whoever_ends_a_plan_that_stops_is_stopped_until_another_plan_holds() {
    let shop = with_plan(Shop::open().await, "free").await;
    cancel(&shop, When::Now, "2026-06-02").await;
    assert!(told(&shop, "2026-06-02").await.contains("subscription has ended"));
    shop.start("payg", "2026-06-03").await;
    assert_eq!(told(&shop, "2026-06-03").await, "");
    cancel(&shop, When::Now, "2026-06-04").await;
    assert_eq!(told(&shop, "2026-06-04").await, "", "what is used later is charged");
    shop.start("free", "2026-06-05").await;
    cancel(&shop, When::PeriodEnd, "2026-06-06").await;
    assert_eq!(stopped(&shop, "2026-06-30").await, "");
    assert!(stopped(&shop, "2026-07-01").await.contains("subscription has ended"));
    prepaid(&shop).await;
    shop.credit("k", "9.00", "2026-07-02").await;
    assert!(stopped(&shop, "2026-07-02").await.contains("subscription has ended"), "credit pays for nothing that is not charged");
}

#[tokio::test]
async fn what_was_used_under_another_plan_uses_up_nothing_that_is_free() {
    let shop = with_plan(Shop::open().await, "pro").await;
    calls(&shop, 10, "2026-06-02").await;
    shop.start("free", "2026-06-10").await;
    assert_eq!(stopped(&shop, "2026-06-10").await, "");
    calls(&shop, 10, "2026-06-11").await;
    assert!(stopped(&shop, "2026-06-12").await.contains("used up"));
}

#[tokio::test]
async fn a_call_without_a_price_keeps_neither_stops_back_nor_invoices_for_good() {
    let shop = with_plan(Shop::selling(&named_only()).await, "free").await;
    let issues = Billing::new(BillingSettings { issue_after: Some(Duration::ZERO), ..settings(shop.folder.path()) });
    let outbox = outbox(shop.folder.path());
    let look = async |now| billing::look_at(&issues, &shop.store, &outbox, &shop.acme, at(now)).await;
    shop.used("2026-06-02", "odd", 0, Units::default()).await;
    calls(&shop, 10, "2026-07-02").await;
    let refused = look("2026-07-03").await;
    assert!(matches!(&refused, Err(Refusal::State(why)) if why.contains("odd")), "{refused:?}");
    assert!(told(&shop, "2026-07-03").await.contains("used up"));
    assert!(shop.sells(&odd_priced(), "2026-07-04").await.unwrap());
    look("2026-07-05").await.unwrap();
    let issued = billing::list_invoices(&shop.store, &shop.acme, &Page::of(9, "").unwrap()).await.unwrap();
    assert_eq!(issued.len(), 1);
}

#[tokio::test]
async fn what_was_done_is_answered_so_though_stops_cannot_be_reckoned_and_asking_again_looks_again() {
    let shop = with_plan(Shop::selling(&named_only()).await, "payg").await;
    prepaid(&shop).await;
    assert!(stopped(&shop, "2026-06-01").await.contains("add credit"));
    shop.used("2026-06-02", "odd", 0, Units::default()).await;
    shop.credit("k", "1.00", "2026-06-03").await;
    shop.pay("bank", PaymentKind::Received, "1.00", "2026-06-03").await.unwrap();
    shop.subscribe("pro", When::PeriodEnd, "2026-06-03").await.unwrap();
    cancel(&shop, When::PeriodEnd, "2026-06-03").await;
    assert!(told(&shop, "2026-06-03").await.contains("add credit"));
    assert!(shop.sells(&odd_priced(), "2026-06-04").await.unwrap());
    shop.credit("k", "1.00", "2026-06-05").await;
    assert_eq!(told(&shop, "2026-06-05").await, "");
}

#[tokio::test]
async fn a_look_that_began_before_a_change_of_plan_does_not_undo_it() {
    let shop = with_plan(Shop::open().await, "free").await;
    calls(&shop, 10, "2026-06-02").await;
    assert!(stopped(&shop, "2026-06-03").await.contains("used up"));
    shop.start("payg", "2026-06-10T00:00:00.005Z").await;
    assert_eq!(stopped(&shop, "2026-06-10").await, "");
}
