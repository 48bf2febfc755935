//! What a call costs that is decided here: finding its counts, deciding, and settling. In time of this thread on a processor, whoever else is at work.

use std::{
    future::Future as _,
    hint::black_box,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use criterion::{Bencher, BenchmarkGroup, Criterion, SamplingMode, criterion_group, criterion_main, measurement::WallTime};
use torchmesh_limits::{
    Costs, Limiter, Rules,
    gcra::{self, Limit},
    rule::Subject,
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

/// How long this thread has been on a processor.
fn on_processor() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells it");
    Duration::from_nanos(told.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("its first number"))
}

fn measure(b: &mut Bencher<'_>, mut work: impl FnMut()) {
    b.iter_custom(|times| {
        let began = on_processor();
        (0..times).for_each(|_| work());
        on_processor().saturating_sub(began)
    });
}

/// Samples of a length, each long enough for a clock that is read by the tick.
fn group(c: &mut Criterion) -> BenchmarkGroup<'_, WallTime> {
    let mut group = c.benchmark_group("limits");
    group.sampling_mode(SamplingMode::Flat).sample_size(40).measurement_time(Duration::from_secs(6));
    group
}

fn decide(c: &mut Criterion) {
    let limit = Limit::new(1000, Duration::from_secs(60), 1000);
    group(c).bench_function("one decision about a rate", |b| {
        measure(b, || {
            black_box(gcra::decide(black_box(7), black_box(9), 1, black_box(&limit)));
        });
    });
}

fn call(c: &mut Criterion, name: &str, rules: &str) {
    let limiter = Arc::new(Limiter::new(Rules::parse(rules).expect("good rules"), 200_000, ""));
    let costs = Costs { tokens: 300, ..Costs::default() };
    let mut group = group(c);
    group.bench_function(format!("a call, {name}"), |b| {
        measure(b, || {
            let now = limiter.now();
            let charges = limiter.charges(&subject(), &costs, &now, |_| true);
            // Nobody is asked, so nothing is waited for.
            let mut context = Context::from_waker(Waker::noop());
            let Poll::Ready(Ok(permit)) = pin!(limiter.admit(None, charges, &now)).poll(&mut context) else { panic!("there is room") };
            permit.settle(&Costs { tokens: 200, ..Costs::default() });
        });
    });
    let now = limiter.now();
    group.bench_function(format!("looking ahead, {name}"), |b| {
        measure(b, || {
            let _ = black_box(limiter.foresee(&subject(), &now));
        });
    });
}

fn calls(c: &mut Criterion) {
    call(c, "one limit", ONE);
    call(c, "four limits", FOUR);
}

criterion_group!(benches, decide, calls);
criterion_main!(benches);
