//! Receivers that fail, and processes that do.

use std::fs;

use super::{DAY, Hooked, NOW, Receiver, SECOND, courier, hooks, key, receiver::Answer, send_at, settings};
use crate::{
    access::{Asker, Role},
    people::{self, NewMember, Passwords},
    sealing::{Keys, reseal},
    tests::outbox,
    webhooks::{self, DeliveryState, State, Update, tidy},
};

#[tokio::test]
async fn what_was_not_taken_is_sent_again_with_the_same_id_and_keeps_what_is_behind_it_back() {
    let (hooked, receiver) = (Hooked::open().await, Receiver::open().await);
    let (webhook, secret) = hooked.registered(&receiver).await;
    key(hooked.store(), &hooked.acme, "one").await;
    key(hooked.store(), &hooked.acme, "two").await;
    receiver.answers(&[Answer::Status(503)]);
    send_at(&hooked.courier, NOW).await;
    send_at(&hooked.courier, NOW + SECOND).await;
    assert_eq!(receiver.names(), ["acme/one"], "the second one waits for the first");
    let first = hooked.deliveries(&webhook).await.remove(0);
    assert_eq!((first.state, first.status, &*first.error), (DeliveryState::Waiting, 503, "it answered 503"));
    assert!((4 * SECOND..=6 * SECOND).contains(&(first.next_ms - NOW)), "{first:?}");
    assert_eq!(hooked.found(&webhook).await.failing_since_ms, Some(NOW));
    send_at(&hooked.courier, first.next_ms).await;
    assert_eq!(receiver.names(), ["acme/one", "acme/one", "acme/two"]);
    let got = receiver.got();
    assert_eq!((&got[0].id, &got[0].body), (&got[1].id, &got[1].body));
    assert_eq!(got[1].verified(&secret, first.next_ms), Ok(()), "each attempt is signed anew");
    assert_eq!(hooked.found(&webhook).await.failing_since_ms, None);
}

#[tokio::test]
async fn a_message_that_is_never_taken_is_passed_and_given_up_and_can_be_sent_again() {
    let (hooked, receiver) = (Hooked::open().await, Receiver::open().await);
    let (webhook, _) = hooked.registered(&receiver).await;
    key(hooked.store(), &hooked.acme, "never").await;
    key(hooked.store(), &hooked.acme, "other").await;
    let mut at = NOW;
    for attempt in 1..5 {
        receiver.answers(&[Answer::Status(500)]);
        send_at(&hooked.courier, at).await;
        assert_eq!(receiver.got().len(), attempt);
        at = hooked.deliveries(&webhook).await[0].next_ms;
    }
    receiver.answers(&[Answer::Status(500)]);
    send_at(&hooked.courier, at).await;
    assert_eq!(receiver.names()[4..], ["acme/never", "acme/other"]);
    receiver.always(Some(500));
    let never = loop {
        let never = hooked.deliveries(&webhook).await.remove(0);
        if never.state == DeliveryState::Dead {
            break never;
        }
        send_at(&hooked.courier, never.next_ms).await;
    };
    assert!((10..=16).contains(&never.attempts) && never.last_ms.unwrap() <= NOW + 3 * DAY, "{never:?}");
    let sent = receiver.got().len();
    receiver.always(None);
    let again = webhooks::redeliver_dead(&hooked.courier.webhooks, hooked.store(), &Asker::Operator, &webhook.id, NOW + 4 * DAY).await;
    assert_eq!(again.unwrap(), 1);
    send_at(&hooked.courier, NOW + 4 * DAY).await;
    assert_eq!((receiver.got().len(), receiver.got().pop().unwrap().id), (sent + 1, never.message_id));
    let delivered = hooked.deliveries(&webhook).await.remove(0);
    assert_eq!((delivered.state, delivered.attempts), (DeliveryState::Delivered, 1));
    assert_eq!(
        webhooks::redeliver(&hooked.courier.webhooks, hooked.store(), &Asker::Operator, &delivered.id, NOW + 4 * DAY).await.unwrap(),
        1
    );
}

