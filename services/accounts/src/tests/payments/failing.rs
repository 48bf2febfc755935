//! A processor that refuses, hangs and talks nonsense, and accounts that are killed.

use super::{JULY, Till, at, fake::Answer};
use crate::{error::Refusal, payments::PaymentState};

const DAY: i64 = 24 * 3600 * 1000;

#[tokio::test]
async fn what_the_processor_has_refused_is_begun_anew_the_next_time() {
    let till = Till::open().await;
    for (status, kind) in [(402, "card_error"), (400, "idempotency_error"), (500, "api_error")] {
        till.fake.answers(&[Answer::Error(status, kind, "a message of theirs")]);
        let refused = till.begin().await;
        assert!(matches!(&refused, Err(Refusal::State(why)) if !why.contains("of theirs")), "{refused:?}");
    }
    till.begin().await.unwrap();
    let mut keys: Vec<String> = till.fake.got().into_iter().map(|request| request.key).collect();
    keys.dedup();
    assert_eq!(keys.len(), 4, "the processor answers a key as it did before: {keys:?}");
    assert_eq!(till.states().await, [PaymentState::Begun, PaymentState::Failed, PaymentState::Failed, PaymentState::Failed]);
}

#[tokio::test]
async fn what_may_have_been_done_is_asked_for_by_the_same_key() {
    let till = Till::open().await;
    for answer in [
        Answer::Error(429, "rate_limit_error", "slow down"),
        Answer::Error(409, "idempotency_error", "another one is under way"),
        Answer::Text("[]"),
        Answer::Text("<html>"),
        Answer::Text("{\"id\":\"../x\",\"url\":\"https://x\"}"),
        Answer::Text("{\"id\":\"cs_1\",\"url\":\"javascript:alert(1)\"}"),
        Answer::To("http://127.0.0.1:9/"),
        Answer::Endless,
        Answer::Never,
        Answer::DoneAndNever,
    ] {
        till.fake.answers(&[answer]);
        let begun = till.begin().await;
        assert!(matches!(begun, Err(Refusal::Beside(_))), "{answer:?}: {begun:?}");
    }
    till.begin().await.unwrap();
    let mut keys: Vec<String> = till.fake.got().into_iter().map(|request| request.key).collect();
    keys.dedup();
    assert_eq!((keys.len(), till.fake.sessions(), till.kept().await.len()), (1, 1, 1));
}

#[tokio::test]
async fn accounts_that_were_killed_before_the_answer_came_go_on_with_the_same_payment() {
    let till = Till::open().await;
    till.fake.answers(&[Answer::DoneAndNever]);
    // Whoever is dropped here is as good as killed.
    tokio::select! {
        begun = till.begin() => panic!("{begun:?}"),
        () = async { while till.fake.sessions() == 0 { tokio::task::yield_now().await } } => {}
    }
    // The notice needs no more than the payment's own id.
    till.fake.pay("cs_test_1", "pi_1");
    till.told("checkout.session.completed", "cs_test_1").await.unwrap();
    assert_eq!((till.fake.sessions(), till.states().await, till.booked().await.len()), (1, vec![PaymentState::Booked], 1));
}

#[tokio::test]
async fn a_payment_that_leads_nobody_anywhere_ends_and_so_does_what_never_comes() {
    let till = Till::open().await;
    till.fake.answers(&[Answer::Never]);
    till.begin().await.unwrap_err();
    till.look(at(JULY) + DAY / 2).await.unwrap();
    assert_eq!(till.states().await, [PaymentState::Begun]);
    till.look(at(JULY) + 2 * DAY).await.unwrap();
    assert_eq!(till.states().await, [PaymentState::Expired]);
    till.begin_at(at("2026-07-05")).await.unwrap();
    till.look(at("2026-07-06")).await.unwrap();
    assert_eq!(till.states().await, [PaymentState::Begun, PaymentState::Expired]);
    till.look(at("2026-08-06")).await.unwrap();
    assert_eq!(till.states().await, [PaymentState::Expired; 2]);
}

#[tokio::test]
async fn a_processor_that_is_away_is_asked_again_later() {
    let till = Till::open().await;
    let begun = till.begin().await.unwrap();
    till.fake.pay(&begun.session, "pi_1");
    till.fake.answers(&[Answer::Error(500, "", ""), Answer::Never]);
    for (after, booked) in [(1, 0), (3, 0), (7, 1)] {
        let _ = till.look(at(JULY) + after * DAY).await;
        assert_eq!(till.booked().await.len(), booked, "day {after}");
    }
}
