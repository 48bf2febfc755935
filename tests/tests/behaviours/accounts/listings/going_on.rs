//! A model from its draft to its end.

use std::time::Duration;

use tonic::Code;
use torchmesh_api::{
    accounts::v1 as api,
    usage::v1::{RecordRequest, UsageEvent},
};
use torchmesh_tests::{
    accounts::{Accounts, Database, OPERATOR},
    bounded, eventually,
};

use super::{super::asking::member, DAY_MS, Market, new, now};

const SOON: Duration = Duration::from_secs(20);

/// Calls of acme's to a model that ended just now: some failed.
async fn calls(accounts: &Accounts, model: &str, count: u16, failed: u16) {
    let event = |number: u16| UsageEvent {
        id: u128::from(number + 1).to_be_bytes().to_vec(),
        time_unix_ms: now().unsigned_abs(),
        tenant: "acme".into(),
        model: model.into(),
        code: if number < failed { 14 } else { 0 },
        duration_us: 50_000,
        ..Default::default()
    };
    let events: Vec<UsageEvent> = (0..count).map(event).collect();
    for some in events.chunks(1000) {
        accounts.recorder().record(RecordRequest { events: some.to_vec() }).await.unwrap();
    }
}

async fn two_editors(accounts: &Accounts, owner: &str) {
    let read = accounts
        .listings(owner)
        .get_listing(api::GetListingRequest { model: "labs-7b".into() })
        .await
        .unwrap()
        .into_inner()
        .listing
        .unwrap();
    let edit = async |summary: &str| {
        let texts = vec![api::ListingText { language: "en".into(), summary: summary.into(), ..Default::default() }];
        let asked = api::UpdateListingRequest {
            model: "labs-7b".into(),
            revision: read.revision,
            task: "generate".into(),
            texts,
            ..Default::default()
        };
        accounts.listings(owner).update_listing(asked).await.map(|told| told.into_inner().listing.unwrap())
    };
    let (one, other) = tokio::join!(edit("One."), edit("Another."));
    let (kept, refused) = match (one, other) {
        (Ok(kept), Err(refused)) | (Err(refused), Ok(kept)) => (kept, refused),
        both => panic!("{both:?}"),
    };
    assert!(refused.code() == Code::Aborted && refused.message().contains("read it again"), "{refused:?}");
    let told = accounts
        .listings(owner)
        .get_listing(api::GetListingRequest { model: "labs-7b".into() })
        .await
        .unwrap()
        .into_inner()
        .listing
        .unwrap();
    assert_eq!((told.texts, told.revision), (kept.texts, kept.revision));
}

async fn from_a_draft_to_its_end(database: &Database) {
    let mut market = Market::open(database).await;
    let owner = member(&market.accounts, "labs", "lea@example.org", api::Role::Owner).await;
    let ada = member(&market.accounts, "acme", "ada@example.org", api::Role::Owner).await;
    let accounts = &market.accounts;
    // What is sold is taken over a moment after the start.
    eventually("labs may list its own", SOON, async || accounts.listings(&owner).create_listing(new("labs-7b")).await.ok()).await;
    let publish = api::PublishListingRequest { model: "labs-7b".into(), revision: 0 };
    let submitted = accounts.listings(&owner).publish_listing(publish.clone()).await.unwrap().into_inner().listing.unwrap();
    assert!(submitted.state() == api::ListingState::Draft && submitted.submitted_unix_ms > 0);
    two_editors(accounts, &owner).await;
    let stale = api::PublishListingRequest { revision: submitted.revision, ..publish.clone() };
    assert_eq!(accounts.listings(OPERATOR).publish_listing(stale).await.unwrap_err().code(), Code::Aborted);
    accounts.listings(OPERATOR).publish_listing(publish).await.unwrap();

    calls(accounts, "labs-7b", 2000, 10).await;
    let get = async |accounts: &Accounts| {
        let asked = api::GetListingRequest { model: "labs-7b".into() };
        accounts.listings_of_anybody().get_listing(asked).await.unwrap().into_inner().listing.unwrap()
    };
    let told = get(accounts).await;
    assert_eq!(told.price.unwrap().id, "all");
    assert_eq!(
        told.figures.iter().map(|of| (of.days, of.calls_at_least, of.available_ppm)).collect::<Vec<_>>(),
        [(7, 2000, Some(995_000)), (30, 2000, Some(995_000))]
    );
    assert!(told.figures.iter().all(|of| (47_000..=56_500).contains(&of.p50_us) && of.p99_us >= of.p50_us), "{:?}", told.figures);

    market.published("labs-8b", "labs", &[]).await;
    let ends = now() + 40 * DAY_MS;
    let asked = api::DeprecateListingRequest { model: "labs-7b".into(), revision: 0, retires_unix_ms: ends, successor: "labs-8b".into() };
    market.accounts.listings(&owner).deprecate_listing(asked).await.unwrap();
    market.accounts.killed_and_started().await;
    let accounts = &market.accounts;
    eventually("acme is told, whoever was killed", SOON, async || {
        let asked = api::ListChangesRequest { tenant: "acme".into(), ..Default::default() };
        let changes = accounts.operator().list_changes(asked).await.unwrap().into_inner().changes;
        (changes.iter().filter(|change| change.what == "model deprecated").count() == 1).then_some(())
    })
    .await;
    let notices = accounts.listings(&ada).list_notices(api::ListNoticesRequest {}).await.unwrap().into_inner().notices;
    assert_eq!(
        notices.iter().map(|one| (&*one.model, one.retires_unix_ms, &*one.successor)).collect::<Vec<_>>(),
        [("labs-7b", ends, "labs-8b")]
    );

    let retire = api::RetireListingRequest { model: "labs-7b".into(), revision: 0 };
    assert_eq!(accounts.listings(&owner).retire_listing(retire.clone()).await.unwrap_err().code(), Code::PermissionDenied);
    // Its day is put forward by an operator, and then it has come.
    let asked =
        api::DeprecateListingRequest { model: "labs-7b".into(), revision: 0, retires_unix_ms: now() + 1500, successor: String::new() };
    accounts.listings(OPERATOR).deprecate_listing(asked).await.unwrap();
    eventually("it is retired by itself", SOON, async || (get(accounts).await.state() == api::ListingState::Retired).then_some(())).await;
    assert_eq!(accounts.listings(OPERATOR).retire_listing(retire).await.unwrap_err().code(), Code::FailedPrecondition);
}

#[test]
fn a_model_goes_on_from_a_draft_to_its_end_in_either_database() {
    bounded(async {
        from_a_draft_to_its_end(&Database::Sqlite).await;
        from_a_draft_to_its_end(&Database::postgres().await).await;
    });
}
