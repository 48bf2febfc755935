//! Messages arrive, whatever is killed and whoever fails.

use std::{collections::BTreeSet, fs, process::Stdio, time::Duration};

use torchmesh_accounts::webhooks::Unverified;
use torchmesh_api::accounts::v1::{IssueInvoicesRequest, WebhookDeliveryState};
use torchmesh_tests::{
    accounts::{Accounts, Database},
    bounded, bounded_by, eventually, places, python,
    receiver::{Manner, Message, Receiver},
};

use super::{
    super::billing::{Shop, first_of},
    KeyFile, SOON, accounts, came, deliveries, names, now_s, registered, settings, verified,
};

async fn an_invoice_arrives(database: &Database) -> (Message, String) {
    let (keys, receiver) = (KeyFile::new(), Receiver::start().await);
    let shop = Shop::open(database, &settings(&keys.path())).await;
    shop.tenant("acme", "pro", 6).await;
    let (webhook, secret) = registered(&shop.accounts, &receiver, "acme", &["invoice.issued"]).await;
    let asked = IssueInvoicesRequest { tenant: "acme".into(), until_unix_ms: first_of(7), ..Default::default() };
    let issued = shop.operator().issue_invoices(asked).await.unwrap().into_inner().issued;
    let message = came(&receiver, 1).await.remove(0);
    let told = message.json();
    assert_eq!((&told["type"], &told["tenant"]["name"]), (&"invoice.issued".into(), &"acme".into()));
    assert_eq!(told["data"]["number"], issued[0].number);
    assert_eq!(told["data"]["total"], issued[0].total);
    assert_eq!(told["id"], message.id);
    assert_eq!(verified(&message, &secret, now_s()), Ok(()));
    assert_eq!(verified(&message, &secret, now_s() + 600), Err(Unverified::Time), "somebody sends it again later");
    let delivered = eventually("it is written down", SOON, async || {
        Some(deliveries(&shop.accounts, &webhook).await).filter(|all| all[0].state() == WebhookDeliveryState::Delivered)
    });
    let delivered = delivered.await.remove(0);
    assert_eq!((delivered.last_status, delivered.message_id), (200, message.id.clone()));
    (message, secret)
}

#[test]
fn an_invoices_message_is_signed_and_verifies_with_either_database() {
    bounded_by(Duration::from_secs(200), async {
        for database in [Database::Sqlite, Database::postgres().await] {
            an_invoice_arrives(&database).await;
        }
    });
}

#[test]
fn the_guides_program_verifies_a_message_and_refuses_what_is_changed_or_old() {
    bounded(async {
        let (message, secret) = an_invoice_arrives(&Database::Sqlite).await;
        let guide = fs::read_to_string(places::repository().join("docs/webhooks.md")).unwrap();
        let program = guide.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let told = serde_json::json!({
            "secret": secret, "id": message.id, "timestamp": message.timestamp, "signature": format!("v1,b2xk {}", message.signature),
            "body": String::from_utf8(message.body.to_vec()).unwrap(),
        });
        let script = format!(
            "{program}\nimport json, sys\ntold = json.loads(sys.argv[1])\n\
             headers = {{'webhook-id': told['id'], 'webhook-timestamp': told['timestamp'], 'webhook-signature': told['signature']}}\n\
             body = told['body'].encode()\n\
             assert verify(told['secret'], headers, body)\n\
             assert not verify(told['secret'], headers, body + b' ')\n\
             now, time.time = time.time(), lambda: now + 400\n\
             assert not verify(told['secret'], headers, body)\nprint('content')\n"
        );
        let mut command = tokio::process::Command::new("python3");
        command.arg("-c").arg(script).arg(told.to_string()).stdin(Stdio::null());
        python::is_content(command).await;
    });
}

