//! What comes is booked once, whatever is told of it.

use serde_json::{Value, json};

use super::{JULY, Till, at, fake};
use crate::{
    access::Asker,
    billing::{self, PaymentKind},
    error::Refusal,
    payments::{self, Notice, PaymentState},
    tests::billing::{call, tokens},
    usage,
};

const COMPLETED: &str = "checkout.session.completed";
const DAY: i64 = 24 * 3600 * 1000;

#[tokio::test]
async fn a_payment_is_booked_once_however_often_it_is_told() {
    let till = Till::open().await;
    let begun = till.begin().await.unwrap();
    till.fake.pay(&begun.session, "pi_1");
    for _ in 0..3 {
        till.told(COMPLETED, &begun.session).await.unwrap();
    }
    let (one, two) = tokio::join!(till.told(COMPLETED, &begun.session), till.look(at(JULY) + DAY));
    one.and(two).unwrap();
    assert_eq!((till.booked().await, till.shop.owed().await), (vec!["payment/acme/pi_1".to_owned()], "0.00".to_owned()));
    let kept = till.kept().await.remove(0);
    assert_eq!((kept.state, kept.entry.as_str(), kept.differs()), (PaymentState::Booked, "payment/acme/pi_1", false));
    assert!(matches!(till.begin().await, Err(Refusal::State(_))), "it is paid");
}

#[tokio::test]
async fn money_counts_whatever_was_told_before_and_nothing_undoes_it() {
    let till = Till::open().await;
    let begun = till.begin().await.unwrap();
    till.told("checkout.session.expired", &begun.session).await.unwrap();
    assert_eq!(till.states().await, [PaymentState::Expired]);
    till.fake.pay(&begun.session, "pi_1");
    till.told(COMPLETED, &begun.session).await.unwrap();
    for late in ["checkout.session.expired", "checkout.session.async_payment_failed"] {
        till.told(late, &begun.session).await.unwrap();
    }
    till.fake.set(&begun.session, &json!({ "payment_status": "unpaid" }));
    till.told(COMPLETED, &begun.session).await.unwrap();
    assert_eq!((till.states().await, till.booked().await.len()), (vec![PaymentState::Booked], 1));
}

#[tokio::test]
async fn money_that_takes_days_is_waited_for_and_nobody_pays_it_twice_meanwhile() {
    let till = Till::open().await;
    let begun = till.begin().await.unwrap();
    till.fake.set(&begun.session, &json!({ "status": "complete", "payment_intent": "pi_1" }));
    till.told(COMPLETED, &begun.session).await.unwrap();
    assert_eq!((till.states().await, till.booked().await.len()), (vec![PaymentState::Waiting], 0));
    assert!(matches!(till.begin().await, Err(Refusal::State(why)) if why.contains("on its way")));
    till.fake.pay(&begun.session, "pi_1");
    till.told("checkout.session.async_payment_succeeded", &begun.session).await.unwrap();
    till.told(COMPLETED, &begun.session).await.unwrap();
    assert_eq!((till.states().await, till.booked().await.len()), (vec![PaymentState::Booked], 1));
}

#[tokio::test]
async fn money_that_does_not_come_can_be_paid_again() {
    let till = Till::open().await;
    let begun = till.begin().await.unwrap();
    till.fake.set(&begun.session, &json!({ "status": "complete", "payment_intent": "pi_1" }));
    till.told("checkout.session.async_payment_failed", &begun.session).await.unwrap();
    let again = till.begin().await.unwrap();
    assert!(again.id != begun.id && again.session != begun.session);
    assert_eq!((till.states().await, till.shop.owed().await), (vec![PaymentState::Begun, PaymentState::Failed], "30.00".to_owned()));
}

