//! What is sent, and to whom.

use super::{DAY, Hooked, NOW, Receiver, SECOND, body, clock, key, receiver::Answer, send_at, tenant};
use crate::{
    access::Asker,
    credentials,
    store::Change,
    webhooks::{self, DeliveryState, Event, Unverified},
};

#[tokio::test]
async fn what_happens_arrives_signed_in_the_order_in_which_it_happened() {
    let (hooked, receiver) = (Hooked::open().await, Receiver::open().await);
    let (webhook, secret) = hooked.registered(&receiver).await;
    for name in ["one", "two", "three"] {
        key(hooked.store(), &hooked.acme, name).await;
    }
    send_at(&hooked.courier, NOW).await;
    assert_eq!(receiver.names(), ["acme/one", "acme/two", "acme/three"]);
    for (got, kept) in receiver.got().iter().zip(hooked.deliveries(&webhook).await) {
        assert_eq!(got.verified(&secret, NOW), Ok(()));
        assert_eq!(got.verified(&secret, NOW + 301 * SECOND), Err(Unverified::Time), "somebody sends it again later");
        assert_eq!((&got.id, &got.body), (&kept.message_id, &kept.body));
        assert_eq!((kept.state, kept.status, kept.attempts), (DeliveryState::Delivered, 200, 1));
    }
    send_at(&hooked.courier, NOW + DAY).await;
    assert_eq!(receiver.got().len(), 3, "once");
}

#[tokio::test]
async fn a_change_that_was_not_committed_is_told_nobody() {
    let (hooked, receiver) = (Hooked::open().await, Receiver::open().await);
    let (webhook, _) = hooked.registered(&receiver).await;
    let (kept, _) = key(hooked.store(), &hooked.acme, "kept").await;
    let mut change = Change::begin(hooked.store(), &Asker::Operator, NOW).await.unwrap();
    webhooks::happened(&mut change, &hooked.acme.id, &Event::key(webhooks::Kind::KeyRevoked, &kept)).await.unwrap();
    drop(change);
    let new = credentials::New { kind: credentials::Kind::ApiKey, name: "kept", scopes: &[], models: None, expires_ms: 0 };
    credentials::create(hooked.store(), &Asker::Operator, &hooked.acme, new, NOW).await.unwrap_err();
    assert_eq!(hooked.delivery(&webhook).await.event, "key.created");
}

#[tokio::test]
async fn a_tenant_hears_of_itself_and_the_operators_of_everybody() {
    let hooked = Hooked::open().await;
    let (bolt, own, all) = (tenant(hooked.store(), "bolt").await, Receiver::open().await, Receiver::open().await);
    hooked.register(Some(&hooked.acme), &own.url(), &["key.created"]).await.unwrap();
    hooked.register(None, &all.url(), &["key.created", "key.revoked"]).await.unwrap();
    let (mine, _) = key(hooked.store(), &hooked.acme, "mine").await;
    key(hooked.store(), &bolt, "theirs").await;
    credentials::revoke(hooked.store(), &Asker::Operator, &mine.id, NOW).await.unwrap();
    send_at(&hooked.courier, NOW).await;
    assert_eq!(own.names(), ["acme/mine"]);
    assert_eq!(all.names(), ["acme/mine", "bolt/theirs", "acme/mine"]);
    let told: serde_json::Value = serde_json::from_str(&all.got()[1].body).unwrap();
    assert_eq!((&told["type"], &told["tenant"]["name"], &told["tenant"]["id"]), (&"key.created".into(), &"bolt".into(), &bolt.id.into()));
}

#[tokio::test]
async fn what_is_sent_says_nothing_that_is_secret() {
    let (hooked, receiver) = (Hooked::open().await, Receiver::open().await);
    let (webhook, secret) = hooked.registered(&receiver).await;
    let (_, key) = key(hooked.store(), &hooked.acme, "search").await;
    send_at(&hooked.courier, NOW).await;
    let told = body(&hooked.delivery(&webhook).await);
    assert_eq!((&told["data"]["name"], &told["data"]["kind"]), (&"acme/search".into(), &"api_key".into()));
    let text = told.to_string();
    assert!(!text.contains(&key) && !text.contains(&secret), "{text}");
    for file in std::fs::read_dir(hooked.folder.path()).unwrap().flatten().filter(|file| file.path().is_file()) {
        let bytes = std::fs::read(file.path()).unwrap();
        let kept = secret.trim_start_matches("whsec_").as_bytes();
        assert!(!bytes.windows(kept.len()).any(|part| part == kept), "{:?} has the secret", file.path());
    }
}

