//! Who may register what.

use super::{Hooked, NOW, Receiver, key, tenant};
use crate::{
    access::{Asker, Role},
    error::Refusal,
    page::Page,
    sealing::Keys,
    tests::member,
    webhooks::{self, NewWebhook, Rules, State, Update},
};

const NEW: NewWebhook<'_> = NewWebhook { url: "https://example.org/hooks", events: &[], description: "" };

#[tokio::test]
async fn what_is_another_tenants_does_not_exist_and_roles_that_may_not_are_refused() {
    let (hooked, receiver) = (Hooked::open().await, Receiver::open().await);
    let (webhooks, store) = (&hooked.courier.webhooks, hooked.store());
    let (bolt, (mine, _)) = (tenant(store, "bolt").await, hooked.registered(&receiver).await);
    let (operators, _) = hooked.register(None, &receiver.url(), &[]).await.unwrap();
    key(store, &hooked.acme, "search").await;
    let delivery = hooked.delivery(&mine).await;
    let stranger = member(&bolt, Role::Owner);
    for id in [&mine.id, &operators.id, &"no such id".to_owned()] {
        for done in [
            webhooks::find(store, &stranger, id).await.err(),
            webhooks::update(webhooks, store, &stranger, id, Update::default(), NOW).await.err(),
            webhooks::rotate(webhooks, store, &stranger, id, 0, NOW).await.err(),
            webhooks::test(webhooks, store, &stranger, id, NOW).await.err(),
            webhooks::redeliver_dead(webhooks, store, &stranger, id, NOW).await.err(),
            webhooks::remove(webhooks, store, &stranger, id, NOW).await.err(),
        ] {
            assert_eq!(done, Some(Refusal::Absent("there is no such webhook".to_owned())), "{id}");
        }
    }
    for id in [&*delivery.id, "no such id"] {
        let done = webhooks::redeliver(webhooks, store, &stranger, id, NOW).await.err();
        assert_eq!(done, Some(Refusal::Absent("there is no such delivery".to_owned())));
    }
    for role in [Role::Developer, Role::Billing, Role::Viewer] {
        let asker = member(&hooked.acme, role);
        for done in [
            webhooks::create(webhooks, store, &asker, Some(&hooked.acme), NEW, NOW).await.err(),
            webhooks::update(webhooks, store, &asker, &mine.id, Update::default(), NOW).await.err(),
            webhooks::rotate(webhooks, store, &asker, &mine.id, 0, NOW).await.err(),
            webhooks::redeliver(webhooks, store, &asker, &delivery.id, NOW).await.err(),
            webhooks::remove(webhooks, store, &asker, &mine.id, NOW).await.err(),
        ] {
            assert!(matches!(done, Some(Refusal::Denied(_))), "{role:?}: {done:?}");
        }
    }
    let everybodys = webhooks::create(webhooks, store, &stranger, None, NEW, NOW).await.err();
    assert!(matches!(everybodys, Some(Refusal::Denied(_))), "only operators hear of every tenant");
    webhooks::remove(webhooks, store, &member(&hooked.acme, Role::Admin), &mine.id, NOW).await.unwrap();
}

#[tokio::test]
async fn addresses_inside_and_events_that_there_are_not_are_refused() {
    let hooked = Hooked::with(|settings| settings.rules = Rules::default()).await;
    for url in ["http://example.org/", "https://127.0.0.1/", "https://[::1]:8083/", "https://169.254.169.254/latest", "https://localhost/"]
    {
        let refused = hooked.register(Some(&hooked.acme), url, &[]).await;
        assert!(matches!(&refused, Err(Refusal::Invalid(text)) if text.starts_with("url: ")), "{url}: {refused:?}");
    }
    let unknown = hooked.register(Some(&hooked.acme), "https://1.1.1.1/", &["invoice.lost"]).await;
    assert!(matches!(&unknown, Err(Refusal::Invalid(text)) if text.contains("invoice.issued")), "{unknown:?}");
    let (webhook, _) =
        hooked.register(Some(&hooked.acme), "https://1.1.1.1/", &["key.revoked", "invoice.issued", "key.revoked"]).await.unwrap();
    assert_eq!((&*webhook.events, &*webhook.url), ("invoice.issued key.revoked", "https://1.1.1.1/"));
    let inside = Update { url: Some("https://10.0.0.1/"), ..Update::default() };
    let refused = webhooks::update(&hooked.courier.webhooks, hooked.store(), &Asker::Operator, &webhook.id, inside, NOW).await;
    assert!(matches!(refused, Err(Refusal::Invalid(_))), "{refused:?}");
}

#[tokio::test]
async fn a_tenant_has_at_most_sixteen() {
    let (hooked, receiver) = (Hooked::open().await, Receiver::open().await);
    for _ in 0..16 {
        hooked.registered(&receiver).await;
    }
    assert!(matches!(hooked.register(Some(&hooked.acme), &receiver.url(), &[]).await, Err(Refusal::State(_))));
    hooked.register(None, &receiver.url(), &[]).await.unwrap();
    let page = Page::of(10, "").unwrap();
    let mut own = webhooks::list(hooked.store(), Some(&hooked.acme), &page).await.unwrap();
    let next = page.cut(&mut own, |webhook| webhook.id.clone());
    assert_eq!(
        (own.len(), webhooks::list(hooked.store(), Some(&hooked.acme), &Page::of(10, &next).unwrap()).await.unwrap().len()),
        (10, 6)
    );
    assert_eq!(webhooks::list(hooked.store(), None, &Page::of(100, "").unwrap()).await.unwrap().len(), 17);
}

#[tokio::test]
async fn what_happens_while_a_webhook_is_disabled_is_not_told() {
    let (hooked, receiver) = (Hooked::open().await, Receiver::open().await);
    let (webhook, _) = hooked.registered(&receiver).await;
    let set = async |enabled| {
        let new = Update { enabled: Some(enabled), ..Update::default() };
        webhooks::update(&hooked.courier.webhooks, hooked.store(), &Asker::Operator, &webhook.id, new, NOW).await.unwrap().state
    };
    assert_eq!(set(false).await, State::Disabled);
    key(hooked.store(), &hooked.acme, "unheard").await;
    assert_eq!(set(true).await, State::Enabled);
    key(hooked.store(), &hooked.acme, "heard").await;
    super::send_at(&hooked.courier, NOW).await;
    assert_eq!(receiver.names(), ["acme/heard"]);
}

#[tokio::test]
async fn without_a_key_file_webhooks_are_off_and_say_so() {
    let hooked = Hooked::with(|settings| settings.keys = None::<Keys>).await;
    let refused = hooked.register(Some(&hooked.acme), "https://1.1.1.1/", &[]).await;
    assert!(matches!(&refused, Err(Refusal::State(text)) if text.contains("webhooks.key_file")), "{refused:?}");
}
