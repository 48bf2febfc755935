//! Listings from an operator's command line.

use std::fs;

use serde_json::Value;
use torchmesh_tests::{
    accounts::{Accounts, Database},
    bounded,
    ledger::meshctl,
};

const FILE: &str = r#"
model = "smollm2"
provider = "acme"
task = "generate"
tenants = ["acme"]

[en]
summary = "A small model that chats."
description = "It writes.\n\nAnd it answers."
terms = "No warranty."

[zh]
summary = "一个会聊天的小模型。"

[[version]]
version = "1"
day = "2026-11-27"
text = "The first one."
"#;

fn run(accounts: &Accounts, words: &[&str]) -> (bool, String) {
    let (address, token) = (accounts.addr().to_string(), accounts.path("operator.token").display().to_string());
    meshctl(&[&["accounts", "--accounts-addr", &address, "--token-file", &token, "listing"], words].concat())
}

fn ask(accounts: &Accounts, words: &[&str]) -> Value {
    let (content, said) = run(accounts, &[words, &["--output", "json"]].concat());
    assert!(content, "{said}");
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[test]
fn an_operator_lists_a_model_from_a_file_and_has_it_go_on() {
    bounded(async {
        let accounts = Accounts::start(&Database::Sqlite, &[]).await;
        accounts.tenant("acme").await;
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let made = ask(&accounts, &["create", &file("smollm2.toml", FILE)]);
        assert_eq!((&made["state"], &made["provider"], &made["tenants"][0]), (&"draft".into(), &"acme".into(), &"acme".into()), "{made}");
        let other = serde_json::json!({ "model": "smollm3", "task": "generate", "en": { "summary": "The next." }, "everyone": true });
        ask(&accounts, &["create", &file("smollm3.json", &other.to_string())]);
        assert_eq!(ask(&accounts, &["publish", "smollm3"])["state"], "published");
        let revision = made["revision"].to_string();
        let changed = ask(&accounts, &["update", &file("smollm2.toml", &FILE.replace("small", "tiny")), "--revision", &revision]);
        assert_eq!(changed["texts"][0]["summary"], "A tiny model that chats.");
        let (content, said) = run(&accounts, &["update", &file("smollm2.toml", FILE), "--revision", &revision]);
        assert!(!content && said.contains("read it again"), "{said}");
        let (content, said) = run(&accounts, &["publish", "smollm2", "--revision", &revision]);
        assert!(!content && said.contains("read it again"), "{said}");
        ask(&accounts, &["publish", "smollm2"]);
        let ends = ask(&accounts, &["deprecate", "smollm2", "--retire-on", "2031-03-01", "--successor", "smollm3"]);
        assert_eq!((&ends["retires"], &ends["successor"]), (&"2031-03-01T00:00:00Z".into(), &"smollm3".into()), "{ends}");
        let listed = ask(&accounts, &["list", "--state", "deprecated"]);
        assert_eq!(listed.as_array().unwrap().iter().map(|one| &one["model"]).collect::<Vec<_>>(), ["smollm2"]);
        let (content, shown) = run(&accounts, &["show", "smollm2"]);
        assert!(content && shown.contains("And it answers.") && shown.contains("seen by     the provider, acme"), "{shown}");
        assert_eq!(ask(&accounts, &["retire", "smollm2"])["state"], "retired");
        ask(&accounts, &["create", &file("draft.toml", &FILE.replace("smollm2", "slip"))]);
        assert_eq!(ask(&accounts, &["remove", "slip"])["removed"], true);
        let (content, said) = run(&accounts, &["show", "slip"]);
        assert!(!content && said.contains("there is no such listing"), "{said}");
        assert!(run(&accounts, &["--help"]).1.contains("docs/marketplace.md"));
    });
}
