//! What was used, through everything that can go wrong on the way.

use std::time::Duration;

use torchmesh_api::{
    accounts::v1::{ListCredentialsRequest, SumUsageRequest, UsageBy},
    usage::v1::{RecordRequest, Units, UsageEvent},
};
use torchmesh_tests::{
    MeshSandbox,
    accounts::{Accounts, Database, OPERATOR},
    bounded, bounded_by, client, eventually,
    ledger::Ledger,
    raw::{Call, Connection, MODEL_INFER},
    upstream::{Manner, Upstream},
};

/// Events of one run, each once.
const EVENTS: u64 = 20_000;
/// Events of one delivery.
const BATCH: usize = 400;
/// The whole takes a fraction of it; machines may be busy.
const BOUND: Duration = Duration::from_secs(300);

/// A number from a number: the same each time.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn event(number: u64) -> UsageEvent {
    let units = Units { prompt_tokens: number, completion_tokens: 3, items: 1, ..Default::default() };
    UsageEvent {
        id: (u128::from(mixed(number)) << 64 | u128::from(number)).to_be_bytes().to_vec(),
        time_unix_ms: 1_790_000_000_000 + number * 500,
        tenant: format!("tenant-{}", number % 7),
        credential: format!("tenant-{}/key-{}", number % 7, number % 3),
        model: format!("model-{}", number % 5),
        model_version: "1".to_owned(),
        code: 14 * u32::from(number.is_multiple_of(10)),
        units: Some(units),
        ..Default::default()
    }
}

/// Every event, a tenth of them twice, in an order that has nothing to do with theirs.
fn shuffled() -> Vec<UsageEvent> {
    let mut numbers: Vec<u64> = (0..EVENTS).chain((0..EVENTS).filter(|number| number % 10 == 3)).collect();
    for at in (1..numbers.len()).rev() {
        numbers.swap(at, (mixed(at as u64) % (at as u64 + 1)) as usize);
    }
    numbers.into_iter().map(event).collect()
}

/// Sends a batch until it is taken, as a gateway does.
async fn deliver(accounts: &Accounts, events: &[UsageEvent]) {
    let mut recorder = accounts.recorder();
    eventually("a batch is taken", Duration::from_secs(60), async || {
        recorder.record(RecordRequest { events: events.to_vec() }).await.is_ok().then_some(())
    })
    .await;
}

async fn totals_are_exact(accounts: &Accounts) {
    for by in [vec![], vec![UsageBy::Hour.into()], vec![UsageBy::Tenant.into(), UsageBy::Credential.into(), UsageBy::Version.into()]] {
        let asked = SumUsageRequest { by, page_size: 1000, ..Default::default() };
        let sums = accounts.usage(OPERATOR, asked).await.unwrap();
        let total = |of: fn(&torchmesh_api::accounts::v1::UsageSum) -> i64| sums.iter().map(of).sum::<i64>().unsigned_abs();
        assert_eq!(total(|sum| sum.calls), EVENTS);
        assert_eq!(total(|sum| sum.failed), EVENTS / 10);
        assert_eq!(total(|sum| sum.prompt_tokens), EVENTS * (EVENTS - 1) / 2);
        assert_eq!(total(|sum| sum.completion_tokens), 3 * EVENTS);
    }
    let one = SumUsageRequest { tenant: String::new(), model: "model-3".to_owned(), by: vec![UsageBy::Model.into()], ..Default::default() };
    assert_eq!(accounts.usage(OPERATOR, one).await.unwrap()[0].calls.unsigned_abs(), EVENTS / 5);
}