/// Changes that were committed before the process was killed are told after its restart: what was under way again with the same id, what waited for the first time.
async fn killed_in_between(database: &Database) {
    let (keys, receiver) = (KeyFile::new(), Receiver::start().await);
    let key_file = keys.path();
    // Long enough for the kill to come before the attempt has failed.
    let patient = [settings(&key_file), vec![("webhooks.timeout", "10s")]].concat();
    let mut accounts = Accounts::start(database, &patient).await;
    accounts.tenant("acme").await;
    let (webhook, secret) = registered(&accounts, &receiver, "acme", &[]).await;
    receiver.set(Manner::Hangs);
    accounts.key("acme", "under-way").await;
    let lost = came(&receiver, 1).await.remove(0);
    accounts.key("acme", "waiting").await;
    accounts.kill();
    receiver.set(Manner::Takes);
    accounts.start_again().await;
    let all = came(&receiver, 3).await;
    assert_eq!(names(&all), ["acme/under-way", "acme/under-way", "acme/waiting"]);
    assert_eq!((&all[1].id, &all[1].body), (&lost.id, &lost.body));
    for message in &all {
        assert_eq!(verified(message, &secret, now_s()), Ok(()));
    }
    eventually("both are written down", SOON, async || {
        let all = deliveries(&accounts, &webhook).await;
        all.iter().all(|delivery| delivery.state() == WebhookDeliveryState::Delivered).then_some(())
    })
    .await;
    assert_eq!(receiver.messages().len(), 3);
}

#[test]
fn what_was_committed_before_a_kill_is_told_after_the_restart_with_either_database() {
    bounded_by(Duration::from_secs(200), async {
        for database in [Database::Sqlite, Database::postgres().await] {
            killed_in_between(&database).await;
        }
    });
}

#[test]
fn a_receiver_that_fails_and_comes_back_gets_everything_in_order_with_the_same_ids() {
    bounded(async {
        let (keys, receiver) = (KeyFile::new(), Receiver::start().await);
        let accounts = accounts(&Database::Sqlite, &keys).await;
        accounts.tenant("acme").await;
        let (webhook, _) = registered(&accounts, &receiver, "", &["key.created"]).await;
        receiver.set(Manner::Says(503));
        for name in ["one", "two", "three"] {
            accounts.key("acme", name).await;
        }
        let failed = came(&receiver, 3).await;
        assert_eq!(names(&failed[..3]), ["acme/one"; 3], "those behind it wait");
        receiver.set(Manner::Takes);
        let all = eventually("the last one has come", SOON, async || {
            Some(receiver.messages()).filter(|all| names(all).last().is_some_and(|name| name == "acme/three"))
        })
        .await;
        let taken = all.iter().rposition(|message| message.id == failed[0].id).unwrap();
        assert_eq!(names(&all[taken..]), ["acme/one", "acme/two", "acme/three"]);
        assert!(all[..=taken].iter().all(|message| message.id == failed[0].id && message.body == failed[0].body));
        let first = deliveries(&accounts, &webhook).await.pop().unwrap();
        assert_eq!(first.attempts, i64::try_from(taken + 1).unwrap());
        accounts
            .instance
            .metric_until("torchmesh_accounts_webhook_attempts_total", &[("outcome", "delivered")], SOON, |value| value == 3)
            .await;
    });
}

#[test]
fn two_processes_with_one_postgresql_tell_everything_once_and_one_goes_on_without_the_other() {
    bounded_by(Duration::from_secs(200), async {
        let (keys, receiver, database) = (KeyFile::new(), Receiver::start().await, Database::postgres().await);
        let (one, other) = (accounts(&database, &keys).await, accounts(&database, &keys).await);
        one.tenant("acme").await;
        let (webhook, _) = registered(&one, &receiver, "acme", &[]).await;
        let mut made = Vec::new();
        for number in 0..40 {
            let name = format!("key-{number:02}");
            if number % 2 == 0 { &one } else { &other }.key("acme", &name).await;
            made.push(format!("acme/{name}"));
        }
        came(&receiver, 40).await;
        all_are_delivered(&one, &webhook).await;
        let all = receiver.messages();
        assert_eq!(names(&all), made, "in order, and each once");
        assert_eq!(all.iter().map(|message| &message.id).collect::<BTreeSet<_>>().len(), 40);
        one.instance.signal(torchmesh_tests::Signal::KILL);
        other.key("acme", "last").await;
        came(&receiver, 41).await;
        all_are_delivered(&other, &webhook).await;
    });
}

async fn all_are_delivered(accounts: &Accounts, webhook: &str) {
    eventually("everything is written down as delivered", SOON, async || {
        let all = deliveries(accounts, webhook).await;
        all.iter().all(|delivery| delivery.state() == WebhookDeliveryState::Delivered).then_some(())
    })
    .await;
}
