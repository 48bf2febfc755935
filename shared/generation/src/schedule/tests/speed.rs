use super::*;
use crate::{Author, Logits, Next};

/// Always goes on.
struct Tireless;

impl Author for Tireless {
    fn begin(&mut self, _prompt: usize, _cached: usize) {}
    fn next(&mut self, _logits: &mut [f32]) -> Next {
        Next::Token(1)
    }
    fn wanted(&self) -> bool {
        true
    }
    fn end(&mut self, _end: End) {}
}

/// How long plan, spans and apply take for 64 running sequences with `waiting` behind them, in microseconds a step.
fn cost(waiting: usize, lookup: Option<Lookup>) -> f64 {
    let mut model = facts(64 * 140, 16);
    model.max_tokens = 1 << 20;
    let mut scheduler = Scheduler::new(&model, Settings { lookup, max_waiting: waiting, ..Settings::default() });
    for seed in 0..64 + waiting as u64 {
        let job = Job {
            prompt: crate::testing::prompt(seed, 1000),
            max_new: 1000,
            author: Box::new(Tireless),
            priority: Priority::Normal,
            deadline: Some(Instant::now() + Duration::from_secs(3600)),
            scope: "a".into(),
            tenant: format!("tenant {}", seed % 50).into(),
        };
        scheduler.add(job);
    }
    let step = |scheduler: &mut Scheduler| {
        assert!(scheduler.plan(Instant::now()));
        let rows: usize = scheduler.running.iter().map(Sequence::rows).sum();
        assert!(!scheduler.spans().is_empty());
        scheduler.apply(Duration::ZERO, Ok(Logits { values: vec![0.0; rows * model.vocabulary], ..Default::default() }));
    };
    while scheduler.running.len() < 64 || scheduler.running.iter().any(|one| one.to_read() > 1) {
        step(&mut scheduler);
    }
    let started = Instant::now();
    for _ in 0..500 {
        step(&mut scheduler);
    }
    started.elapsed().as_secs_f64() * 1e6 / 500.0
}

/// How long it takes to start a sequence of 8,000 tokens that are all in the cache, in microseconds.
fn start_of_a_cached_prompt() -> f64 {
    let mut model = facts(2000, 16);
    model.max_tokens = 1 << 20;
    let mut pair = Pair::with(FakeDecoder::new(&model), Settings { step_tokens: 10_000, ..Settings::default() });
    let tokens = crate::testing::prompt(1, 8000);
    pair.scheduler.add(crate::testing::job(&tokens, 1).0);
    assert!(pair.scheduler.plan(Instant::now()));
    pair.scheduler.apply(Duration::ZERO, Ok(Logits { values: vec![0.0; model.vocabulary], ..Default::default() }));
    pair.scheduler.add(crate::testing::job(&tokens, 1).0);
    let started = Instant::now();
    assert!(pair.scheduler.plan(Instant::now()));
    let time = started.elapsed();
    assert_eq!(pair.scheduler.running[0].cached, 7984);
    time.as_secs_f64() * 1e6
}

#[test]
#[ignore = "a measurement, not a check: `make gauge`"]
fn a_step_of_64_costs_little() {
    for (waiting, lookup) in [(0, None), (1000, None), (0, Some(Lookup::default()))] {
        println!("{waiting} waiting, lookup {}: {:.1} µs a step", lookup.is_some(), cost(waiting, lookup));
    }
    println!("a cached prompt of 8,000 tokens starts in {:.1} µs", start_of_a_cached_prompt());
}
