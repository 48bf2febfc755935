//! The accounts from an operator's command line.

use serde_json::Value;
use torchmesh_tests::{
    MeshSandbox,
    accounts::{Accounts, Database},
    bounded, eventually,
    ledger::meshctl,
    models::Model,
};

use super::models;

/// Asks the accounts; gives the JSON of the answer.
fn ask(accounts: &Accounts, words: &[&str]) -> Value {
    let (address, token) = (accounts.addr().to_string(), accounts.path("operator.token").display().to_string());
    let own = ["accounts", "--accounts-addr", &address, "--token-file", &token, "--output", "json"];
    let (content, said) = meshctl(&[&own, words].concat());
    assert!(content, "{said}");
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[test]
fn an_operator_makes_a_tenant_and_a_key_and_takes_the_key_back() {
    bounded(async {
        let accounts = Accounts::start(&Database::Sqlite, &[]).await;
        let mesh = accounts.of(MeshSandbox::builder().model(Model::noop())).start().await;
        ask(&accounts, &["tenant", "create", "acme", "--display-name", "Acme Ltd"]);
        let key = ask(&accounts, &["key", "create", "search", "--tenant", "acme", "--expires", "90d"]);
        let (id, secret) = (key["id"].as_str().unwrap(), key["secret"].as_str().unwrap());
        let until = async |status: u16| {
            let answers = async || (models(&mesh, 0, secret).await == status).then_some(());
            eventually("the gateway has heard of it", std::time::Duration::from_secs(5), answers).await;
        };
        until(200).await;
        let listed = ask(&accounts, &["key", "list", "--tenant", "acme"]);
        assert_eq!((&listed[0]["name"], &listed[0]["secret"]), (&Value::from("acme/search"), &Value::Null), "{listed}");
        ask(&accounts, &["tenant", "suspend", "acme"]);
        until(401).await;
        ask(&accounts, &["tenant", "resume", "acme"]);
        until(200).await;
        ask(&accounts, &["key", "revoke", id]);
        until(401).await;
        let changes = ask(&accounts, &["changes", "--tenant", "acme"]);
        assert_eq!(changes.as_array().unwrap().len(), 5, "{changes}");
    });
}