#[tokio::test]
async fn a_receiver_that_is_back_gets_all_that_has_waited() {
    let (hooked, receiver) = (Hooked::open().await, Receiver::open().await);
    let (webhook, _) = hooked.registered(&receiver).await;
    for name in ["one", "two", "three"] {
        key(hooked.store(), &hooked.acme, name).await;
    }
    receiver.always(Some(503));
    let mut at = NOW;
    while at < NOW + DAY {
        send_at(&hooked.courier, at).await;
        at += 60 * SECOND;
    }
    receiver.always(None);
    let next = hooked.deliveries(&webhook).await.iter().map(|kept| kept.next_ms).min().unwrap();
    send_at(&hooked.courier, next).await;
    let states: Vec<_> = hooked.deliveries(&webhook).await.iter().map(|kept| kept.state).collect();
    assert_eq!(states, [DeliveryState::Delivered; 3]);
}

#[tokio::test]
async fn a_webhook_that_fails_for_days_is_switched_off_and_its_owners_get_a_letter() {
    let (hooked, receiver) = (Hooked::open().await, Receiver::open().await);
    let letters = outbox(hooked.folder.path());
    for (email, role) in [("owns@example.org", Role::Owner), ("codes@example.org", Role::Developer)] {
        let invited = NewMember { tenant: &hooked.acme, email, role };
        people::invite(hooked.store(), &letters, &Asker::Operator, invited, NOW).await.unwrap();
    }
    let read = || {
        let files = fs::read_dir(hooked.folder.path().join("outbox")).unwrap();
        files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect::<Vec<_>>()
    };
    let passwords = Passwords::new().unwrap();
    for letter in read() {
        let token = letter.lines().find(|line| line.starts_with("tm_letter_")).unwrap();
        people::reset(hooked.store(), &passwords, token, "correct horse battery", NOW).await.unwrap();
    }
    let (webhook, _) = hooked.registered(&receiver).await;
    receiver.always(Some(500));
    let mut at = NOW;
    while at < NOW + 6 * DAY {
        webhooks::test(&hooked.courier.webhooks, hooked.store(), &Asker::Operator, &webhook.id, at).await.map(|_| ()).unwrap_or_default();
        send_at(&hooked.courier, at).await;
        at += DAY / 4;
    }
    assert_eq!(hooked.found(&webhook).await.state, State::SwitchedOff);
    let told: Vec<_> = read().into_iter().filter(|letter| letter.contains("was switched off")).collect();
    assert!(told.len() == 1 && told[0].contains("To: owns@example.org") && told[0].contains(&receiver.url()), "{told:?}");
    let refused = webhooks::test(&hooked.courier.webhooks, hooked.store(), &Asker::Operator, &webhook.id, at).await;
    assert!(refused.is_err());
    let (sent, waiting) =
        (receiver.got().len(), hooked.deliveries(&webhook).await.iter().filter(|kept| kept.state == DeliveryState::Waiting).count());
    key(hooked.store(), &hooked.acme, "unheard").await;
    receiver.always(None);
    send_at(&hooked.courier, at).await;
    assert_eq!(receiver.got().len(), sent, "it is told nothing");
    let on = Update { enabled: Some(true), ..Update::default() };
    webhooks::update(&hooked.courier.webhooks, hooked.store(), &Asker::Operator, &webhook.id, on, at).await.unwrap();
    send_at(&hooked.courier, at).await;
    assert!(waiting > 0 && receiver.got().len() == sent + waiting, "what has waited is sent");
}

#[tokio::test]
async fn a_receiver_that_says_it_is_gone_is_switched_off_at_once() {
    let (hooked, receiver) = (Hooked::open().await, Receiver::open().await);
    let (webhook, _) = hooked.registered(&receiver).await;
    key(hooked.store(), &hooked.acme, "search").await;
    receiver.answers(&[Answer::Status(410)]);
    send_at(&hooked.courier, NOW).await;
    assert_eq!(hooked.found(&webhook).await.state, State::SwitchedOff);
}

