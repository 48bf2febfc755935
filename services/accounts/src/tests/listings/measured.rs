//! What is measured, and what it costs.

use torchmesh_api::usage::v1::UsageEvent;
use torchmesh_billing::{When, unit::Unit};

use super::{DAY, Market, NOW, member};
use crate::{
    access::{Asker, Role},
    billing::{self, Offer, Wanted},
    listings, usage,
};

/// Calls to a model, so many days ago, each of so many microseconds.
async fn calls(market: &Market, from: u64, count: u64, code: u32, days_ago: i64, duration_us: u64) {
    let event = |number: u64| UsageEvent {
        id: u128::from(number).to_be_bytes().to_vec(),
        tenant: format!("t{}", number % 3),
        model: "m".to_owned(),
        time_unix_ms: (NOW - days_ago * DAY).unsigned_abs(),
        code,
        duration_us,
        ..Default::default()
    };
    let events: Vec<UsageEvent> = (from..from + count).map(event).collect();
    usage::record(&market.store, &events).await.unwrap();
    // Sent again, they count once.
    usage::record(&market.store, &events).await.unwrap();
}

#[tokio::test]
async fn figures_are_of_the_last_days_of_all_tenants_and_say_how_many_calls_there_were_at_least() {
    let market = Market::open().await;
    calls(&market, 1, 900, 0, 1, 100_000).await;
    calls(&market, 1001, 90, 0, 2, 800_000).await;
    calls(&market, 2001, 10, 14, 0, 5_000).await;
    calls(&market, 3001, 300, 3, 0, 5_000).await;
    calls(&market, 4001, 500, 0, 20, 400_000).await;
    calls(&market, 5001, 500, 0, 40, 9_000_000).await;
    let figures = listings::figures(&market.store, &["m", "other"], NOW).await.unwrap();
    assert!(!figures.contains_key("other"));
    let [week, month] = figures["m"];
    assert_eq!((week.days, week.calls_at_least, week.available_ppm), (7, 1000, Some(990_000)));
    assert!((94_000..=113_000).contains(&week.p50_us) && week.p99_us == 0, "{week:?}");
    assert_eq!((month.days, month.calls_at_least), (30, 1000));
    assert!((750_000..=900_000).contains(&month.p99_us), "{month:?}");
}

#[tokio::test]
async fn the_price_is_that_of_the_plan_of_whoever_looks() {
    let market = Market::open().await;
    let wanted = Wanted { plan: "friend", seats: 0, when: When::Now, at_ms: 0, trial_until_ms: 0 };
    billing::subscribe(&market.billing, &market.store, &Asker::Operator, &market.acme, wanted, NOW).await.unwrap();
    for (asker, id) in [(Asker::Anybody, "all"), (member(&market.bolt, Role::Viewer), "all"), (member(&market.acme, Role::Viewer), "cheap")]
    {
        let offer = Offer::to(&market.billing, &market.store, &asker, NOW + 1).await.unwrap().unwrap();
        let price = offer.price("m").unwrap();
        assert_eq!(price.id, id, "{asker:?}");
        assert!(price.rates.contains_key(&Unit::Calls));
    }
}
