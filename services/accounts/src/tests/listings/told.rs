//! Whoever has used a model is told that it ends.

use serde_json::json;
use torchmesh_api::usage::v1::UsageEvent;

use super::{DAY, Market, NOW, member};
use crate::{
    access::{Asker, Role},
    listings::{self, Step},
    tests::webhooks::{body, deliveries, listening},
    usage,
};

async fn used(market: &Market, tenant: &str, model: &str, days_ago: i64) {
    let id = format!("{tenant:>6.6}{model:>7.7}{days_ago:03}").into_bytes();
    let time_unix_ms = (NOW - days_ago * DAY).unsigned_abs();
    let event = UsageEvent { id, tenant: tenant.to_owned(), model: model.to_owned(), time_unix_ms, ..Default::default() };
    usage::record(&market.store, &[event]).await.unwrap();
}

#[tokio::test]
async fn tenants_that_used_a_model_of_late_are_told_once_and_of_each_new_day() {
    let market = Market::open().await;
    let (path, store) = (market.folder.path(), &market.store);
    let [acme, bolt] = [listening(path, store, &market.acme, NOW).await, listening(path, store, &market.bolt, NOW).await];
    market.published("labs-1", "labs", &[]).await;
    market.published("labs-2", "labs", &["acme"]).await;
    used(&market, "acme", "labs-1", 3).await;
    used(&market, "bolt", "labs-1", 32).await;
    used(&market, "bolt", "labs-2", 1).await;
    market.deprecate(&market.owner(), "labs-1", 40, "labs-2").await.unwrap();
    for _ in 0..2 {
        listings::look(store, NOW + 1).await.unwrap();
    }
    let told = deliveries(store, &acme).await;
    assert_eq!(told.len(), 1, "{told:?}");
    let data = json!({ "model": "labs-1", "retires": "2026-10-31T14:13:20.000Z", "successor": "labs-2" });
    assert_eq!((&*told[0].event, &body(&told[0])["data"]), ("model.deprecated", &data));
    assert!(deliveries(store, &bolt).await.is_empty(), "it has not used the model of late");
    let notices = async |tenant| listings::notices(store, tenant).await.unwrap();
    assert_eq!((notices(&market.acme).await.len(), notices(&market.bolt).await.len()), (1, 0));
    market.deprecate(&market.owner(), "labs-1", 50, "labs-2").await.unwrap();
    listings::look(store, NOW + 2).await.unwrap();
    assert_eq!(notices(&market.acme).await[0].retires_ms, NOW + 50 * DAY);
    market.step(&Asker::Operator, "labs-1", Step::Retire).await.unwrap();
    listings::look(store, NOW + 3).await.unwrap();
    let told: Vec<_> = deliveries(store, &acme).await.into_iter().map(|delivery| delivery.event).collect();
    assert_eq!(told, ["model.deprecated", "model.deprecated", "model.retired"]);
    assert!(notices(&market.acme).await.is_empty(), "what has ended is no news");
}

#[tokio::test]
async fn whoever_is_told_learns_of_no_model_that_is_not_for_them() {
    let market = Market::open().await;
    let bolt = listening(market.folder.path(), &market.store, &market.bolt, NOW).await;
    market.published("old", "", &[]).await;
    market.published("secret", "", &["acme"]).await;
    used(&market, "bolt", "old", 1).await;
    market.deprecate(&Asker::Operator, "old", 10, "secret").await.unwrap();
    listings::look(&market.store, NOW).await.unwrap();
    let told = deliveries(&market.store, &bolt).await;
    assert_eq!(body(&told[0])["data"]["successor"], json!(null));
    assert_eq!(listings::notices(&market.store, &market.bolt).await.unwrap()[0].successor, "");
    let seen = market.find(&member(&market.bolt, Role::Viewer), "old").await.unwrap();
    assert_eq!(seen.successor, "");
}