#[tokio::test]
async fn one_process_sends_to_a_webhook_and_another_goes_on_when_it_is_gone() {
    let (hooked, receiver) = (Hooked::open().await, Receiver::open().await);
    hooked.registered(&receiver).await;
    key(hooked.store(), &hooked.acme, "search").await;
    let other = courier(hooked.folder.path(), hooked.store(), hooks(settings(hooked.folder.path())));
    let due = hooked.courier.due(10).await.unwrap();
    let lease = hooked.courier.claim(&due[0]).await.unwrap().unwrap();
    assert!(other.claim(&due[0]).await.unwrap().is_none());
    send_at(&other, NOW + 10 * SECOND).await;
    assert_eq!(receiver.got().len(), 0, "somebody sends to it");
    // That one was killed.
    drop(lease);
    send_at(&other, NOW + 11 * SECOND).await;
    assert_eq!(receiver.names(), ["acme/search"]);
}

#[tokio::test]
async fn a_receiver_that_takes_its_time_leaves_their_turn_to_others() {
    let (hooked, receiver) = (Hooked::open().await, Receiver::open().await);
    hooked.registered(&receiver).await;
    for name in ["one", "two", "three"] {
        key(hooked.store(), &hooked.acme, name).await;
    }
    receiver.answers(&[Answer::Stalls]);
    send_at(&hooked.courier, NOW).await;
    assert_eq!(receiver.names(), ["acme/one"], "its turn is over");
    send_at(&hooked.courier, NOW).await;
    assert_eq!(receiver.names(), ["acme/one", "acme/two", "acme/three"]);
}

#[tokio::test]
async fn whoever_has_lost_a_lease_sends_nothing_with_it() {
    let (hooked, receiver) = (Hooked::open().await, Receiver::open().await);
    hooked.registered(&receiver).await;
    key(hooked.store(), &hooked.acme, "search").await;
    let due = hooked.courier.due(10).await.unwrap();
    let late = hooked.courier.claim(&due[0]).await.unwrap().unwrap();
    super::CLOCK.set(NOW + 20 * SECOND);
    hooked.courier.work(late, &torchmesh_runtime::lifecycle::Drain::default()).await;
    assert_eq!(receiver.got().len(), 0);
    send_at(&hooked.courier, NOW + 20 * SECOND).await;
    assert_eq!(receiver.names(), ["acme/search"]);
}

#[tokio::test]
async fn the_newest_key_seals_what_older_ones_have_and_then_they_can_go() {
    let (hooked, receiver) = (Hooked::open().await, Receiver::open().await);
    let (_, secret) = hooked.registered(&receiver).await;
    let with = |lines: &[&str]| {
        let file = hooked.folder.path().join("other.keys");
        fs::write(&file, lines.iter().map(|line| line.repeat(32)).collect::<Vec<_>>().join("\n")).unwrap();
        let keys = Some(Keys::read(&file).unwrap());
        courier(hooked.folder.path(), hooked.store(), hooks(webhooks::WebhookSettings { keys, ..settings(hooked.folder.path()) }))
    };
    key(hooked.store(), &hooked.acme, "search").await;
    send_at(&with(&["cd"]), NOW).await;
    assert_eq!(receiver.got().len(), 0, "what cannot be signed waits");
    let both = with(&["cd", "ab"]);
    reseal(both.webhooks.keys().unwrap(), &both.store).await.unwrap();
    send_at(&with(&["cd"]), NOW + 61 * SECOND).await;
    assert_eq!(receiver.got()[0].verified(&secret, NOW + 61 * SECOND), Ok(()));
}

#[tokio::test]
async fn what_is_older_than_it_is_kept_is_removed() {
    let (hooked, receiver) = (Hooked::open().await, Receiver::open().await);
    let (webhook, _) = hooked.registered(&receiver).await;
    key(hooked.store(), &hooked.acme, "search").await;
    super::CLOCK.set(NOW + 30 * DAY);
    tidy::remove_old(&hooked.courier).await.unwrap();
    assert_eq!(hooked.deliveries(&webhook).await.len(), 1);
    super::CLOCK.set(NOW + 30 * DAY + 1);
    tidy::remove_old(&hooked.courier).await.unwrap();
    assert_eq!(hooked.deliveries(&webhook).await.len(), 0);
}
