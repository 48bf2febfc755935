//! Whom a tenant has told what happens: registered, tried and seen through the portal.

use std::{fs, time::Duration};

use tempfile::TempDir;
use torchmesh_accounts::webhooks::{Received, verify};
use torchmesh_tests::{
    accounts::{Accounts, Database},
    bounded, eventually,
    portal::{FOR_ACCOUNTS, Portal, Visitor},
    receiver::{Manner, Message, Receiver},
    web::Answer,
};

use super::{
    alone,
    attacks::{SCRIPT, TEMPLATE, is_text},
    billing::now,
    joined, need_their_token,
};

const SOON: Duration = Duration::from_secs(40);

/// Accounts that tell a receiver on this machine, give up after a second, and a portal.
async fn open() -> (Accounts, Portal, Receiver, TempDir) {
    let folder = TempDir::new().unwrap();
    let keys = folder.path().join("webhook.keys");
    fs::write(&keys, "5a".repeat(32)).unwrap();
    let keys = keys.display().to_string();
    let own = [
        ("webhooks.key_file", &*keys),
        ("webhooks.allow_http", "true"),
        ("webhooks.allow_private", "true"),
        ("webhooks.retry_first", "100ms"),
        ("webhooks.retry_for", "1s"),
    ];
    let accounts = Accounts::start(&Database::Sqlite, &[&FOR_ACCOUNTS[..], &own].concat()).await;
    let portal = Portal::start(&accounts, None, &[]).await;
    (accounts, portal, Receiver::start().await, folder)
}

/// The secret that a page shows, and the page of its webhook.
fn shown(answer: &Answer) -> (String, String) {
    assert_eq!((answer.status, answer.headers["cache-control"].to_str().unwrap()), (200, "no-store"), "{}", answer.text());
    let text = answer.text();
    let part = |begin: &str, end: char| text.split(begin).nth(1).and_then(|rest| rest.split(end).next()).map(str::to_owned);
    let secret = format!("whsec_{}", part("whsec_", '<').expect("a secret is shown"));
    (secret, format!("/console/webhooks/{}", part("\"/console/webhooks/", '"').expect("its page is led to")))
}

async fn made(owner: &mut Visitor, url: &str, description: &str) -> (String, String) {
    let fields = [("url", url), ("description", description), ("events", "*")];
    shown(&owner.send_from("/console", "/console/webhooks", &fields).await)
}

async fn came(receiver: &Receiver, count: usize) -> Vec<Message> {
    eventually(&format!("{count} messages have come"), SOON, async || Some(receiver.messages()).filter(|came| came.len() >= count)).await
}

/// The page of a webhook, once it says this.
async fn says(who: &mut Visitor, page: &str, text: &str) -> String {
    eventually(&format!("{page} says {text}"), SOON, async || Some(who.get(page).await.text()).filter(|page| page.contains(text))).await
}

fn is_signed(message: &Message, secret: &str) -> bool {
    let Message { id, timestamp, signature, body } = message;
    verify(secret, Received { id, timestamp, signature, body }, now() / 1000).is_ok()
}

#[test]
fn a_webhook_is_made_and_tried_and_its_secret_is_shown_once() {
    bounded(async {
        let (accounts, portal, receiver, _keys) = open().await;
        let mut owner = portal.member(&accounts, "acme").await;
        let (secret, page) = made(&mut owner, &receiver.url(), "the books").await;
        for path in ["/console/webhooks", &*page] {
            let text = owner.get(path).await.text();
            assert!(text.contains("the books") && text.contains(&receiver.url()) && text.contains("every event"), "{text}");
            assert!(!text.contains("whsec_"), "{path} has no secret");
        }
        assert_eq!(owner.send_from(&page, &format!("{page}/test"), &[]).await.status, 303);
        let first = came(&receiver, 1).await.remove(0);
        assert!(is_signed(&first, &secret) && first.json()["type"] == "webhook.test");
        let text = says(&mut owner, &page, "delivered").await;
        assert!(text.contains(&first.id) && text.contains("200"), "{text}");
        let again = text.split("/deliveries/").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        assert_eq!(owner.send_from(&page, &format!("{page}/deliveries/{again}"), &[]).await.status, 303);
        assert_eq!(came(&receiver, 2).await[1].id, first.id, "it is sent again with the id that it had");

        assert_eq!(owner.send_from(&page, &format!("{page}/rotate"), &[("hours", "soon")]).await.status, 400);
        let (new, _) = shown(&owner.send_from(&page, &format!("{page}/rotate"), &[("hours", "0")]).await);
        assert_ne!(new, secret);
        owner.send_from(&page, &format!("{page}/test"), &[]).await;
        let third = came(&receiver, 3).await.remove(2);
        assert!(is_signed(&third, &new) && !is_signed(&third, &secret), "the old one has ended");
    });
}

