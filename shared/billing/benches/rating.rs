//! How fast use becomes an invoice.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use torchmesh_billing::{Anchor, Bill, Change, Ledger, Rollup, Subscription, SubscriptionEvent, Tenant, Usage, file, invoice};

const SOLD: &str = r#"
    currency = "EUR"
    [[price]]
    id = "p"
    model = "*"
    from = "2026-01-01"
    rate = [{ unit = "prompt_tokens", per = 1_000_000, price = "0.15" }, { unit = "completion_tokens", per = 1_000_000, price = "0.60" }]
    [[plan]]
    id = "payg"
    kind = "pay_per_use"
"#;

/// Rows of a month, by so many models in turn.
fn rows(count: u64, models: u64) -> Vec<Rollup> {
    let start: torchmesh_billing::Moment = "2026-01-01".parse().expect("a date");
    let usage = Usage { calls: 1, prompt_tokens: 812, completion_tokens: 203, items: 1, ..Usage::default() };
    (0..count).map(|row| Rollup::event(start.later(row * 2_000_000_000 / count), format!("model-{:05}", row % models), usage)).collect()
}

fn bench(criterion: &mut Criterion) {
    let catalogue = file::read(SOLD).expect("what is sold");
    let at = "2026-01-01".parse().expect("a date");
    let change = Change::Start { plan: "payg".into(), seats: 1, trial_until: None };
    let subscription = Subscription::new(Anchor::Calendar, [SubscriptionEvent { id: "a".into(), at, change }]).expect("a subscription");
    let tenant = Tenant { id: "acme".into(), currency: "EUR".parse().expect("a currency"), tax: None };
    let period = Anchor::Calendar.period(at).expect("a period");
    let ledger = Ledger::default();
    let bill = |usage| Bill {
        number: "1",
        tenant: &tenant,
        period,
        issued: period.end,
        catalogue: &catalogue,
        subscription: &subscription,
        usage,
        grants: &[],
        ledger: &ledger,
    };
    let mut group = criterion.benchmark_group("invoice");
    group.sample_size(10);
    let million = rows(1_000_000, 20);
    group.throughput(Throughput::Elements(1_000_000));
    group.bench_function("of_1000000_rollups", |bencher| bencher.iter(|| invoice(black_box(&bill(&million)))));
    let wide = rows(10_000, 5_000);
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("of_10000_lines", |bencher| bencher.iter(|| invoice(black_box(&bill(&wide)))));
    let made = invoice(&bill(&wide)).expect("an invoice");
    group.bench_function("of_10000_lines_as_json", |bencher| bencher.iter(|| made.to_json()));
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
