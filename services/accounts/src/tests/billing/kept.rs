//! What is sold, as it changes and is kept.

use super::{SOLD, Shop, at, settings};
use crate::{billing::Billing, error::Refusal, tests::open};

#[tokio::test]
async fn a_file_that_may_not_take_the_last_ones_place_is_refused_whole_and_the_last_one_goes_on() {
    let shop = Shop::open().await;
    shop.start("pro", "2026-06-01").await;
    assert!(!shop.sells(SOLD, "2026-06-01").await.unwrap(), "it is the same");
    let refused = shop.sells(&SOLD.replace("30.00", "35.00").replace("\"0.01\"", "\"0.02\""), "2026-06-02").await.unwrap_err();
    assert!(refused.contains("plan \"pro\"") && refused.contains("price \"others\""), "{refused}");
    let broken = shop.sells("currency = 'EUR'\n[[plan]]\nid = 'x'\n[[price]]\nmodel = '*'", "2026-06-02").await.unwrap_err();
    assert!(broken.contains("kind") && broken.contains("price"), "{broken}");
    assert_eq!(shop.spent("2026-06-03").await, "30.00");
    let more = format!("{SOLD}\n[[plan]]\nid = 'big'\nkind = 'subscription'\nfee = '90.00'");
    assert!(shop.sells(&more, "2026-06-04").await.unwrap());
    shop.start("big", "2026-06-16").await;
    assert_eq!(shop.spent("2026-06-17").await, "60.00");
}

#[tokio::test]
async fn what_was_sold_before_a_restart_still_counts_against_what_the_file_says_after_it() {
    let shop = Shop::open().await;
    std::fs::write(shop.folder.path().join("billing.toml"), SOLD.replace("30.00", "35.00")).unwrap();
    let (store, billing) = (open(shop.folder.path()).await, Billing::new(settings(shop.folder.path())));
    assert!(billing.take_over(&store, at("2026-06-02")).await.unwrap_err().contains("plan \"pro\""));
    let sold = billing.sold(&mut store.reads().unwrap().acquire().await.unwrap()).await.unwrap();
    assert_eq!(sold.catalogue.plan("pro").unwrap().fee(1).unwrap().unwrap().number(), "30.00");
}

#[tokio::test]
async fn where_no_file_says_what_is_sold_the_remedy_is_told() {
    let shop = Shop::open().await;
    let billing = Billing::new(crate::billing::BillingSettings { file: None, ..settings(shop.folder.path()) });
    let refused = billing.sold(&mut shop.store.reads().unwrap().acquire().await.unwrap()).await;
    assert!(matches!(refused, Err(Refusal::State(why)) if why.contains("billing.file")));
}
