//! Money that the processor gives back is written down once, whatever becomes of it and in whatever order it is told.

use serde_json::{Value, json};

use super::{Till, at};
use crate::{error::Refusal, payments::PaymentState};

fn refund(id: &str, status: &str, amount: i64) -> Value {
    json!({ "id": id, "object": "refund", "status": status, "payment_intent": "pi_1", "currency": "eur", "amount": amount })
}

impl Till {
    /// One whose payment was booked.
    async fn paid() -> Self {
        let till = Self::open().await;
        let begun = till.begin().await.unwrap();
        till.fake.pay(&begun.session, "pi_1");
        till.told("checkout.session.completed", &begun.session).await.unwrap();
        till
    }

    async fn refunded(&self, kind: &str, refund: Value) -> Result<(), Refusal> {
        let event = json!({ "id": "evt_2", "object": "event", "type": kind, "data": { "object": refund } });
        self.notice_at(event.to_string().as_bytes(), at("2026-07-03")).await
    }

    /// What is owed, and what the payment says was given back.
    async fn stands(&self) -> (String, Option<String>) {
        (self.shop.owed().await, self.kept().await.remove(0).refunded.map(|refunded| refunded.to_string()))
    }
}

fn stood(owed: &str, refunded: Option<&str>) -> (String, Option<String>) {
    (owed.to_owned(), refunded.map(str::to_owned))
}

#[tokio::test]
async fn a_part_that_is_given_back_is_owed_again_and_can_be_paid_again() {
    let till = Till::paid().await;
    for kind in ["refund.created", "refund.updated", "charge.refund.updated"] {
        till.refunded(kind, refund("re_1", "succeeded", 1000)).await.unwrap();
    }
    assert_eq!(till.stands().await, stood("10.00", Some("10.00 EUR")));
    till.refunded("refund.created", refund("re_2", "succeeded", 500)).await.unwrap();
    assert_eq!(till.stands().await, stood("15.00", Some("15.00 EUR")));
    assert_eq!((till.payable().await.as_deref(), till.states().await), (Some("15.00 EUR"), vec![PaymentState::Booked]));
}

#[tokio::test]
async fn what_is_on_its_way_back_is_not_back_yet() {
    let till = Till::paid().await;
    for status in ["pending", "requires_action"] {
        till.refunded("refund.created", refund("re_1", status, 1000)).await.unwrap();
    }
    assert_eq!(till.stands().await, stood("0.00", None));
}

#[tokio::test]
async fn what_never_arrived_is_the_tenants_payment_again_in_whatever_order_it_is_told() {
    for statuses in [["succeeded", "failed"], ["failed", "succeeded"], ["failed", "failed"], ["canceled", "canceled"]] {
        let till = Till::paid().await;
        for status in statuses {
            till.refunded("refund.updated", refund("re_1", status, 1000)).await.unwrap();
        }
        assert_eq!(till.stands().await, stood("0.00", None), "{statuses:?}");
        assert_eq!(till.booked().await, ["payment/acme/re_1", "payment/acme/pi_1"], "{statuses:?}");
    }
}

#[tokio::test]
async fn two_that_tell_of_it_at_once_write_it_down_once() {
    let till = Till::paid().await;
    let told = async || till.refunded("refund.created", refund("re_1", "succeeded", 1000)).await;
    let (one, two, three) = tokio::join!(told(), told(), told());
    one.and(two).and(three).unwrap();
    assert_eq!(till.stands().await, stood("10.00", Some("10.00 EUR")));
}

#[tokio::test]
async fn a_refund_that_says_nothing_that_is_understood_is_refused() {
    let till = Till::paid().await;
    for (field, value) in [("status", Value::Null), ("id", json!("re_1/../x")), ("amount", json!(-1)), ("currency", json!("xxx"))] {
        let mut wrong = refund("re_1", "succeeded", 1000);
        wrong[field] = value;
        let refused = till.refunded("refund.created", wrong).await;
        assert!(matches!(&refused, Err(Refusal::Invalid(why)) if why.starts_with("body")), "{field}: {refused:?}");
    }
    assert_eq!(till.stands().await, stood("0.00", None));
}
