//! What was used, through everything that can go wrong on the way.

use std::time::{Duration, Instant};

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

/// The whole takes a fraction of it; machines may be busy.
const BOUND: Duration = Duration::from_secs(300);

/// How much is delivered, and how often it is disturbed.
#[derive(Clone, Copy)]
struct Replay {
    /// Events, each once.
    events: u64,
    /// Events of one delivery.
    batch: usize,
    /// The accounts are killed once in so many pairs of deliveries.
    kill_every: usize,
    /// PostgreSQL is killed once in so many.
    kill_server_every: usize,
}

const SHORT: Replay = Replay { events: 20_000, batch: 400, kill_every: 5, kill_server_every: 20 };
const LONG: Replay = Replay { events: 1_000_000, batch: 1000, kill_every: 25, kill_server_every: 100 };

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
fn shuffled(events: u64) -> Vec<u64> {
    let mut numbers: Vec<u64> = (0..events).chain((0..events).filter(|number| number % 10 == 3)).collect();
    for at in (1..numbers.len()).rev() {
        numbers.swap(at, (mixed(at as u64) % (at as u64 + 1)) as usize);
    }
    numbers
}

/// Sends a batch until it is taken, as a gateway does.
async fn deliver(accounts: &Accounts, numbers: &[u64]) {
    let mut recorder = accounts.recorder();
    eventually("a batch is taken", Duration::from_secs(60), async || {
        recorder.record(RecordRequest { events: numbers.iter().copied().map(event).collect() }).await.is_ok().then_some(())
    })
    .await;
}

async fn totals_are_exact(accounts: &Accounts, events: u64) {
    for by in [vec![], vec![UsageBy::Hour.into()], vec![UsageBy::Tenant.into(), UsageBy::Credential.into(), UsageBy::Version.into()]] {
        let asked = SumUsageRequest { by, page_size: 1000, ..Default::default() };
        let sums = accounts.usage(OPERATOR, asked).await.unwrap();
        let total = |of: fn(&torchmesh_api::accounts::v1::UsageSum) -> i64| sums.iter().map(of).sum::<i64>().unsigned_abs();
        assert_eq!(total(|sum| sum.calls), events);
        assert_eq!(total(|sum| sum.failed), events / 10);
        assert_eq!(total(|sum| sum.prompt_tokens), events * (events - 1) / 2);
        assert_eq!(total(|sum| sum.completion_tokens), 3 * events);
    }
    let one = SumUsageRequest { tenant: String::new(), model: "model-3".to_owned(), by: vec![UsageBy::Model.into()], ..Default::default() };
    assert_eq!(accounts.usage(OPERATOR, one).await.unwrap()[0].calls.unsigned_abs(), events / 5);
}

/// Delivers everything from two gateways at once, and goes on as `disturb` has it meanwhile; it is told the number of the pair of deliveries.
async fn survives(accounts: &mut Accounts, replay: Replay, mut disturb: impl AsyncFnMut(&mut Accounts, usize)) {
    let all = shuffled(replay.events);
    let batches: Vec<&[u64]> = all.chunks(replay.batch).collect();
    for (at, pair) in batches.chunks(2).enumerate() {
        let (first, last) = (pair[0], pair[pair.len() - 1]);
        // The answer of this one is never read: whether it was taken nobody knows, so that it is sent again.
        let mut lost = accounts.recorder();
        let events = first.iter().copied().map(event).collect();
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
            if at % SHORT.kill_every == 2 {
                accounts.killed_and_started().await;
            }
        };
        survives(&mut accounts, SHORT, kill).await;
        totals_are_exact(&accounts, SHORT.events).await;
    });
}

/// The accounts and PostgreSQL are killed while events come; gives how often each was.
async fn survives_with_postgresql(replay: Replay) -> (usize, usize) {
    let mut database = Database::postgres().await;
    let mut accounts = Accounts::start(&database, &[]).await;
    let Database::Postgres(postgres) = &mut database else { unreachable!("it was asked for") };
    let (mut kills, mut kills_of_server) = (0, 0);
    let kill = async |accounts: &mut Accounts, at: usize| {
        if at % replay.kill_every == 2 {
            kills += 1;
            accounts.killed_and_started().await;
        }
        if at % replay.kill_server_every == 10 {
            kills_of_server += 1;
            postgres.kill();
            postgres.start_again().await;
        }
    };
    survives(&mut accounts, replay, kill).await;
    totals_are_exact(&accounts, replay.events).await;
    let events = replay.events;
    assert_eq!(postgres.ask("SELECT count(*), count(DISTINCT id) FROM usage_events"), format!("{events}|{events}"));
    (kills, kills_of_server)
}

#[test]
fn every_event_counts_once_while_postgresql_is_killed_too() {
    bounded_by(BOUND, survives_with_postgresql(SHORT));
}

#[test]
#[ignore = "it takes minutes: `make gauge`"]
fn a_million_events_count_once_while_the_accounts_and_postgresql_are_killed() {
    let began = Instant::now();
    let (kills, kills_of_server) = bounded_by(Duration::from_secs(1800), survives_with_postgresql(LONG));
    let took = began.elapsed().as_secs();
    println!(
        "1,000,000 events, 100,000 of them twice: totals exact after {kills} kills of the accounts and {kills_of_server} of PostgreSQL, in {took} s"
    );
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
