//! Copies of the database.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::{
    NOW,
    billing::{Shop, call, tokens},
    key, open, tenant,
};
use crate::{
    access::Asker,
    backup::{backup, restore},
    credentials::{self, Since, feed},
    store::{DatabaseSettings, Kind},
    usage,
};

fn settings(folder: &Path) -> DatabaseSettings {
    let url = format!("sqlite:{}", folder.join("accounts.db").display());
    DatabaseSettings { kind: Kind::Sqlite, url, password_file: None, max_connections: 2 }
}

/// A copy of a shop that has sold something.
async fn copied() -> (Shop, PathBuf) {
    let shop = Shop::open().await;
    shop.start("payg", "2026-06-01").await;
    usage::record(&shop.store, &[call("acme", "2026-06-02T12:00:00Z", "text", 0, tokens(1000, 0))]).await.unwrap();
    shop.issue("2026-07-01").await;
    let file = shop.folder.path().join("copy");
    let found = backup(&settings(shop.folder.path()), &file).await.unwrap();
    assert_eq!((found.tenants, found.entries, found.events), (1, 1, 1));
    (shop, file)
}

async fn refused(to: &Path, file: &Path, why: &str) {
    let refused = restore(&settings(to), file).await.unwrap_err().to_string();
    assert!(refused.contains(why), "{refused}");
}

#[tokio::test]
async fn a_copy_has_what_was_there_and_is_for_its_owner_alone() {
    let (shop, file) = copied().await;
    key(&shop.store, &shop.acme, "later").await;
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let elsewhere = tempfile::tempdir().unwrap();
    let found = restore(&settings(elsewhere.path()), &file).await.unwrap();
    let store = open(elsewhere.path()).await;
    let known = feed(&store, &Since::default(), NOW).await.unwrap();
    assert_eq!((known.to.revision, known.known.len()), (found.revision, 0), "what came later is not in it");
    assert_eq!(crate::billing::balance(&shop.billing, &store, &shop.acme).await.unwrap().owed.number(), "0.50");
    tenant(&store, "bolt").await;
    assert_eq!(elsewhere.path().join("accounts.db").metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_gateway_that_knew_more_than_what_was_restored_is_told_everything_anew() {
    let (shop, file) = copied().await;
    let (key, _) = key(&shop.store, &shop.acme, "later").await;
    let gateway = feed(&shop.store, &Since::default(), NOW).await.unwrap();
    assert_eq!(gateway.known[0].id, key.id);
    let elsewhere = tempfile::tempdir().unwrap();
    restore(&settings(elsewhere.path()), &file).await.unwrap();
    let store = open(elsewhere.path()).await;
    // As many changes as the gateway knows of: by their numbers nothing is missing.
    while feed(&store, &Since::default(), NOW).await.unwrap().to.revision < gateway.to.revision {
        let acme = crate::tenants::find(&store, "acme").await.unwrap().unwrap();
        super::key(&store, &acme, "another").await;
    }
    let told = feed(&store, &gateway.to, NOW).await.unwrap();
    assert!(told.snapshot && told.known.iter().all(|known| known.id != key.id), "{told:?}");
    assert_eq!(told.known.len(), 1);
}

#[tokio::test]
async fn nothing_is_overwritten_and_nothing_is_replaced_under_a_process_that_serves() {
    let (shop, file) = copied().await;
    refused(shop.folder.path(), &file, "the accounts run").await;
    let again = backup(&settings(shop.folder.path()), &file).await.unwrap_err().to_string();
    assert!(again.contains("is there already"), "{again}");
    let elsewhere = tempfile::tempdir().unwrap();
    restore(&settings(elsewhere.path()), &file).await.unwrap();
    refused(elsewhere.path(), &file, "is there already; move it away first").await;
    let nothing = backup(&settings(tempfile::tempdir().unwrap().path()), &elsewhere.path().join("x")).await.unwrap_err().to_string();
    assert!(nothing.contains("there is no database"), "{nothing}");
}

#[tokio::test]
async fn a_copy_that_was_changed_is_not_restored_whatever_was_changed() {
    let (_shop, file) = copied().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let digest = file.with_extension("sha256");
    let whole = fs::read(&file).unwrap();
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&file, &changed).unwrap();
        refused(elsewhere.path(), &file, "is not what was backed up").await;
    }
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    refused(elsewhere.path(), &file, "is not what was backed up").await;
    fs::write(&file, &whole).unwrap();
    fs::rename(&digest, file.with_extension("elsewhere")).unwrap();
    refused(elsewhere.path(), &file, "No such file").await;
    assert!(!elsewhere.path().join("accounts.db").exists());
}

/// Changes a copy, whose digest is that of the changed one then: as somebody does who has the tools.
async fn forged(file: &Path, sql: &'static str) {
    let store = format!("sqlite://{}", file.display());
    sqlx::any::install_default_drivers();
    let mut connection = <sqlx::AnyConnection as sqlx::Connection>::connect(&store).await.unwrap();
    for sql in sql.split(';') {
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }
    sqlx::Connection::close(connection).await.unwrap();
    let hash = torchmesh_ledger::usage::hex(&<sha2::Sha256 as sha2::Digest>::digest(fs::read(file).unwrap()));
    fs::write(file.with_extension("sha256"), format!("{hash}  copy\n")).unwrap();
}

#[tokio::test]
async fn a_copy_of_a_newer_version_or_with_wrong_books_is_not_restored() {
    for (sql, why) in [
        ("UPDATE _sqlx_migrations SET version = 99 WHERE version = 6", "a newer version"),
        ("UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1", "another program"),
        (
            "DROP TRIGGER ledger_postings_no_update;UPDATE ledger_postings SET amount_minor = amount_minor + 1 WHERE account = 'revenue'",
            "does not balance",
        ),
        ("DROP TRIGGER invoices_no_update;UPDATE invoices SET content = '{}'", "INV-000001 of the copy is not what was issued"),
    ] {
        let (_shop, file) = copied().await;
        forged(&file, sql).await;
        let elsewhere = tempfile::tempdir().unwrap();
        refused(elsewhere.path(), &file, why).await;
        assert!(!elsewhere.path().join("accounts.db").exists());
    }
}

#[tokio::test]
async fn a_restore_that_was_killed_half_way_is_done_again() {
    let (shop, file) = copied().await;
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("accounts.db.draft"), &fs::read(&file).unwrap()[..4096]).unwrap();
    restore(&settings(elsewhere.path()), &file).await.unwrap();
    let store = open(elsewhere.path()).await;
    let (made, _) = key(&store, &shop.acme, "search").await;
    credentials::revoke(&store, &Asker::Operator, &made.id, NOW).await.unwrap();
    assert!(!elsewhere.path().join("accounts.db.draft").exists());
}
