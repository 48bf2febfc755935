//! Tenants and their credentials.

use super::{NOW, key, member, open, store, tenant};
use crate::{
    access::{Asker, Role},
    changes,
    credentials::{self, Kind, New, Since, feed},
    error::Refusal,
    page::Page,
    secrets,
    store::Store,
    tenants::{self, State},
};

/// The full names that a gateway that knows nothing is told.
async fn told(store: &Store, now: i64) -> Vec<String> {
    let mut names: Vec<_> = feed(store, &Since::default(), now).await.unwrap().known.into_iter().map(|known| known.full_name).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_key_is_told_to_the_gateways_by_its_hash_and_its_secret_is_kept_nowhere() {
    let (folder, store) = store().await;
    let acme = tenant(&store, "acme").await;
    let (_, secret) = key(&store, &acme, "search").await;
    let feed = feed(&store, &Since::default(), NOW).await.unwrap();
    assert_eq!((&*feed.known[0].full_name, &*feed.known[0].sha256), ("acme/search", &*secrets::hash(&secret)));
    assert!(feed.snapshot && secret.starts_with("tm_"));
    for file in std::fs::read_dir(folder.path()).unwrap().flatten() {
        let bytes = std::fs::read(file.path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{:?} has the secret", file.path());
    }
}

#[tokio::test]
async fn whoever_knows_something_is_told_what_has_changed_since_and_what_is_gone() {
    let (_folder, store) = store().await;
    let acme = tenant(&store, "acme").await;
    let ((one, _), (two, _)) = (key(&store, &acme, "one").await, key(&store, &acme, "two").await);
    let first = feed(&store, &Since::default(), NOW).await.unwrap();
    assert_eq!(first.known.len(), 2);
    credentials::revoke(&store, &Asker::Operator, &one.id, NOW).await.unwrap();
    let then = feed(&store, &first.to, NOW).await.unwrap();
    assert_eq!((then.snapshot, then.known.len(), &then.gone), (false, 0, &vec![one.id.clone()]));
    tenants::update(&store, &Asker::Operator, "acme", Some(State::Suspended), None, NOW).await.unwrap();
    let suspended = feed(&store, &then.to, NOW).await.unwrap();
    assert!(suspended.gone.contains(&two.id) && suspended.known.is_empty(), "{suspended:?}");
    tenants::update(&store, &Asker::Operator, "acme", Some(State::Active), None, NOW).await.unwrap();
    let back = feed(&store, &suspended.to, NOW).await.unwrap();
    assert_eq!((back.known.len(), &back.known[0].id), (1, &two.id));
    for other in [Since { origin: "another".into(), ..back.to.clone() }, Since { revision: back.to.revision + 1, ..back.to }] {
        assert!(feed(&store, &other, NOW).await.unwrap().snapshot, "{other:?} is not of this database");
    }
}

#[tokio::test]
async fn a_rotation_keeps_both_secrets_good_for_as_long_as_it_says() {
    let (_folder, store) = store().await;
    let acme = tenant(&store, "acme").await;
    let (old, before) = key(&store, &acme, "search").await;
    let (new, after) = credentials::rotate(&store, &Asker::Operator, &old.id, 1000, NOW).await.unwrap();
    assert!(before != after && new.name == old.name && new.id != old.id);
    assert_eq!(told(&store, NOW + 999).await, ["acme/search", "acme/search"]);
    assert_eq!(told(&store, NOW + 1000).await, ["acme/search"]);
    let refused = credentials::rotate(&store, &Asker::Operator, &old.id, 0, NOW + 1000).await;
    assert!(matches!(refused, Err(Refusal::State(_))), "{refused:?}");
}

#[tokio::test]
async fn names_are_taken_within_a_tenant_until_they_are_free_again() {
    let (_folder, store) = store().await;
    let (acme, bolt) = (tenant(&store, "acme").await, tenant(&store, "bolt").await);
    let (first, _) = key(&store, &acme, "search").await;
    let new = New { kind: Kind::ApiKey, name: "search", scopes: &[], models: None, expires_ms: 0 };
    assert!(matches!(credentials::create(&store, &Asker::Operator, &acme, new, NOW).await, Err(Refusal::Exists(_))));
    key(&store, &bolt, "search").await;
    credentials::revoke(&store, &Asker::Operator, &first.id, NOW).await.unwrap();
    key(&store, &acme, "search").await;
    let again = tenants::New { name: "acme", display_name: "", models: None };
    assert!(matches!(tenants::create(&store, &Asker::Operator, again, NOW).await, Err(Refusal::Exists(_))));
}

#[tokio::test]
async fn what_is_another_tenants_is_not_there_and_what_a_role_does_not_allow_is_refused() {
    let (_folder, store) = store().await;
    let (acme, bolt) = (tenant(&store, "acme").await, tenant(&store, "bolt").await);
    let (mine, _) = key(&store, &acme, "mine").await;
    let strangers = member(&bolt, Role::Owner);
    for done in [
        credentials::revoke(&store, &strangers, &mine.id, NOW).await.err(),
        credentials::rotate(&store, &strangers, &mine.id, 0, NOW).await.err(),
        strangers.tenant(&store, "acme").await.err(),
        strangers.tenant(&store, &acme.id).await.err(),
    ] {
        assert!(matches!(done, Some(Refusal::Absent(_))), "{done:?}");
    }
    let viewer = member(&acme, Role::Viewer);
    assert!(matches!(credentials::revoke(&store, &viewer, &mine.id, NOW).await, Err(Refusal::Denied(_))));
    let developer = member(&acme, Role::Developer);
    let admins = ["admin".to_owned()];
    let new = New { kind: Kind::ApiKey, name: "root", scopes: &admins, models: None, expires_ms: 0 };
    assert!(
        matches!(credentials::create(&store, &developer, &acme, new, NOW).await, Err(Refusal::Denied(_))),
        "nobody gives themselves more"
    );
    credentials::revoke(&store, &developer, &mine.id, NOW).await.unwrap();
}

#[tokio::test]
async fn every_change_is_written_down_with_who_made_it() {
    let (folder, store) = store().await;
    let acme = tenant(&store, "acme").await;
    let (mine, _) = key(&store, &acme, "mine").await;
    credentials::revoke(&store, &member(&acme, Role::Owner), &mine.id, NOW + 5).await.unwrap();
    drop(store);
    let store = open(folder.path()).await;
    let changes = changes::list(&store, Some(&acme), &Page::of(2, "").unwrap()).await.unwrap();
    let told: Vec<_> = changes.iter().map(|change| (change.revision, &*change.what, &*change.actor)).collect();
    assert_eq!(told, [(3, "credential revoked", "member:m"), (2, "credential created", "operator"), (1, "tenant created", "operator")]);
    assert_eq!((changes[0].time_unix_ms, &*changes[0].subject), (NOW + 5, &*mine.id));
}

#[tokio::test]
async fn a_tenant_that_was_closed_stays_closed() {
    let (_folder, store) = store().await;
    let acme = tenant(&store, "acme").await;
    key(&store, &acme, "mine").await;
    tenants::update(&store, &Asker::Operator, "acme", Some(State::Closed), None, NOW).await.unwrap();
    assert!(matches!(tenants::update(&store, &Asker::Operator, "acme", Some(State::Active), None, NOW).await, Err(Refusal::State(_))));
    assert!(told(&store, NOW).await.is_empty());
}
