//! What a call costs that is decided here: finding its counts, deciding, and settling.

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use torchmesh_limits::{
    Costs, Limiter, Rules,
    gcra::{self, Limit},
    rule::{Rule, Subject},
};

const ONE: &str = "[[limit]]\nper = 'tenant'\nrequests = '100M/1s'";
const FOUR: &str = "
[[limit]]
per = 'tenant'
requests = '100M/1s'
tokens = '1G/1s'
[[limit]]
per = 'key'
requests = '100M/1s'
[[limit]]
per = 'model'
model = 'smol*'
requests = '100M/1s'
";

fn subject() -> Subject<'static> {
    Subject { tenant: Some("acme"), key: Some("production"), model: Some("smollm2"), address: Some("192.0.2.7") }
}

fn decide(c: &mut Criterion) {
    let limit = Limit::new(1000, Duration::from_secs(60), 1000);
    c.bench_function("decide about one rate", |b| b.iter(|| gcra::decide(black_box(7), black_box(9), 1, black_box(&limit))));
}

fn call(c: &mut Criterion, name: &str, rules: &str) {
    let limiter = Arc::new(Limiter::new(Rules::parse(rules).expect("good rules"), 200_000, ""));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let costs = Costs { tokens: 300, ..Costs::default() };
    c.bench_function(&format!("a whole call, {name}"), |b| {
        b.iter(|| {
            let now = limiter.now();
            let charges = limiter.charges(&subject(), &costs, &now, |_| true);
            let permit = runtime.block_on(limiter.admit(None, charges, &now)).expect("there is room");
            permit.settle(&Costs { tokens: 200, ..Costs::default() });
        });
    });
    let now = limiter.now();
    c.bench_function(&format!("what is known to be used up, {name}"), |b| {
        b.iter(|| {
            let charges = limiter.charges(&subject(), &costs, &now, Rule::is_known_at_once);
            black_box(limiter.foresee(&charges, &now)).is_ok()
        });
    });
}

fn calls(c: &mut Criterion) {
    call(c, "one limit", ONE);
    call(c, "four limits", FOUR);
}

criterion_group!(benches, decide, calls);
criterion_main!(benches);
