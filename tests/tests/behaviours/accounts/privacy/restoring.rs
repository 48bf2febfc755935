//! Copies that are made while events are taken in, and put back.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tonic::Code;
use torchmesh_api::accounts::v1::{RevokeCredentialRequest, SumUsageRequest, WatchRequest};
use torchmesh_tests::{
    MeshSandbox, Signal,
    accounts::{Accounts, Database, OPERATOR},
    bounded, eventually,
    models::Model,
    postgres::Postgres,
};

use super::{super::models, filled, record, tenants};

const SOON: Duration = Duration::from_secs(10);
/// Events of one delivery.
const BATCH: u64 = 100;

fn number(text: &str, behind: &str) -> u64 {
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = words.iter().position(|word| *word == behind).unwrap_or_else(|| panic!("{behind} is not in {text}"));
    words[at - 1].parse().unwrap()
}

async fn calls(accounts: &Accounts) -> u64 {
    let asked = SumUsageRequest { tenant: "acme".to_owned(), ..Default::default() };
    accounts.usage(OPERATOR, asked).await.unwrap().iter().map(|sum| sum.calls.unsigned_abs()).sum()
}

#[test]
fn what_pg_dump_has_copied_is_put_back_with_its_books_and_gateways_learn_it_too() {
    bounded(async {
        let (server, other) = (Postgres::start().await, Postgres::start().await);
        let database = Database::Postgres(server);
        let accounts = Accounts::start(&database, &[]).await;
        filled(&accounts).await;
        let whole = tenants(&accounts, OPERATOR, "acme").await.unwrap();
        let Database::Postgres(server) = &database else { unreachable!("it is that") };
        server.copy_to(&other);
        let (late, _) = accounts.key("acme", "late").await;
        other.ask("UPDATE revision SET origin = ''");
        let copied = Database::Postgres(other);
        let restored = Accounts::start(&copied, &[]).await;
        let again = tenants(&restored, OPERATOR, "acme").await.unwrap();
        for section in ["tenant", "members", "credentials", "changes", "usage_daily", "usage_events"] {
            assert_eq!(again[section], whole[section], "{section}");
        }
        let (before, after) = (origin(&accounts).await, origin(&restored).await);
        assert!(!after.is_empty() && before != after, "revisions of the two have nothing to do with each other");
        let asked = RevokeCredentialRequest { id: late.id };
        assert_eq!(restored.operator().revoke_credential(asked).await.unwrap_err().code(), Code::NotFound);
    });
}

/// Which database a gateway is told that it is.
async fn origin(accounts: &Accounts) -> String {
    let mut messages = accounts.identity().watch(WatchRequest::default()).await.unwrap().into_inner();
    messages.message().await.unwrap().unwrap().origin
}

#[test]
fn a_copy_that_is_made_while_calls_come_in_is_of_one_moment_and_gateways_learn_what_was_put_back() {
    bounded(async {
        let mut accounts = Accounts::start(&Database::Sqlite, &[]).await;
        filled(&accounts).await;
        let mesh = accounts.of(MeshSandbox::builder().model(Model::noop())).start().await;
        let (_, early) = accounts.key("acme", "early").await;
        let until = async |key: &str, status: u16| {
            eventually("the gateway has heard of it", SOON, async || (models(&mesh, 0, key).await == status).then_some(())).await;
        };
        until(&early, 200).await;
        let file = accounts.path("copy").display().to_string();
        let (taken, answered) = (AtomicU64::new(300), AtomicU64::new(0));
        let copying = async {
            let before = taken.load(Ordering::SeqCst);
            let output = accounts.instance.beside(&["backup", &file]).await;
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.success(), "{said}");
            answered.store(1, Ordering::SeqCst);
            // One delivery may have been committed and not answered yet.
            (number(&said, "calls,"), before..=taken.load(Ordering::SeqCst) + BATCH)
        };
        let sending = async {
            while answered.load(Ordering::SeqCst) == 0 {
                let from = taken.load(Ordering::SeqCst);
                record(&accounts, from..from + BATCH).await;
                taken.store(from + BATCH, Ordering::SeqCst);
            }
        };
        let ((copied, ours), ()) = tokio::join!(copying, sending);
        let (_, late) = accounts.key("acme", "late").await;
        until(&late, 200).await;
        let running = accounts.instance.beside(&["restore", &file]).await;
        assert!(String::from_utf8_lossy(&running.stderr).contains("the accounts run"), "{running:?}");
        accounts.instance.end(Signal::TERM).await;
        let there = accounts.instance.beside(&["restore", &file]).await;
        assert!(String::from_utf8_lossy(&there.stderr).contains("is there already"), "{there:?}");
        for name in ["accounts.db", "accounts.db-wal", "accounts.db-shm"] {
            // The log is folded into the file when the last one leaves.
            let _ = fs::rename(accounts.path("kept").join(name), accounts.path(name));
        }
        let restored = accounts.instance.beside(&["restore", &file]).await;
        assert!(restored.status.success(), "{restored:?}");
        accounts.start_again().await;
        assert!(calls(&accounts).await >= copied, "the gateway sends what it has not been answered");
        let whole = tenants(&accounts, OPERATOR, "acme").await.unwrap();
        let sum = |section: &str| whole[section].as_array().unwrap().iter().map(|sum| sum["calls"].as_u64().unwrap()).sum::<u64>();
        let events = whole["usage_events"].as_array().unwrap();
        assert_eq!((sum("usage_daily"), sum("usage_hourly")), (events.len() as u64, events.len() as u64));
        let sent = events.iter().filter(|event| event["credential"] == "acme/adas-laptop").count() as u64;
        assert!(ours.contains(&sent), "{sent} is not in {ours:?}");
        until(&late, 401).await;
        until(&early, 200).await;
    });
}