#[test]
fn a_webhook_is_changed_disabled_enabled_and_removed() {
    bounded(async {
        let (accounts, portal, receiver, _keys) = open().await;
        let mut owner = portal.member(&accounts, "acme").await;
        let (_, page) = made(&mut owner, &receiver.url(), "").await;
        let csrf = owner.csrf("/console").await;
        let none = owner.send_with(&csrf, &page, &[("url", &receiver.url()), ("description", "kept")]).await;
        assert!(none.status == 400 && none.text().contains("choose one or more") && none.text().contains("value=\"kept\""));
        let wrong = owner.send_with(&csrf, &page, &[("url", "ftp://example.org"), ("events", "*")]).await;
        assert!(wrong.status == 400 && wrong.text().contains("url: must begin with"), "{}", wrong.text());
        let unknown = owner.send_with(&csrf, &page, &[("url", &receiver.url()), ("events", "key.eaten")]).await;
        assert!(unknown.status == 400 && unknown.text().contains("events: "), "{}", unknown.text());
        let two = [("url", &*receiver.url()), ("description", "keys"), ("events", "key.created"), ("events", "key.revoked")];
        assert_eq!(owner.send_with(&csrf, &page, &two).await.status, 303);
        let text = owner.get(&format!("{page}?told=webhook")).await.text();
        assert!(text.contains("key.created, key.revoked") && text.contains("The webhook is saved"), "{text}");
        owner.send_with(&csrf, "/console/keys", &[("name", "search")]).await;
        assert_eq!(came(&receiver, 1).await[0].json()["type"], "key.created");

        assert_eq!(owner.send_with(&csrf, &format!("{page}/disable"), &[]).await.status, 303);
        assert!(owner.get("/console/webhooks").await.text().contains("disabled"));
        let refused = owner.send_with(&csrf, &format!("{page}/test"), &[]).await;
        assert!(refused.status == 409 && refused.text().contains("enable it first"), "{}", refused.text());
        assert_eq!(owner.get(&format!("{page}/test")).await.status, 303, "the page is opened again from there");
        assert_eq!(owner.send_with(&csrf, &format!("{page}/enable"), &[]).await.status, 303);
        assert_eq!(owner.send_with(&csrf, &format!("{page}/eaten"), &[]).await.status, 404);
        assert_eq!(owner.get(&format!("{page}/remove")).await.status, 200);
        assert_eq!(owner.send_with(&csrf, &format!("{page}/remove"), &[]).await.status, 303);
        assert_eq!(owner.get(&page).await.status, 404);
    });
}

#[test]
fn what_was_given_up_is_seen_with_its_answer_and_all_of_it_is_sent_again() {
    bounded(async {
        let (accounts, portal, receiver, _keys) = open().await;
        let mut owner = portal.member(&accounts, "acme").await;
        let (_, page) = made(&mut owner, &receiver.url(), "").await;
        receiver.set(Manner::Says(503));
        owner.send_from(&page, &format!("{page}/test"), &[]).await;
        let text = says(&mut owner, &page, "given up").await;
        assert!(text.contains("503") && text.contains("fails"), "{text}");
        receiver.set(Manner::Takes);
        assert_eq!(owner.send_from(&page, &format!("{page}/redeliver"), &[]).await.status, 303);
        says(&mut owner, &page, "delivered").await;
    });
}

