//! What a decision costs, and what a change of one worker costs, in a large mesh: 10,000 workers, 1,000 models, every worker with two of them, a route for each model. And what it costs to find
//! out who has read a conversation before.

use std::{hint::black_box, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::HeaderMap;
use torchmesh_api::{
    frame,
    ids::{InstanceId, ModelName, ModelVersion},
    peek::Routing,
    text::v1::{ChatMessage, ChatRequest},
};
use torchmesh_relay::{
    Endpoint, Groups, RelayMetrics, RelaySettings,
    balance::prefix::{Prefix, PrefixIndex, Seat},
};
use torchmesh_router::{
    decide::decide,
    prompt::{self, ByPrefix},
    routes::{Brought, read::parse},
    table::{Listed, TableBuilder},
    watching::Watching,
};

const WORKERS: usize = 10_000;
const MODELS: usize = 1_000;

fn listed(at: usize, version: u64) -> Arc<Vec<Listed>> {
    let one = |model: usize| Listed {
        model: ModelName::parse(&format!("model-{}", model % MODELS)).expect("a name"),
        version: ModelVersion::parse(&version.to_string()),
        ready: true,
        reason: String::new(),
        load: 0,
    };
    Arc::new(vec![one(at), one(at * 7 + 1)])
}

fn mesh() -> (TableBuilder, Vec<Arc<Endpoint>>) {
    let mut builder = TableBuilder::new(Groups::new(RelaySettings::default(), RelayMetrics::default()), Arc::new(Watching::new(2)));
    let endpoint = |at: usize| {
        let id = InstanceId::parse(&format!("worker-{at}")).expect("an id");
        Arc::new(Endpoint::new(id, SocketAddr::from(([10, (at >> 16) as u8, (at >> 8) as u8, at as u8], 8082)), 2))
    };
    let endpoints: Vec<_> = (0..WORKERS).map(endpoint).collect();
    for (at, endpoint) in endpoints.iter().enumerate() {
        builder.set(endpoint, &listed(at, 1 + at as u64 % 2));
    }
    (builder, endpoints)
}

fn decisions(c: &mut Criterion) {
    let (mut builder, _endpoints) = mesh();
    let table = builder.table();
    let route = |at| {
        format!(
            "[[route]]\nmodel = 'model-{at}'\nsticky = 'tenant'\nto = [{{ version = '1', weight = 90 }}, {{ version = '2', weight = 10 }}]\n"
        )
    };
    let routes = parse(&(0..MODELS).map(route).collect::<String>()).expect("good routes");
    let names: Vec<_> = (0..MODELS).map(|at| format!("model-{at}")).collect();
    let headers: HeaderMap = [("x-torchmesh-tenant", "acme"), ("user-agent", "bench")]
        .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)))
        .into_iter()
        .collect();
    let mut at = 0;
    c.bench_function("route decision, 10,000 workers, 1,000 models", |bench| {
        bench.iter(|| {
            at = (at + 7) % MODELS;
            let asked = Routing { name: &names[at], version: "" };
            black_box(decide(&routes, &table, asked, Brought { headers: &headers, content: None, draw: at as u64 }).is_ok())
        });
    });
}

fn updates(c: &mut Criterion) {
    let (mut builder, endpoints) = mesh();
    let mut table = builder.table();
    let (mut at, mut version) = (0, 3);
    c.bench_function("update of one worker, 10,000 workers, 1,000 models", |bench| {
        bench.iter(|| {
            at = (at + 13) % WORKERS;
            version = 7 - version;
            builder.set(&endpoints[at], &listed(at, version));
            table = builder.table();
        });
    });
    black_box(table);
}

/// A conversation of 16 messages of a kibibyte each, in frames as HTTP/2 sends them.
fn conversation() -> Vec<Bytes> {
    let message = |at: usize| ChatMessage { role: "user".to_owned(), content: format!("{at:01024}"), ..Default::default() };
    let request = ChatRequest { model: "m".to_owned(), messages: (0..16).map(message).collect(), ..Default::default() };
    frame::encode(&request).chunks(16 << 10).map(Bytes::copy_from_slice).collect()
}

fn read(frames: &[Bytes]) -> Option<Prefix> {
    let chat = "/torchmesh.text.v1.GenerationService/Chat";
    prompt::prefix(chat, b"acme", ByPrefix { shared: false }, frames.iter())
}

fn prefixes(c: &mut Criterion) {
    let frames = conversation();
    c.bench_function("beginning of a conversation of 16 KiB", |bench| bench.iter(|| black_box(read(black_box(&frames)))));
    let prefix = read(&frames).expect("it is longer than a block");
    let mut index = PrefixIndex::new(4 << 20);
    for seed in 0..1_000 {
        let mut other = Prefix::reading(seed);
        other.write(&[7; 16 << 10]);
        index.note(&other.finish().expect("it is longer than a block"), Seat::FIRST);
    }
    c.bench_function("who has read a conversation of 16 KiB, of 64,000 blocks", |bench| {
        bench.iter(|| {
            index.note(&prefix, Seat::FIRST);
            black_box(index.choose(&prefix, |_| Some(0), |_| true, |_| 0))
        });
    });
    let mut never = Prefix::reading(1_000_000);
    never.write(&[7; 16 << 10]);
    let never = never.finish().expect("it is longer than a block");
    c.bench_function("that nobody has read a conversation of 16 KiB", |bench| {
        bench.iter(|| black_box(index.choose(&never, |_| Some(0), |_| true, |_| 0)));
    });
}

criterion_group!(benches, decisions, updates, prefixes);
criterion_main!(benches);
