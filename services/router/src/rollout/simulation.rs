//! Two hundred rollouts of each kind at three speeds, by discrete events: how often a good version is taken back, how often a bad one is promoted, how long each
//! takes, and how many calls it spoils.

use super::{
    evidence::Snapshot,
    histogram::bucket_of,
    machine::Rollout,
    plan::Plan,
    stage::{Sample, Stage},
};

const RUNS: u64 = 200;
/// How often the routers are asked, in seconds.
const LOOK_EVERY: u64 = 10;
/// Latencies are drawn from so many, which were drawn once.
const DRAWS: usize = 1 << 16;

/// What one version does.
#[derive(Clone, Copy)]
struct Behaviour {
    errors: f64,
    /// The 99th percentile over the stable version's.
    slow: f64,
    /// Whether all calls are slower, or only the slow ones.
    only_the_tail: bool,
    disagrees: f64,
}

const STABLE: Behaviour = Behaviour { errors: 0.002, slow: 1.0, only_the_tail: false, disagrees: 0.005 };

struct Version {
    does: Behaviour,
    buckets: Vec<u16>,
    snapshot: Snapshot,
}

impl Version {
    /// Latencies like a model's behind a batcher: lognormal about 20 ms, the 99th percentile three times that.
    fn new(does: Behaviour, random: &mut fastrand::Rng) -> Self {
        let draw = |_| {
            let z = normal(random);
            let slower = if does.only_the_tail { if z > 1.9 { does.slow } else { 1.0 } } else { does.slow };
            bucket_of((20_000.0 * (0.47 * z).exp() * slower) as u64) as u16
        };
        Self { does, buckets: (0..DRAWS).map(draw).collect(), snapshot: Snapshot::default() }
    }

    /// Serves a call; whether it failed.
    fn serve(&mut self, outage: f64, random: &mut fastrand::Rng) -> bool {
        let failed = random.f64() < self.does.errors + outage;
        let seen = &mut self.snapshot.seen;
        seen.calls += 1;
        if failed {
            seen.errors += 1;
        } else {
            seen.latency.add(usize::from(self.buckets[random.usize(..DRAWS)]), 1);
        }
        failed
    }
}

fn normal(random: &mut fastrand::Rng) -> f64 {
    (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (std::f64::consts::TAU * random.f64()).cos()
}

/// How many events of a Poisson process with this mean: by the normal distribution where that is near enough.
fn poisson(mean: f64, random: &mut fastrand::Rng) -> u64 {
    if mean > 50.0 {
        return (mean + mean.sqrt() * normal(random)).round().max(0.0) as u64;
    }
    let (least, mut product, mut count) = ((-mean).exp(), random.f64(), 0);
    while product > least {
        product *= random.f64();
        count += 1;
    }
    count
}

/// What came of one rollout.
struct Ended {
    stage: Stage,
    seconds: u64,
    /// Calls of callers that the new version answered and failed.
    spoiled: u64,
    met: u64,
}

fn roll(plan: &Plan, canary: Behaviour, rate: f64, outage: impl Fn(u64) -> f64, seed: u64) -> Ended {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut versions = [Version::new(STABLE, &mut random), Version::new(canary, &mut random)];
    let mut rollout = Rollout::start(plan.clone(), 0);
    let (mut seconds, mut spoiled) = (0, 0);
    while !rollout.has_ended() {
        let wanted = rollout.wanted();
        for _ in 0..poisson(rate * LOOK_EVERY as f64, &mut random) {
            let to_canary = random.f64() * 100.0 < wanted.percent;
            let failed = versions[usize::from(to_canary)].serve(outage(seconds), &mut random);
            spoiled += u64::from(to_canary && failed);
            if !to_canary && wanted.shadow.is_some_and(|percent| random.f64() * 100.0 < percent) {
                let seen = &mut versions[1].snapshot.seen;
                seen.compared += 1;
                seen.disagreed += u64::from(random.f64() < canary.disagrees);
            }
        }
        seconds += LOOK_EVERY;
        let [stable, canary] = &versions;
        let sample = Sample { router: "a".to_owned(), stable: stable.snapshot.clone(), canary: canary.snapshot.clone() };
        rollout.observe(seconds * 1000, vec![sample]);
    }
    Ended { stage: rollout.stage, seconds, spoiled, met: versions[1].snapshot.seen.calls }
}

/// Prints what came of all runs of one kind, and gives how many ended like this.
fn count(kind: &str, stage: Stage, canary: Behaviour, rate: f64, outage: impl Fn(u64) -> f64) -> u64 {
    let plan = "model = 'm'\nfrom = '3'\nto = '4'\nevery = '2m'\nmax_error_rate = '1%'\nmax_p99 = '1.2x'\nmax_disagreement = '2%'\npatience = '48h'";
    let plan = Plan::parse(toml::from_str(plan).unwrap()).unwrap();
    let mut ended: Vec<_> = (0..RUNS).map(|run| roll(&plan, canary, rate, &outage, 1000 * rate as u64 + run)).collect();
    let hits = ended.iter().filter(|ended| ended.stage == stage).count() as u64;
    ended.sort_by_key(|ended| ended.seconds);
    let (middle, late) = (ended[ended.len() / 2].seconds as f64 / 60.0, ended[ended.len() * 95 / 100].seconds as f64 / 60.0);
    let mean = |of: fn(&Ended) -> u64| ended.iter().map(of).sum::<u64>() as f64 / RUNS as f64;
    println!(
        "{rate:>3}/s {kind}: {hits} of {RUNS} {stage:?}; {middle:.0} min, 95 % within {late:.0} min; met {:.0} calls, failed {:.0}",
        mean(|ended| ended.met),
        mean(|ended| ended.spoiled)
    );
    hits
}

const RATES: [f64; 3] = [5.0, 50.0, 500.0];

#[test]
fn a_version_that_is_as_good_is_promoted_but_for_two_in_a_hundred_at_most() {
    for rate in RATES {
        assert!(count("as good", Stage::RolledBack, STABLE, rate, |_| 0.0) <= 4);
    }
}

#[test]
fn a_version_that_fails_three_times_as_often_as_allowed_is_not_promoted() {
    for rate in RATES {
        assert!(count("3 % errors", Stage::Promoted, Behaviour { errors: 0.03, ..STABLE }, rate, |_| 0.0) <= 2);
    }
}

#[test]
fn a_version_that_is_slower_is_not_promoted() {
    for rate in RATES {
        for (kind, only_the_tail) in [("p99 x 1.6, all calls", false), ("p99 x 1.6, the tail", true)] {
            assert!(count(kind, Stage::Promoted, Behaviour { slow: 1.6, only_the_tail, ..STABLE }, rate, |_| 0.0) <= 2);
        }
    }
}

#[test]
fn a_version_that_answers_differently_is_not_promoted() {
    for rate in RATES {
        assert!(count("5 % other answers", Stage::Promoted, Behaviour { disagrees: 0.05, ..STABLE }, rate, |_| 0.0) <= 2);
    }
}

#[test]
fn what_is_down_for_both_for_five_minutes_is_not_the_new_versions_fault() {
    // From the tenth minute on, when a share of calls is the new version's.
    let outage = |seconds| if (600..900).contains(&seconds) { 0.3 } else { 0.0 };
    assert!(count("as good, and both down for 5 min", Stage::RolledBack, STABLE, 50.0, outage) <= 4);
}
