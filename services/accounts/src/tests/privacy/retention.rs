//! What is removed with time, and what is not.

use std::time::Duration;

use super::{Filled, NOW, at, call, texts, tokens, used};
use crate::{access::Asker, billing, error::Refusal, people, privacy::RetentionSettings, usage};

const DAY: u64 = 24 * 3600;

fn days(days: u64) -> Duration {
    Duration::from_secs(days * DAY)
}

async fn count(filled: &Filled, query: &'static str) -> usize {
    texts(filled.store(), query).await.len()
}

#[tokio::test]
async fn by_default_what_has_ended_goes_and_nothing_that_is_billed_or_was_done() {
    let filled = Filled::open().await;
    let privacy = filled.privacy(RetentionSettings::default());
    let there = async || {
        let mut there = Vec::new();
        for query in [
            "SELECT id FROM usage_events",
            "SELECT what FROM changes",
            "SELECT sha256 FROM sessions",
            "SELECT sha256 FROM letters",
            "SELECT subject FROM attempts",
        ] {
            there.push(count(&filled, query).await);
        }
        there
    };
    privacy.tidy(NOW).await.unwrap();
    let before = there().await;
    assert!(before.iter().all(|count| *count > 0), "{before:?}");
    privacy.tidy(NOW + 8 * 24 * 3_600_000).await.unwrap();
    assert_eq!(there().await, [before[0], before[1], 0, 0, 0]);
    privacy.tidy(NOW + 100 * 365 * 24 * 3_600_000).await.unwrap();
    assert_eq!(there().await, [before[0], before[1], 0, 0, 0]);
}

#[tokio::test]
async fn old_changes_go_and_later_ones_stay() {
    let filled = Filled::open().await;
    let told = async || texts(filled.store(), "SELECT what FROM changes ORDER BY revision").await;
    let all = told().await;
    let later = texts(filled.store(), "SELECT what FROM changes WHERE time_ms >= 1783000000000 ORDER BY revision").await;
    assert!(later.len() > 5 && later.len() < all.len());
    let privacy = filled.privacy(RetentionSettings { changes: Some(days(365)), ..RetentionSettings::default() });
    privacy.tidy(1_783_000_000_000 + 365 * 24 * 3_600_000).await.unwrap();
    assert_eq!(told().await, later);
    privacy.tidy(1_783_000_000_000 + 365 * 24 * 3_600_000).await.unwrap();
    assert_eq!(told().await, later);
}

#[tokio::test]
async fn calls_go_when_they_are_old_and_on_an_invoice_and_what_they_sum_up_to_stays() {
    let filled = Filled::open().await;
    let privacy = filled.privacy(RetentionSettings { usage_events: Some(days(35)), ..RetentionSettings::default() });
    // Of July nothing is on an invoice; whoever is in no list of tenants is not billed.
    usage::record(filled.store(), &[used("2026-07-02T12:00:00Z"), call("stranger", "2026-06-02T12:00:00Z", "text", 0, tokens(1, 1))])
        .await
        .unwrap();
    let sums = texts(filled.store(), "SELECT tenant || calls || ' ' || begin_ms FROM usage_daily ORDER BY tenant, begin_ms").await;
    let events = async || texts(filled.store(), "SELECT tenant || ' ' || time_ms FROM usage_events ORDER BY time_ms").await;
    privacy.tidy(at("2026-07-05")).await.unwrap();
    assert_eq!(events().await.len(), 5, "none is old");
    privacy.tidy(at("2026-09-01")).await.unwrap();
    assert_eq!(events().await, [format!("acme {}", at("2026-07-02T12:00:00Z"))], "it is to be invoiced");
    assert_eq!(texts(filled.store(), "SELECT tenant || calls || ' ' || begin_ms FROM usage_daily ORDER BY tenant, begin_ms").await, sums);
    let invoice = filled.shop.issue("2026-09-02").await.remove(0);
    assert_eq!(invoice.total.number(), "2.00");
    privacy.tidy(at("2026-09-10")).await.unwrap();
    assert_eq!(events().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_invoice_whose_calls_are_gone_is_not_reissued() {
    let filled = Filled::open().await;
    let privacy = filled.privacy(RetentionSettings { usage_events: Some(days(35)), ..RetentionSettings::default() });
    filled.shop.start("payg", "2026-07-10").await;
    usage::record(filled.store(), &[used("2026-07-12T12:00:00Z")]).await.unwrap();
    let invoice = filled.shop.issue("2026-08-01").await.remove(0);
    usage::record(filled.store(), &[used("2026-07-13T12:00:00Z")]).await.unwrap();
    privacy.tidy(at("2026-10-01")).await.unwrap();
    let refused = billing::reissue(&filled.shop.billing, filled.store(), &Asker::Operator, &invoice.number, at("2026-10-02")).await;
    assert!(matches!(&refused, Err(Refusal::State(text)) if text.contains("retention.usage_events")), "{refused:?}");
}

#[tokio::test]
async fn letters_that_nobody_took_go_with_time() {
    let filled = Filled::open().await;
    let now = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let privacy = filled.privacy(RetentionSettings::default());
    let waiting = async || filled.outbox.letters_to(&[super::ADA.to_owned()]).await.unwrap().len();
    privacy.tidy(now + 29 * 24 * 3_600_000).await.unwrap();
    assert_eq!(waiting().await, 3);
    privacy.tidy(now + 31 * 24 * 3_600_000).await.unwrap();
    assert_eq!(waiting().await, 0);
    people::request_reset(filled.store(), &filled.outbox, super::ADA, NOW).await.unwrap();
    assert_eq!(waiting().await, 1);
}
