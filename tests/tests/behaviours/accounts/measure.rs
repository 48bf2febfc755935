//! How fast usage is taken in, beside what PostgreSQL takes in itself: `cargo test --release -p torchmesh-tests --test behaviours accounts::measure -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use torchmesh_api::usage::v1::{RecordRequest, Units, UsageEvent};
use torchmesh_tests::{
    accounts::{Accounts, Database},
    bounded_by,
};

const EVENTS: usize = 200_000;
const BATCH: usize = 1000;
/// Gateways that send at once.
const GATEWAYS: usize = 4;

fn event(number: usize) -> UsageEvent {
    let units = Units {
        prompt_tokens: 120,
        completion_tokens: 60,
        items: 1,
        bytes_in: 900,
        bytes_out: 400,
        compute_us: 9000,
        ..Default::default()
    };
    UsageEvent {
        id: (0x0190_0000_0000_7000_8000_0000_0000_0000_u128 + ((number as u128 / 50) << 80) + number as u128).to_be_bytes().to_vec(),
        time_unix_ms: 1_790_000_000_000 + number as u64 * 20,
        tenant: format!("tenant-{}", number % 50),
        credential: format!("tenant-{}/key-{}", number % 50, number % 2),
        model: format!("model-{}", number % 4),
        model_version: "1".to_owned(),
        door: 2,
        method: "/v1/chat/completions".to_owned(),
        units: Some(units),
        request_id: format!("{number:032x}"),
        trace_id: vec![7; 16],
        source_address: "10.0.0.1".to_owned(),
        duration_us: 12_000,
        ..Default::default()
    }
}

async fn rate(accounts: &Accounts) -> f64 {
    let began = Instant::now();
    let tasks: Vec<_> = (0..GATEWAYS)
        .map(|gateway| {
            let mut recorder = accounts.recorder();
            tokio::spawn(async move {
                for batch in (gateway..EVENTS / BATCH).step_by(GATEWAYS) {
                    let events = (batch * BATCH..(batch + 1) * BATCH).map(event).collect();
                    recorder.record(RecordRequest { events }).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    EVENTS as f64 / began.elapsed().as_secs_f64()
}

#[test]
#[ignore = "a measurement, not a check: `make gauge`"]
fn events_a_second_beside_raw_copy() {
    bounded_by(Duration::from_secs(600), async {
        let sqlite = rate(&Accounts::start(&Database::Sqlite, &[]).await).await;
        println!("sqlite: {sqlite:.0} events/s");
        let database = Database::postgres().await;
        let Database::Postgres(server) = &database else { unreachable!("it was asked for") };
        let postgres = rate(&Accounts::start(&database, &[]).await).await;
        println!("postgresql: {postgres:.0} events/s");
        // The same rows into a table with the same indexes, and nothing else.
        let raw = |to: &str, at_once: usize| EVENTS as f64 / server.copy("usage_events", to, at_once).as_secs_f64();
        let batches = raw("in_batches", BATCH);
        println!("raw COPY in transactions of {BATCH}, one connection: {batches:.0} rows/s; ours is {:.2} of it", postgres / batches);
        println!("raw COPY in one transaction: {:.0} rows/s", raw("at_once", EVENTS));
        assert_eq!(server.ask("SELECT sum(calls) FROM usage_daily"), EVENTS.to_string());
    });
}
