//! What a decision costs, and what a change of one worker costs, in a large mesh: 10,000 workers, 1,000 models, every worker with two of them, a route for each model.

use std::{hint::black_box, net::SocketAddr, sync::Arc};

use criterion::{Criterion, criterion_group, criterion_main};
use http::HeaderMap;
use torchmesh_api::{
    ids::{InstanceId, ModelName, ModelVersion},
    peek::Routing,
};
use torchmesh_relay::{Endpoint, Groups, RelayMetrics, RelaySettings};
use torchmesh_router::{
    decide::decide,
    routes::read::parse,
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
            black_box(decide(&routes, &table, asked, &headers, at as u64).is_ok())
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

criterion_group!(benches, decisions, updates);
criterion_main!(benches);