/// Delivers everything from two gateways at once, and goes on as `disturb` has it meanwhile.
async fn survives(accounts: &mut Accounts, mut disturb: impl AsyncFnMut(&mut Accounts, usize)) {
    let all = shuffled();
    let batches: Vec<&[UsageEvent]> = all.chunks(BATCH).collect();
    for (at, pair) in batches.chunks(2).enumerate() {
        let (first, last) = (pair[0], pair[pair.len() - 1]);
        // The answer of this one is never read: whether it was taken nobody knows, so that it is sent again.
        let mut lost = accounts.recorder();
        let events = first.to_vec();
        let unheard = tokio::spawn(async move { lost.record(RecordRequest { events }).await.is_ok() });
        disturb(accounts, at).await;
        tokio::join!(deliver(accounts, first), deliver(accounts, last));
        // It has ended either way.
        let _ = unheard.await;
    }
}

#[test]
fn every_event_counts_once_while_the_accounts_are_killed_again_and_again() {
    bounded_by(BOUND, async {
        let mut accounts = Accounts::start(&Database::Sqlite, &[]).await;
        let kill = async |accounts: &mut Accounts, at: usize| {
            if at % 5 == 2 {
                accounts.killed_and_started().await;
            }
        };
        survives(&mut accounts, kill).await;
        totals_are_exact(&accounts).await;
    });
}

#[test]
fn every_event_counts_once_while_postgresql_is_killed_too() {
    bounded_by(BOUND, async {
        let mut database = Database::postgres().await;
        let mut accounts = Accounts::start(&database, &[]).await;
        let Database::Postgres(postgres) = &mut database else { unreachable!("it was asked for") };
        let kill = async |accounts: &mut Accounts, at: usize| {
            if at % 5 == 2 {
                accounts.killed_and_started().await;
            }
            if at == 10 {
                postgres.kill();
                postgres.start_again().await;
            }
        };
        survives(&mut accounts, kill).await;
        totals_are_exact(&accounts).await;
        assert_eq!(postgres.ask("SELECT count(*), count(DISTINCT id) FROM usage_events"), format!("{EVENTS}|{EVENTS}"));
    });
}

#[test]
fn what_a_call_used_is_in_the_accounts_a_moment_later() {
    bounded(async {
        let accounts = Accounts::start(&Database::Sqlite, &[]).await;
        accounts.tenant("acme").await;
        let (key, secret) = accounts.key("acme", "search").await;
        let answer = torchmesh_api::frame::encode(&torchmesh_api::inference::ModelInferResponse {
            model_name: "noop".into(),
            model_version: "1".into(),
            ..Default::default()
        });
        let upstream = Upstream::start(&["noop"], Manner::AnswersUsing("noop/1 prompt=4 items=1", answer)).await;
        let ledger = Ledger::default();
        let mesh = accounts.of(ledger.of(MeshSandbox::builder().worker_at(upstream.addr))).start().await;
        let used = async || {
            let asked = SumUsageRequest {
                tenant: "acme".into(),
                by: vec![UsageBy::Credential.into(), UsageBy::Version.into()],
                ..Default::default()
            };
            accounts.usage(OPERATOR, asked).await.unwrap()
        };
        eventually("the key is known", Duration::from_secs(5), async || (super::models(&mesh, 0, &secret).await == 200).then_some(()))
            .await;
        for _ in 0..5 {
            let call = Call::new(MODEL_INFER, &client::noop()).header("authorization", &format!("Bearer {secret}"));
            Connection::open(mesh.gateway()).await.unwrap().call(&call).await.unwrap();
        }
        let sums = eventually("the calls are in the accounts", Duration::from_secs(20), async || {
            let sums = used().await;
            sums.iter().any(|sum| sum.model == "noop" && sum.calls == 5).then_some(sums)
        })
        .await;
        let sum = sums.iter().find(|sum| sum.model == "noop").unwrap();
        assert_eq!((&*sum.credential, &*sum.version, sum.prompt_tokens, sum.items), ("acme/search", "1", 20, 5));
        let listed = accounts.operator().list_credentials(ListCredentialsRequest { tenant: "acme".into(), ..Default::default() }).await;
        let listed = listed.unwrap().into_inner().credentials;
        assert!(listed[0].id == key.id && listed[0].last_used_unix_ms > key.created_unix_ms, "{listed:?}");
    });
}
