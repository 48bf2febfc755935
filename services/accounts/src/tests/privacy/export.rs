//! What is told.

use super::{ADA, BOB, Filled, NOW, STREET, key, tenant, texts, used, written};
use crate::{privacy, usage};

#[tokio::test]
async fn a_tenants_document_has_all_that_is_kept_of_it_and_nothing_of_others() {
    let filled = Filled::open().await;
    let bolt = tenant(filled.store(), "bolt").await;
    key(filled.store(), &bolt, "bolts-own").await;
    let told = written(async |sink| privacy::export_tenant(filled.store(), &filled.shop.acme, true, NOW, sink).await).await;
    let count = |section: &str| told[section].as_array().unwrap_or_else(|| panic!("{section} is not there")).len();
    assert_eq!((&told["tenant"][0]["name"], &told["tenant"][0]["display_name"]), (&"acme".into(), &"Lovelace Engines".into()));
    let mut addresses: Vec<_> = told["members"].as_array().unwrap().iter().map(|member| member["email"].as_str().unwrap()).collect();
    addresses.sort_unstable();
    assert_eq!(addresses, [ADA, BOB]);
    assert_eq!([count("second_factors"), count("identities")], [1, 1]);
    assert_eq!([count("sessions"), count("letters"), count("credentials"), count("webhooks")], [2, 2, 2, 1]);
    assert_eq!([count("webhook_deliveries"), count("budgets"), count("credit_notes"), count("ledger")], [1, 1, 1, 3]);
    assert_eq!([count("listings"), count("listing_texts"), count("listing_notices")], [1, 1, 0]);
    assert_eq!(told["invoices"][0]["recipient"], STREET);
    assert_eq!(told["invoices"][0]["content"]["number"], told["invoices"][0]["number"], "the invoice itself, not a text of it");
    assert_eq!([count("usage_events"), count("usage_hourly"), count("usage_daily")], [3, 2, 2]);
    assert_eq!(told["usage_events"][0]["source"], "198.51.100.7");
    assert!(count("changes") > 10 && told["exported"] == "2026-09-21T14:13:20.000Z", "{told}");
    assert!(!told.to_string().contains("bolt"));
}

#[tokio::test]
async fn no_document_has_a_hash_of_a_secret_or_of_a_password() {
    let filled = Filled::open().await;
    let tenants = written(async |sink| privacy::export_tenant(filled.store(), &filled.shop.acme, true, NOW, sink).await).await.to_string();
    let persons =
        written(async |sink| privacy::export_person(filled.store(), &filled.outbox, &filled.ada, NOW, sink).await).await.to_string();
    let queries = [
        "SELECT password_hash FROM members",
        "SELECT sha256 FROM credentials",
        "SELECT sha256 FROM sessions",
        "SELECT sha256 FROM letters",
        "SELECT sealed FROM webhook_secrets",
        "SELECT sealed FROM second_factors",
        "SELECT sha256 FROM recovery_codes",
        "SELECT sha256 FROM sign_in_challenges",
        "SELECT subject FROM attempts",
    ];
    for query in queries {
        let hidden = texts(filled.store(), query).await;
        assert!(!hidden.is_empty(), "{query} finds nothing");
        for hidden in hidden {
            assert!(!tenants.contains(&hidden) && !persons.contains(&hidden), "{query}: {hidden}");
        }
    }
}

#[tokio::test]
async fn a_persons_document_is_about_them_alone() {
    let filled = Filled::open().await;
    let told = written(async |sink| privacy::export_person(filled.store(), &filled.outbox, &filled.ada, NOW, sink).await).await;
    assert_eq!((told["member"][0]["email"].as_str(), told["member"][0]["role"].as_str()), (Some(ADA), Some("owner")));
    let count = |section: &str| told[section].as_array().unwrap().len();
    assert_eq!([count("letters"), count("sessions"), count("failed_sign_ins"), count("reset_letters_asked_for")], [1, 1, 1, 1]);
    assert_eq!(told["letters_in_the_outbox"], 3, "an invitation, one to set another password, and of the second factor");
    assert_eq!([count("second_factor"), count("sign_ins_that_wait_for_a_code"), count("failed_codes")], [1, 1, 0]);
    assert_eq!((&told["second_factor"][0]["confirmed_ms"], &told["identities"][0]["subject"]), (&NOW.into(), &"adas-subject".into()));
    assert!(count("changes") >= 4);
    assert!(!told.to_string().contains("bob"), "{told}");
}

#[tokio::test]
async fn a_document_of_many_pages_has_every_call_once() {
    let filled = Filled::open().await;
    // Many of them at the same moment: the next page begins among them.
    let events: Vec<_> = (0..1700).map(|at| used(if at % 3 == 0 { "2026-06-12T00:00:00Z" } else { "2026-06-13T00:00:00Z" })).collect();
    for some in events.chunks(500) {
        usage::record(filled.store(), some).await.unwrap();
    }
    let told = written(async |sink| privacy::export_tenant(filled.store(), &filled.shop.acme, true, NOW, sink).await).await;
    let mut ids: Vec<_> = told["usage_events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 1703);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 1703);
    let without = written(async |sink| privacy::export_tenant(filled.store(), &filled.shop.acme, false, NOW, sink).await).await;
    assert!(without.get("usage_events").is_none() && without["usage_daily"].as_array().unwrap().len() == 4);
}
