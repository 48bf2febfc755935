//! What webhooks are told of what is billed.

use serde_json::{Value, json};
use torchmesh_api::usage::v1::Units;
use torchmesh_billing::When;

use super::{Shop, at, tokens};
use crate::{
    access::Asker,
    billing::{self, NewBudget, NewNote, NewProfile, PaymentKind},
    tests::{
        outbox,
        webhooks::{body, deliveries, listening},
    },
    webhooks::Webhook,
};

async fn told(shop: &Shop, webhook: &Webhook) -> Vec<(String, Value)> {
    deliveries(&shop.store, webhook).await.iter().map(|kept| (kept.event.clone(), body(kept)["data"].clone())).collect()
}

async fn names(shop: &Shop, webhook: &Webhook) -> Vec<String> {
    told(shop, webhook).await.into_iter().map(|(name, _)| name).collect()
}

#[tokio::test]
async fn invoices_money_and_subscriptions_are_told_as_they_are_written_down() {
    let shop = Shop::open().await;
    let webhook = listening(shop.folder.path(), &shop.store, &shop.acme, at("2026-06-01")).await;
    shop.start("payg", "2026-06-01").await;
    shop.credit("welcome", "0.25", "2026-06-01").await;
    shop.credit("welcome", "0.25", "2026-06-01").await;
    shop.used("2026-06-02", "text", 0, tokens(1000, 0)).await;
    shop.issue("2026-07-02").await;
    shop.issue("2026-07-02").await;
    shop.pay("bank-1", PaymentKind::Received, "0.25", "2026-07-03").await.unwrap();
    let note = NewNote { id: "n", lines: &[], reason: "an outage" };
    billing::credit(&shop.store, &Asker::Operator, "INV-000001", note, at("2026-07-04")).await.unwrap();
    shop.subscribe("pro", When::PeriodEnd, "2026-07-05").await.unwrap();
    let told = told(&shop, &webhook).await;
    let expected = [
        (
            "subscription.changed",
            json!({ "now": { "plan": "payg", "seats": 1, "trial_until": null }, "next_period": { "plan": "payg", "seats": 1, "trial_until": null } }),
        ),
        ("credit.added", json!({ "id": "welcome", "amount": "0.25", "currency": "EUR", "bought": true, "expires": null })),
        (
            "invoice.issued",
            json!({
                "number": "INV-000001", "replaces": null, "period_start": "2026-06-01T00:00:00.000Z", "period_end": "2026-07-01T00:00:00.000Z",
                "currency": "EUR", "subtotal": "0.50", "net": "0.50", "tax": "0.00", "total": "0.50", "due": "0.25",
            }),
        ),
        ("payment.received", json!({ "id": "bank-1", "amount": "0.25", "currency": "EUR" })),
        (
            "credit_note.issued",
            json!({
                "number": "CN-000001", "invoice": "INV-000001", "reason": "an outage", "currency": "EUR", "net": "0.50", "tax": "0.00", "total": "0.50",
            }),
        ),
        (
            "subscription.changed",
            json!({ "now": { "plan": "payg", "seats": 1, "trial_until": null }, "next_period": { "plan": "pro", "seats": 1, "trial_until": null } }),
        ),
    ];
    let expected: Vec<_> = expected.into_iter().map(|(name, data)| (name.to_owned(), data)).collect();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn calls_that_stop_and_go_on_and_budgets_are_told_once() {
    let shop = Shop::open().await;
    let webhook = listening(shop.folder.path(), &shop.store, &shop.acme, at("2026-06-01")).await;
    shop.start("payg", "2026-06-01").await;
    let prepaid = NewProfile { prepaid: Some(true), ..NewProfile::default() };
    billing::update_profile(&shop.store, &Asker::Operator, &shop.acme, prepaid, at("2026-06-01")).await.unwrap();
    for _ in 0..2 {
        billing::check_stops(&shop.billing, &shop.store, &shop.acme, at("2026-06-02")).await.unwrap();
    }
    shop.credit("k", "1.00", "2026-06-03").await;
    let new = NewBudget { name: "monthly", limit: Some(("1.00", "EUR")), thresholds: &[50] };
    billing::set_budget(&shop.billing, &shop.store, &Asker::Operator, &shop.acme, new, at("2026-06-03")).await.unwrap();
    shop.used("2026-06-04", "text", 0, tokens(1000, 0)).await;
    shop.used("2026-06-04", "image", 0, Units::default()).await;
    for _ in 0..2 {
        billing::tell_budgets(&shop.billing, &shop.store, &outbox(shop.folder.path()), &shop.acme, at("2026-06-05")).await.unwrap();
    }
    assert_eq!(names(&shop, &webhook).await, ["subscription.changed", "calls.stopped", "credit.added", "calls.resumed", "budget.reached"]);
    let told = told(&shop, &webhook).await;
    assert!(told[1].1["reason"].as_str().unwrap().contains("add credit"));
    let budget = json!({
        "budget": "monthly", "percent": 50, "spent": "0.51", "limit": "1.00", "currency": "EUR", "period_start": "2026-06-01T00:00:00.000Z",
    });
    assert_eq!(told[4].1, budget);
}