#[tokio::test]
async fn what_no_notice_tells_is_asked_for() {
    let till = Till::open().await;
    let begun = till.begin().await.unwrap();
    till.fake.pay(&begun.session, "pi_1");
    till.look(at(JULY) + 1000).await.unwrap();
    assert_eq!(till.booked().await.len(), 0, "a notice may still come");
    till.look(at(JULY) + DAY).await.unwrap();
    assert_eq!(till.states().await, [PaymentState::Booked]);
    let asked = till.fake.got().len();
    till.look(at(JULY) + 9 * DAY).await.unwrap();
    assert_eq!((till.fake.got().len(), till.booked().await.len()), (asked, 1), "what is booked is not asked about");
}

#[tokio::test]
async fn whoever_begins_again_what_was_paid_meanwhile_learns_that_it_was() {
    let till = Till::open().await;
    let begun = till.begin().await.unwrap();
    till.fake.pay(&begun.session, "pi_1");
    assert!(matches!(till.begin().await, Err(Refusal::State(why)) if why.contains("nothing is to be paid")));
    assert_eq!((till.states().await, till.booked().await.len()), (vec![PaymentState::Booked], 1));
}

#[tokio::test]
async fn another_amount_or_currency_is_booked_as_it_came_and_is_seen() {
    for (change, owed, received) in
        [(json!({ "amount_total": 2500 }), "5.00", "25.00 EUR"), (json!({ "currency": "usd" }), "30.00", "30.00 USD")]
    {
        let till = Till::open().await;
        let begun = till.begin().await.unwrap();
        till.fake.pay(&begun.session, "pi_1");
        till.fake.set(&begun.session, &change);
        till.told(COMPLETED, &begun.session).await.unwrap();
        let kept = till.kept().await.remove(0);
        assert_eq!((kept.differs(), kept.received.unwrap().to_string().as_str()), (true, received));
        assert_eq!((till.shop.owed().await.as_str(), till.booked().await.len()), (owed, 1));
    }
}

#[tokio::test]
async fn money_for_an_invoice_that_was_paid_or_replaced_meanwhile_is_the_tenants() {
    let till = Till::open().await;
    let begun = till.begin().await.unwrap();
    till.shop.pay("bank-1", PaymentKind::Received, "30.00", "2026-07-01").await.unwrap();
    till.fake.pay(&begun.session, "pi_1");
    till.told(COMPLETED, &begun.session).await.unwrap();
    assert_eq!(till.shop.owed().await, "-30.00");

    let till = Till::open().await;
    let begun = till.begin().await.unwrap();
    let late = call("acme", "2026-06-20T01:00:00Z", "image", 0, tokens(1, 0));
    usage::record(&till.shop.store, &[late]).await.unwrap();
    billing::reissue(&till.shop.billing, &till.shop.store, &Asker::Operator, &till.number, at("2026-07-02")).await.unwrap();
    assert!(matches!(till.begin().await, Err(Refusal::State(why)) if why.contains("replaced")), "its page is closed");
    till.fake.pay(&begun.session, "pi_1");
    till.told(COMPLETED, &begun.session).await.unwrap();
    assert_eq!((till.shop.owed().await, till.states().await), ("0.01".to_owned(), vec![PaymentState::Booked]));
}

#[tokio::test]
async fn what_was_written_down_by_hand_under_the_same_id_is_not_booked_again() {
    let till = Till::open().await;
    let begun = till.begin().await.unwrap();
    till.shop.pay("pi_1", PaymentKind::Received, "30.00", "2026-07-01").await.unwrap();
    till.fake.pay(&begun.session, "pi_1");
    till.told(COMPLETED, &begun.session).await.unwrap();
    assert_eq!((till.shop.owed().await, till.states().await), ("0.00".to_owned(), vec![PaymentState::Booked]));
}

#[tokio::test]
async fn what_was_written_down_by_hand_as_another_amount_stays_so() {
    let till = Till::open().await;
    let begun = till.begin().await.unwrap();
    till.shop.pay("pi_1", PaymentKind::Received, "20.00", "2026-07-01").await.unwrap();
    till.fake.pay(&begun.session, "pi_1");
    till.told(COMPLETED, &begun.session).await.unwrap();
    assert_eq!((till.shop.owed().await, till.booked().await.len()), ("10.00".to_owned(), 1));
}