#[tokio::test]
async fn a_test_comes_to_the_webhook_that_is_tried_and_to_no_other() {
    let (hooked, tried, other) = (Hooked::open().await, Receiver::open().await, Receiver::open().await);
    let (webhook, secret) = hooked.register(Some(&hooked.acme), &tried.url(), &["key.revoked"]).await.unwrap();
    hooked.registered(&other).await;
    let made = webhooks::test(&hooked.courier.webhooks, hooked.store(), &Asker::Operator, &webhook.id, NOW).await.unwrap();
    send_at(&hooked.courier, NOW).await;
    assert_eq!((tried.got()[0].id.clone(), other.got().len()), (made.message_id.clone(), 0));
    assert_eq!(tried.got()[0].verified(&secret, NOW), Ok(()));
    assert_eq!(body(&made)["type"], "webhook.test");
}

#[tokio::test]
async fn while_a_secret_rotates_both_sign_and_then_the_new_one_alone() {
    let (hooked, receiver) = (Hooked::open().await, Receiver::open().await);
    let (webhook, old) = hooked.registered(&receiver).await;
    let rotated = webhooks::rotate(&hooked.courier.webhooks, hooked.store(), &Asker::Operator, &webhook.id, DAY, NOW).await;
    let (_, new) = rotated.unwrap();
    for (now, old_is) in [(NOW, Ok(())), (NOW + DAY, Err(Unverified::Signature))] {
        webhooks::test(&hooked.courier.webhooks, hooked.store(), &Asker::Operator, &webhook.id, now).await.unwrap();
        send_at(&hooked.courier, now).await;
        let got = receiver.got().pop().unwrap();
        assert_eq!((got.verified(&new, now), got.verified(&old, now)), (Ok(()), old_is));
    }
}

#[tokio::test]
async fn redirects_are_not_followed_and_slow_and_endless_answers_end() {
    let (hooked, receiver, elsewhere) = (Hooked::open().await, Receiver::open().await, Receiver::open().await);
    let (webhook, _) = hooked.registered(&receiver).await;
    key(hooked.store(), &hooked.acme, "search").await;
    receiver.answers(&[Answer::To(elsewhere.url()), Answer::Never, Answer::Endless]);
    let mut at = NOW;
    for (status, error) in [(307, "redirects are not followed"), (0, "did not answer in time"), (200, "")] {
        send_at(&hooked.courier, at).await;
        let kept = hooked.delivery(&webhook).await;
        assert!(kept.status == status && kept.error.contains(error), "{kept:?}");
        at = kept.next_ms;
    }
    assert_eq!(elsewhere.got().len(), 0);
    assert_eq!(hooked.delivery(&webhook).await.state, DeliveryState::Delivered);
}

#[tokio::test]
async fn an_address_that_is_not_public_any_more_is_not_sent_to() {
    let (hooked, receiver) = (Hooked::open().await, Receiver::open().await);
    let (webhook, _) = hooked.registered(&receiver).await;
    let by_name = hooked.register(Some(&hooked.acme), &receiver.url().replace("127.0.0.1", "localhost"), &[]).await.unwrap().0;
    key(hooked.store(), &hooked.acme, "search").await;
    let mut closed = super::settings(hooked.folder.path());
    closed.rules.allow_private = false;
    let courier = super::courier(hooked.folder.path(), hooked.store(), super::hooks(closed));
    send_at(&courier, clock()).await;
    for webhook in [webhook, by_name] {
        let kept = hooked.delivery(&webhook).await;
        assert!(kept.status == 0 && kept.error.contains("no address in the public internet"), "{kept:?}");
    }
    assert_eq!(receiver.got().len(), 0);
}
