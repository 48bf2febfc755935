//! Told and erased, in either database.

use std::{fs, time::Duration};

use serde_json::Value;
use tonic::Code;
use torchmesh_api::accounts::v1::{ErasePersonRequest, EraseTenantRequest, TenantState, UpdateTenantRequest};
use torchmesh_tests::{
    accounts::{Accounts, Database, OPERATOR},
    bounded, eventually,
    ledger::meshctl,
};

use super::{ADA, BOB, filled, persons, tenants};

const SOON: Duration = Duration::from_secs(20);

/// What says who somebody is, and where.
fn found(accounts: &Accounts, database: &Database, says: &[&str]) -> Vec<String> {
    let all = match database {
        Database::Postgres(server) => server.everything().into_bytes(),
        // The bytes of its files: what is in none of them is in none of its pages either, free ones and the log's among them.
        Database::Sqlite => fs::read_dir(accounts.path("kept"))
            .unwrap()
            .map(|file| file.unwrap().path())
            .filter(|path| path.is_file())
            .flat_map(|path| fs::read(path).unwrap())
            .collect(),
    };
    let has = |says: &&&str| all.windows(says.len()).any(|part| part == says.as_bytes());
    says.iter().filter(has).map(|says| (*says).to_owned()).collect()
}

async fn somebody_goes(database: &Database) {
    let accounts = Accounts::start(database, &[]).await;
    let [ada, bob] = filled(&accounts).await;
    let whole = tenants(&accounts, &ada, "").await.unwrap();
    assert_eq!((whole["members"].as_array().unwrap().len(), whole["usage_events"].as_array().unwrap().len()), (2, 300));
    for (token, code) in [(&*bob, Code::PermissionDenied), ("nobody's-token-012345678901", Code::Unauthenticated)] {
        assert_eq!(tenants(&accounts, token, "").await.unwrap_err().code(), code);
    }
    assert_eq!(persons(&accounts, &bob, "").await.unwrap()["member"][0]["email"], BOB, "anybody is told what is kept of themselves");
    assert_eq!(persons(&accounts, &bob, ADA).await.unwrap_err().code(), Code::PermissionDenied);
    let all = [ADA, BOB, "adas-laptop", "198.51.100.7", "adas-request"];
    assert_eq!(found(&accounts, database, &all), all, "this test would see them");
    accounts.privacy(&bob).erase_person(ErasePersonRequest { member: BOB.to_owned() }).await.unwrap();
    assert_eq!(found(&accounts, database, &[ADA, BOB]), [ADA]);
    assert_eq!(persons(&accounts, &bob, "").await.unwrap_err().code(), Code::Unauthenticated, "sessions end");
    let erase = async || accounts.privacy(OPERATOR).erase_tenant(EraseTenantRequest { tenant: "acme".to_owned() }).await;
    assert_eq!(erase().await.unwrap_err().code(), Code::FailedPrecondition, "it is open");
    let close = UpdateTenantRequest { tenant: "acme".to_owned(), state: TenantState::Closed.into(), models: None };
    accounts.operator().update_tenant(close).await.unwrap();
    assert_eq!(accounts.privacy(&ada).erase_tenant(EraseTenantRequest::default()).await.unwrap_err().code(), Code::PermissionDenied);
    let erased = erase().await.unwrap().into_inner().tenant.unwrap();
    assert!(erased.name == "acme" && erased.erased_unix_ms > 0);
    assert_eq!(erase().await.unwrap().into_inner().tenant.unwrap(), erased);
    eventually("nothing says who it was", SOON, async || found(&accounts, database, &all).is_empty().then_some(())).await;
    let left = tenants(&accounts, OPERATOR, "acme").await.unwrap();
    let calls: i64 = left["usage_daily"].as_array().unwrap().iter().map(|sum| sum["calls"].as_i64().unwrap()).sum();
    assert_eq!((calls, left["usage_events"].as_array().unwrap().len()), (300, 300), "what was used is still known");
}

#[test]
fn what_is_kept_is_told_whole_and_nobody_is_left_who_was_erased_in_either_database() {
    bounded(async {
        for database in [Database::Sqlite, Database::postgres().await] {
            somebody_goes(&database).await;
        }
    });
}

#[test]
fn an_operator_exports_and_erases_from_the_command_line() {
    bounded(async {
        let accounts = Accounts::start(&Database::Sqlite, &[]).await;
        filled(&accounts).await;
        let (address, token) = (accounts.addr().to_string(), accounts.path("operator.token").display().to_string());
        let own = ["accounts", "--accounts-addr", &address, "--token-file", &token];
        let run = |words: &[&str]| meshctl(&[&own, words].concat());
        let file = accounts.path("acme.json").display().to_string();
        let (content, said) = run(&["export", "tenant", "acme", "--to", &file]);
        assert!(content && said.contains("acme.json"), "{said}");
        let document: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(document["usage_events"].as_array().unwrap().len(), 300);
        let (content, said) = run(&["export", "tenant", "acme", "--to", &file]);
        assert!(!content && said.contains("is there already"), "{said}");
        let (content, said) = run(&["export", "person", BOB]);
        assert!(content && serde_json::from_str::<Value>(&said).unwrap()["member"][0]["email"] == BOB, "{said}");
        let (content, said) = run(&["erase", "person", BOB]);
        assert!(!content && said.contains("--yes"), "{said}");
        assert!(run(&["erase", "person", BOB, "--yes"]).0 && !run(&["export", "person", BOB]).0);
        assert!(run(&["tenant", "close", "acme"]).0);
        let (content, said) = run(&["erase", "tenant", "acme", "--yes"]);
        assert!(content && said.contains("acme is erased"), "{said}");
    });
}
