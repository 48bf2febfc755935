//! What is billed, from an operator's command line.

use std::fs;

use serde_json::Value;
use torchmesh_tests::{accounts::Database, bounded, ledger::meshctl};

use super::Shop;

fn run(shop: &Shop, words: &[&str]) -> String {
    let (address, token) = (shop.accounts.addr().to_string(), shop.accounts.path("operator.token").display().to_string());
    let own = ["accounts", "--accounts-addr", &address, "--token-file", &token];
    let (content, said) = meshctl(&[&own, words].concat());
    assert!(content, "{said}");
    said
}

fn fails(shop: &Shop, words: &[&str]) -> String {
    let (address, token) = (shop.accounts.addr().to_string(), shop.accounts.path("operator.token").display().to_string());
    let (content, said) = meshctl(&[&["accounts", "--accounts-addr", &address, "--token-file", &token], words].concat());
    assert!(!content, "{said}");
    said
}

fn ask(shop: &Shop, words: &[&str]) -> Value {
    let said = run(shop, &[words, &["--output", "json"]].concat());
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[test]
fn an_operator_subscribes_a_tenant_issues_its_invoices_and_takes_its_money() {
    bounded(async {
        let shop = Shop::open(&Database::Sqlite, &[]).await;
        shop.accounts.tenant("acme").await;
        assert_eq!(ask(&shop, &["plan", "list"]).as_array().unwrap().len(), 4);
        let prices = ask(&shop, &["plan", "prices"]);
        let batch = |id: &str| prices.as_array().unwrap().iter().find(|price| price["id"] == id).map(|price| price["batch"].clone());
        assert_eq!((batch("others"), batch("text-2")), (Some("".into()), Some("50%".into())), "{prices}");
        assert!(run(&shop, &["plan", "prices"]).contains("50%"));
        ask(&shop, &["subscription", "profile", "acme", "--tax-name", "VAT", "--tax-rate", "19%", "--recipient", "Acme Ltd"]);
        let held = ask(&shop, &["subscribe", "acme", "pro", "--at", "2026-06-01"]);
        assert_eq!((&held["plan"], &held["tax"]), (&Value::from("pro"), &Value::from("VAT 19%")));
        let issued = ask(&shop, &["invoice", "issue", "--until", "2026-07-01"]);
        assert_eq!((&issued["issued"][0]["due"], issued["issued"].as_array().unwrap().len()), (&Value::from("35.70"), 1), "{issued}");
        assert!(run(&shop, &["invoice", "show", "INV-000001", "--format", "pdf"]).starts_with("%PDF-"));
        assert!(run(&shop, &["invoice", "show", "INV-000001", "--format", "html", "--language", "zh-CN"]).contains("Acme Ltd"));
        let note = ask(&shop, &["invoice", "credit", "INV-000001", "--id", "outage", "--reason", "an outage", "--line", "1=10.00"]);
        assert_eq!((&note["total"], &note["number"]), (&Value::from("11.90"), &Value::from("CN-000001")));
        assert!(run(&shop, &["invoice", "show", "CN-000001", "--format", "csv"]).contains("an outage") || note["reason"] == "an outage");
        ask(&shop, &["payment", "acme", "20.00", "--id", "bank-1"]);
        let file = shop.accounts.path("bank.csv");
        let lines = "id,date,amount,currency,reference\nbank-1,2026-07-02,20.00,EUR,INV-000001\nbank-2,2026-07-02,1.00,USD,INV-000001\nbank-3,2026-07-02,1.00,EUR,INV-000009\n";
        fs::write(&file, lines).unwrap();
        let path = file.display().to_string();
        for words in [&["payment", "import", &*path, "--dry-run"][..], &["payment", "import", &*path], &["payment", "import", &*path]] {
            let refused = fails(&shop, words);
            for part in ["line 3: currency: INV-000001 is in EUR", "line 4: reference: INV-000009", "2 of 3 lines"] {
                assert!(refused.contains(part), "{part}: {refused}");
            }
        }
        ask(&shop, &["credit", "add", "acme", "5.00", "--id", "welcome", "--given"]);
        let balance = ask(&shop, &["credit", "show", "acme"]);
        assert_eq!((&balance["owed"], &balance["credit_left"]), (&Value::from("3.80 EUR"), &Value::from("5.00 EUR")));
        ask(&shop, &["budget", "set", "acme", "monthly", "500.00", "--at", "50"]);
        assert_eq!(ask(&shop, &["budget", "list", "acme"])[0]["thresholds"], serde_json::json!([50]));
        let ids: Vec<Value> =
            ask(&shop, &["ledger", "--tenant", "acme"]).as_array().unwrap().iter().map(|entry| entry["id"].clone()).collect();
        assert_eq!(ids, ["credit/acme/welcome", "payment/acme/bank-1", "credit-note/CN-000001", "invoice/INV-000001"]);
        assert_eq!(ask(&shop, &["invoice", "list", "acme"])[0]["state"], "partly_credited");
        let preview = ask(&shop, &["invoice", "preview", "acme"]);
        assert_eq!((&preview["state"], &preview["total"], &preview["due"]), (&"preview".into(), &"35.70".into(), &"30.70".into()));
        assert_eq!(ask(&shop, &["subscription", "cancel", "acme"])["changes"], preview["period_to"]);
        assert!(ask(&shop, &["statement", "list", "acme"]).as_array().unwrap().is_empty());
    });
}