#[test]
fn the_webhooks_of_another_tenant_do_not_exist_and_only_owners_and_admins_have_any() {
    bounded(async {
        let (accounts, portal, receiver, _keys) = open().await;
        let mut owner = portal.member(&accounts, "acme").await;
        let mut stranger = portal.member(&accounts, "evil").await;
        let mut viewer = joined(&accounts, &portal, &mut owner, "eve@example.org", "developer").await;
        let (_, page) = made(&mut owner, &receiver.url(), "the books").await;
        owner.send_from(&page, &format!("{page}/test"), &[]).await;
        let text = says(&mut owner, &page, "/deliveries/").await;
        let delivery = text.split("/deliveries/").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let guessed = "/console/webhooks/00000000-0000-0000-0000-000000000000";
        let fields = [("url", &*receiver.url()), ("events", "*"), ("hours", "0")];
        let (csrf, lesser) = (stranger.csrf("/console").await, viewer.csrf("/console").await);
        for page in [&*page, guessed] {
            for path in [page.to_owned(), format!("{page}/rotate"), format!("{page}/remove")] {
                assert_eq!(stranger.get(&path).await.status, 404, "GET {path}");
                assert_eq!(viewer.get(&path).await.status, 403, "GET {path}");
            }
            let steps = ["", "/rotate", "/remove", "/test", "/enable", "/disable", "/redeliver"];
            for path in steps.map(|step| format!("{page}{step}")) {
                assert_eq!(stranger.send_with(&csrf, &path, &fields).await.status, 404, "POST {path}");
                assert!([403, 404].contains(&viewer.send_with(&lesser, &path, &fields).await.status), "POST {path}");
            }
        }
        let own = made(&mut stranger, &receiver.url(), "").await.1;
        for page in [&*page, &*own] {
            let path = format!("{page}/deliveries/{delivery}");
            assert_eq!(stranger.send_with(&csrf, &path, &[]).await.status, 404, "POST {path}");
        }
        assert!(!stranger.get("/console/webhooks").await.text().contains("the books"));
        for path in ["/console/webhooks", "/console/webhooks/new"] {
            assert_eq!(viewer.get(path).await.status, 403, "{path}");
        }
        for fields in [&fields[..], &[]] {
            assert_eq!(viewer.send_with(&lesser, "/console/webhooks", fields).await.status, 403);
        }
        assert!(owner.get(&page).await.text().contains("the books"), "it is as it was");
    });
}

#[test]
fn forms_of_webhooks_need_their_token_and_what_is_typed_is_text() {
    bounded(async {
        let (accounts, portal, receiver, _keys) = open().await;
        let mut owner = portal.member(&accounts, "acme").await;
        let called = format!("{SCRIPT}\"{TEMPLATE}");
        let (_, page) = made(&mut owner, &receiver.url(), &called).await;
        for path in ["/console/webhooks".to_owned(), page.clone(), format!("{page}/rotate"), format!("{page}/remove")] {
            is_text(&owner.get(&path).await.text(), &called);
        }
        let refused = owner.send_from("/console", "/console/webhooks", &[("url", &*called), ("events", &*called)]).await;
        assert_eq!(refused.status, 400);
        is_text(&refused.text(), &called);
        let paths = ["", "/rotate", "/remove", "/test", "/enable", "/disable", "/redeliver", "/deliveries/x/again"]
            .map(|step| format!("{page}{step}"));
        let paths: Vec<&str> = paths.iter().map(String::as_str).chain(["/console/webhooks"]).collect();
        need_their_token(&mut owner, &paths, &[("url", &*receiver.url()), ("events", "*"), ("hours", "0")]).await;
        assert!(receiver.messages().is_empty() && owner.get(&page).await.text().contains("enabled"));
    });
}

#[test]
fn where_webhooks_are_off_a_sentence_says_so() {
    bounded(async {
        let (accounts, portal) = alone(&[]).await;
        let mut owner = portal.member(&accounts, "acme").await;
        let page = owner.get("/console/webhooks").await;
        assert!(page.status == 200 && page.text().contains("Webhooks are off here") && !page.text().contains("New webhook"));
        let refused = owner.send_from("/console", "/console/webhooks", &[("url", "https://example.org/"), ("events", "*")]).await;
        assert!(refused.status == 409 && refused.text().contains("off"), "{}", refused.text());
        assert_eq!(owner.get("/console/webhooks/00000000-0000-0000-0000-000000000000").await.status, 404);
    });
}
