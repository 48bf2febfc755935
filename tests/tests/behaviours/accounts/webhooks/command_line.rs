//! Webhooks from an operator's command line.

use serde_json::Value;
use torchmesh_tests::{
    accounts::{Accounts, Database},
    bounded, eventually,
    ledger::meshctl,
    receiver::{Manner, Receiver},
};

use super::{KeyFile, SOON, accounts, came, now_s, verified};

fn run(accounts: &Accounts, words: &[&str]) -> String {
    let (address, token) = (accounts.addr().to_string(), accounts.path("operator.token").display().to_string());
    let own = ["accounts", "--accounts-addr", &address, "--token-file", &token, "webhook"];
    let (content, said) = meshctl(&[&own, words].concat());
    assert!(content, "{said}");
    said
}

fn ask(accounts: &Accounts, words: &[&str]) -> Value {
    let said = run(accounts, &[words, &["--output", "json"]].concat());
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[test]
fn an_operator_adds_a_webhook_tries_it_rotates_its_secret_and_sends_something_again() {
    bounded(async {
        let (keys, receiver) = (KeyFile::new(), Receiver::start().await);
        let accounts = accounts(&Database::Sqlite, &keys).await;
        accounts.tenant("acme").await;
        let made = ask(&accounts, &["add", &receiver.url(), "--tenant", "acme", "--event", "key.created", "--description", "the shop's"]);
        let (id, old) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
        assert!(old.starts_with("whsec_"), "{made}");
        let listed = ask(&accounts, &["list", "--tenant", "acme"]);
        assert_eq!(
            (&listed[0]["state"], &listed[0]["secret"], &listed[0]["events"][0]),
            (&"enabled".into(), &Value::Null, &"key.created".into())
        );
        let tested = ask(&accounts, &["test", id]);
        let came_first = came(&receiver, 1).await.remove(0);
        assert_eq!(tested["message"], came_first.id);
        let new = ask(&accounts, &["rotate", id, "--overlap", "1h"])["secret"].as_str().unwrap().to_owned();
        receiver.set(Manner::Says(410));
        ask(&accounts, &["test", id]);
        let second = came(&receiver, 2).await.remove(1);
        assert_eq!((verified(&second, old, now_s()), verified(&second, &new, now_s())), (Ok(()), Ok(())));
        eventually("it is switched off", SOON, async || {
            (ask(&accounts, &["list", "--tenant", "acme"])[0]["state"] == "switched off").then_some(())
        })
        .await;
        receiver.set(Manner::Takes);
        ask(&accounts, &["enable", id]);
        let delivered = async || {
            let all = ask(&accounts, &["deliveries", id, "--state", "delivered"]);
            Some(all).filter(|all| all.as_array().unwrap().len() == 2)
        };
        let all = eventually("both were taken", SOON, delivered).await;
        assert_eq!((&all[0]["last_status"], &all[0]["attempts"]), (&200.into(), &2.into()));
        assert_eq!(ask(&accounts, &["redeliver", all[1]["id"].as_str().unwrap()])["redelivered"], 1);
        assert_eq!(came(&receiver, 4).await[3].id, came_first.id);
        assert_eq!(ask(&accounts, &["redeliver", "--dead-of", id])["redelivered"], 0);
        assert_eq!(ask(&accounts, &["update", id, "--event", "*"])["events"][0], "*");
        assert_eq!(ask(&accounts, &["disable", id])["state"], "disabled");
        assert_eq!(ask(&accounts, &["remove", id])["removed"], true);
        assert!(ask(&accounts, &["list"]).as_array().unwrap().is_empty());
        assert!(run(&accounts, &["--help"]).contains("docs/webhooks.md"));
    });
}
