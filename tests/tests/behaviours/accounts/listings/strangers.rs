//! Who may see and do what, at every method.

use tonic::{Code, Status};
use torchmesh_api::accounts::v1 as api;
use torchmesh_tests::{
    accounts::{Database, Listings},
    bounded,
};

use super::{super::asking::member, DAY_MS, Market, new, now};

/// What every method that is asked for a model answers.
async fn asked_about(by: &mut Listings, model: &str) -> Vec<(&'static str, Result<(), Status>)> {
    let (model, texts) = (model.to_owned(), new(model).texts);
    macro_rules! ask {
        ($($method:ident($message:ident { $($field:tt)* })),* $(,)?) => {
            vec![$((stringify!($method), by.$method(api::$message { $($field)* }).await.map(|_| ()))),*]
        };
    }
    ask![
        get_listing(GetListingRequest { model: model.clone() }),
        update_listing(UpdateListingRequest { model: model.clone(), revision: 1, task: "generate".into(), texts, ..Default::default() }),
        publish_listing(PublishListingRequest { model: model.clone(), revision: 0 }),
        deprecate_listing(DeprecateListingRequest {
            model: model.clone(),
            revision: 0,
            retires_unix_ms: now() + 60 * DAY_MS,
            successor: String::new()
        }),
        retire_listing(RetireListingRequest { model: model.clone(), revision: 0 }),
        delete_listing(DeleteListingRequest { model: model.clone(), revision: 0 }),
    ]
}

/// The models that somebody is shown, whatever they ask for.
async fn listed(by: &mut Listings) -> Vec<String> {
    let mut all = Vec::new();
    for state in [0, 1, 2, 3, 4] {
        for words in ["", "labs", "model"] {
            let asked = api::ListListingsRequest { state, words: words.into(), ..Default::default() };
            all.extend(by.list_listings(asked).await.unwrap().into_inner().listings.into_iter().map(|listing| listing.model));
        }
    }
    all.sort();
    all.dedup();
    all
}

async fn strangers(database: &Database) {
    let market = Market::open(database).await;
    let accounts = &market.accounts;
    market.draft("labs-draft", "labs", &[]).await;
    market.published("labs-acme", "labs", &["acme"]).await;
    market.published("open", "", &[]).await;
    let eve = member(accounts, "bolt", "eve@example.org", api::Role::Owner).await;
    let mut eve = accounts.listings(&eve);
    for model in ["labs-draft", "labs-acme", "no-such-model", "", "' OR '1'='1"] {
        for (method, answer) in asked_about(&mut eve, model).await {
            assert_eq!(answer.unwrap_err().code(), Code::NotFound, "{method} of {model:?}");
        }
    }
    assert_eq!(listed(&mut eve).await, ["open"]);
    for (method, answer) in asked_about(&mut eve, "open").await {
        let code = answer.err().map_or(Code::Ok, |refused| refused.code());
        assert_eq!(code, if method == "get_listing" { Code::Ok } else { Code::PermissionDenied }, "{method}");
    }
    let own = api::ListListingsRequest { own: true, ..Default::default() };
    assert!(eve.list_listings(own.clone()).await.unwrap().into_inner().listings.is_empty());
    for (model, provider) in [("labs-new", ""), ("labs-new", "labs"), ("mine", ""), ("open", "")] {
        let refused = eve.create_listing(api::CreateListingRequest { provider: provider.into(), ..new(model) }).await.unwrap_err();
        let code = if provider.is_empty() { Code::PermissionDenied } else { Code::NotFound };
        assert_eq!(refused.code(), code, "{model} for {provider:?}");
    }

    let ada = member(accounts, "acme", "ada@example.org", api::Role::Viewer).await;
    assert_eq!(listed(&mut accounts.listings(&ada)).await, ["labs-acme", "open"]);
    assert!(
        accounts
            .listings(&ada)
            .get_listing(api::GetListingRequest { model: "labs-acme".into() })
            .await
            .unwrap()
            .into_inner()
            .listing
            .unwrap()
            .audience
            .is_none()
    );
    let dev = member(accounts, "labs", "dev@example.org", api::Role::Developer).await;
    assert_eq!(listed(&mut accounts.listings(&dev)).await, ["labs-acme", "open"], "drafts are for owners and admins");
    assert_eq!(accounts.listings(&dev).list_listings(own.clone()).await.unwrap_err().code(), Code::PermissionDenied);
    let owner = member(accounts, "labs", "lea@example.org", api::Role::Owner).await;
    assert_eq!(listed(&mut accounts.listings(&owner)).await, ["labs-acme", "labs-draft", "open"]);
    let told = accounts.listings(&owner).get_listing(api::GetListingRequest { model: "labs-acme".into() }).await.unwrap().into_inner();
    assert!(told.listing.unwrap().audience.unwrap().tenants.is_empty(), "whose else's names they are is the operators' to know");

    let mut anybody = accounts.listings_of_anybody();
    let seen = anybody.list_listings(api::ListListingsRequest::default()).await.unwrap().into_inner().listings;
    assert_eq!(seen.iter().map(|listing| &*listing.model).collect::<Vec<_>>(), ["open"]);
    assert_eq!(anybody.get_listing(api::GetListingRequest { model: "labs-acme".into() }).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(anybody.list_notices(api::ListNoticesRequest {}).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(anybody.create_listing(new("mine")).await.unwrap_err().code(), Code::Unauthenticated);
    for (method, answer) in asked_about(&mut accounts.listings("not-a-token-of-anybody"), "open").await {
        assert_eq!(answer.unwrap_err().code(), Code::Unauthenticated, "{method}: a token that is not good is not as good as none");
    }
}

#[test]
fn what_somebody_may_not_see_does_not_exist_in_either_database() {
    bounded(async {
        strangers(&Database::Sqlite).await;
        strangers(&Database::postgres().await).await;
    });
}
