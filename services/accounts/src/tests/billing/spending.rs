//! Budgets, and calls that stop.

use std::fs;

use torchmesh_api::usage::v1::Units;

use super::{Shop, at, tokens};
use crate::{
    access::{Asker, Role},
    billing::{self, NewBudget, NewProfile},
    credentials::{Since, feed},
    error::Refusal,
    people::{self, NewMember, Passwords},
    tests::{key, member, outbox},
};

async fn budget(shop: &Shop, limit: Option<(&str, &str)>, asker: &Asker, now: &str) -> Result<(), Refusal> {
    let new = NewBudget { name: "monthly", limit, thresholds: &[50, 100] };
    billing::set_budget(&shop.billing, &shop.store, asker, &shop.acme, new, at(now)).await.map(|_| ())
}

#[tokio::test]
async fn a_budget_is_told_of_once_a_period_and_threshold_and_to_those_who_see_what_is_billed() {
    let shop = Shop::open().await;
    let outbox = outbox(shop.folder.path());
    for (email, role) in [("pays@example.org", Role::Billing), ("codes@example.org", Role::Developer)] {
        let invited = NewMember { tenant: &shop.acme, email, role };
        people::invite(&shop.store, &outbox, &Asker::Operator, invited, at("2026-06-01")).await.unwrap();
    }
    let letters = || {
        let files = fs::read_dir(shop.folder.path().join("outbox")).unwrap().map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
        files.collect::<Vec<_>>()
    };
    let passwords = Passwords::new().unwrap();
    for letter in letters() {
        let token = letter.lines().find(|line| line.starts_with("tm_letter_")).unwrap();
        people::reset(&shop.store, &passwords, token, "correct horse battery", at("2026-06-01")).await.unwrap();
    }
    shop.start("payg", "2026-06-01").await;
    budget(&shop, Some(("1.00", "EUR")), &member(&shop.acme, Role::Billing), "2026-06-01").await.unwrap();
    let tell = async |now| billing::tell_budgets(&shop.billing, &shop.store, &outbox, &shop.acme, at(now)).await.unwrap();
    assert_eq!(tell("2026-06-02").await, 0);
    shop.used("2026-06-03", "text", 0, tokens(1000, 0)).await;
    assert_eq!((tell("2026-06-04").await, tell("2026-06-04").await), (1, 0), "0.50 of 1.00, once");
    shop.used("2026-06-05", "text", 0, tokens(4000, 0)).await;
    assert_eq!((tell("2026-06-06").await, tell("2026-06-07").await), (1, 0), "2.50 of 1.00");
    let told = billing::budgets(&shop.billing, &shop.store, &shop.acme, at("2026-06-07")).await.unwrap();
    assert_eq!(told[0].told, [50, 100].into());
    shop.used("2026-07-02", "text", 0, tokens(1000, 0)).await;
    assert_eq!(tell("2026-07-03").await, 1, "another period");
    let notices: Vec<String> =
        letters().into_iter().filter(|letter| letter.contains("Subject: ") && letter.contains("the budget monthly")).collect();
    assert!(notices.len() == 3 && notices.iter().all(|letter| letter.contains("To: pays@example.org")), "{notices:?}");
    assert!(matches!(budget(&shop, None, &member(&shop.acme, Role::Viewer), "2026-07-03").await, Err(Refusal::Denied(_))));
    budget(&shop, None, &Asker::Operator, "2026-07-03").await.unwrap();
    assert!(matches!(budget(&shop, None, &Asker::Operator, "2026-07-03").await, Err(Refusal::Absent(_))));
}

/// Why the gateways refuse acme's calls.
async fn stopped(shop: &Shop, now: &str) -> String {
    billing::check_stops(&shop.billing, &shop.store, &shop.acme, at(now)).await.unwrap();
    feed(&shop.store, &Since::default(), at(now)).await.unwrap().known[0].stopped.clone()
}

#[tokio::test]
async fn what_is_free_is_used_up_until_the_period_ends_or_another_plan_holds() {
    let shop = Shop::open().await;
    key(&shop.store, &shop.acme, "search").await;
    shop.start("free", "2026-06-01").await;
    for _ in 0..9 {
        shop.used("2026-06-02", "image", 0, Units::default()).await;
    }
    assert_eq!(stopped(&shop, "2026-06-03").await, "");
    let before = feed(&shop.store, &Since::default(), at("2026-06-03")).await.unwrap().to;
    shop.used("2026-06-03", "image", 0, Units::default()).await;
    let why = stopped(&shop, "2026-06-03").await;
    assert!(why.contains("10 of calls") && why.contains("2026-07-01") && why.contains("subscribe"), "{why}");
    assert_eq!(feed(&shop.store, &before, at("2026-06-03")).await.unwrap().known.len(), 1, "gateways are told");
    assert_eq!(stopped(&shop, "2026-07-01").await, "", "another period");
    assert!(!stopped(&shop, "2026-06-30").await.is_empty());
    shop.start("payg", "2026-06-30").await;
    assert_eq!(stopped(&shop, "2026-06-30").await, "");
}

#[tokio::test]
async fn prepaid_calls_go_on_as_long_as_there_is_credit() {
    let shop = Shop::open().await;
    key(&shop.store, &shop.acme, "search").await;
    shop.start("payg", "2026-06-01").await;
    let prepaid = NewProfile { prepaid: Some(true), ..NewProfile::default() };
    let change = async |asker: &Asker| billing::update_profile(&shop.store, asker, &shop.acme, prepaid.clone(), at("2026-06-01")).await;
    assert!(matches!(change(&member(&shop.acme, Role::Owner)).await, Err(Refusal::Denied(_))));
    change(&Asker::Operator).await.unwrap();
    assert!(stopped(&shop, "2026-06-01").await.contains("add credit"));
    shop.credit("k", "1.00", "2026-06-01").await;
    assert_eq!(stopped(&shop, "2026-06-02").await, "");
    shop.used("2026-06-02", "text", 0, tokens(1900, 0)).await;
    assert_eq!(stopped(&shop, "2026-06-03").await, "", "0.95 of 1.00");
    shop.used("2026-06-03", "text", 0, tokens(100, 0)).await;
    assert!(stopped(&shop, "2026-06-03").await.contains("add credit"));
    shop.credit("l", "1.00", "2026-06-04").await;
    assert_eq!(stopped(&shop, "2026-06-04").await, "");
}