#[tokio::test]
async fn money_of_a_payment_that_was_forgotten_is_the_tenants_that_began_it() {
    let (till, other) = (Till::open().await, Till::open().await);
    let begun = till.begin().await.unwrap();
    till.fake.pay(&begun.session, "pi_1");
    let mut event: Value = serde_json::from_slice(&till.fake.event(COMPLETED, &begun.session)).unwrap();
    // As with a database that was restored from before the payment was begun.
    event["data"]["object"]["metadata"]["tenant"] = other.shop.acme.id.as_str().into();
    for _ in 0..2 {
        other.notice_at(event.to_string().as_bytes(), at("2026-07-02")).await.unwrap();
    }
    assert_eq!((other.booked().await, other.shop.owed().await), (vec!["payment/acme/pi_1".to_owned()], "0.00".to_owned()));
    event["data"]["object"]["metadata"]["tenant"] = "nobody".into();
    event["data"]["object"]["payment_intent"] = "pi_2".into();
    other.notice_at(event.to_string().as_bytes(), at("2026-07-02")).await.unwrap();
    assert_eq!(other.booked().await.len(), 1);
}

#[tokio::test]
async fn notices_of_others_and_of_other_things_are_taken_and_forged_ones_are_not() {
    let till = Till::open().await;
    let begun = till.begin().await.unwrap();
    let now = at("2026-07-02");
    for body in [
        json!({ "type": "invoice.paid", "data": { "object": { "id": "in_1" } } }),
        json!({ "type": COMPLETED, "data": { "object": { "id": "cs_9", "payment_status": "paid", "client_reference_id": null } } }),
        json!({ "type": COMPLETED, "data": { "object": { "id": "cs_9", "payment_status": "paid", "client_reference_id": "order-7",
            "payment_intent": "pi_9", "currency": "eur", "amount_total": 100 } } }),
        json!({ "type": COMPLETED, "data": { "object": { "id": "cs_9", "mode": "subscription", "payment_status": "paid",
            "client_reference_id": "order-7", "metadata": { "tenant": "acme" } } } }),
        json!({ "type": "refund.created", "data": { "object": { "id": "re_9", "status": "succeeded", "payment_intent": "pi_9",
            "currency": "eur", "amount": 100 } } }),
        json!({ "type": "refund.created", "data": { "object": { "id": "re_9", "status": "succeeded", "payment_intent": null } } }),
        json!({ "type": "charge.refunded", "data": { "object": { "id": "ch_9" } } }),
    ] {
        till.notice_at(body.to_string().as_bytes(), now).await.unwrap();
    }
    for body in ["", "{}", "[1]", "{\"type\":", "{\"type\":7}"] {
        assert!(matches!(till.notice_at(body.as_bytes(), now).await, Err(Refusal::Invalid(_))), "{body}");
    }
    till.fake.pay(&begun.session, "pi_1");
    till.fake.set(&begun.session, &json!({ "amount_total": -1 }));
    assert!(matches!(till.told(COMPLETED, &begun.session).await, Err(Refusal::Invalid(_))), "no such amount comes");
    till.fake.set(&begun.session, &json!({ "amount_total": 3000, "payment_intent": "pi_1/../x" }));
    assert!(matches!(till.told(COMPLETED, &begun.session).await, Err(Refusal::Invalid(_))));
    let body = till.fake.event(COMPLETED, &begun.session);
    for signature in [fake::signature(b"another", now), fake::signature(&body, now - 301_000), String::new()] {
        let notice = Notice { body: &body, signature: &signature };
        let refused = payments::take_notice(&till.payments, &till.shop.billing, &till.shop.store, notice, now).await;
        assert!(matches!(refused, Err(Refusal::Invalid(why)) if why.starts_with("signature")), "{signature}");
    }
    assert_eq!((till.booked().await.len(), till.states().await), (0, vec![PaymentState::Begun]));
}
