//! What may be concluded from what was seen: the new version is good enough, it is not, or nobody can say yet.
//!
//! All tests hold however often they are looked at ([`bounds`](super::bounds)). Of a step, *bad* takes one test that says so, and all of them together raise a false alarm in a
//! rollout with a probability of at most [`FALSE_ROLLBACK`]; *good* takes every test to exclude that the limit is exceeded, so that a version is never promoted
//! for lack of evidence.
//!
//! - **Errors.** Bad: the rate is above the limit, *and* the version has more than its share of all errors of the step (the conditional test of
//!   two Poisson rates, Przyborowski and Wilenski 1940: given that a call failed, it was the new version's with the probability of its share of the calls). What is down
//!   for both versions hits both in their shares, whenever it is down. Good: the rate is below the limit.
//!   Refusals (calls that the version calls the caller's mistake) are bad by the same two tests: callers make mistakes with both versions, and a version that no
//!   longer has an input which they send refuses more than its share.
//! - **Latency.** A bound for the stable version's 99th percentile from the order statistics of the same step (Howard and Ramdas, *Sequential estimation of
//!   quantiles*, 2022), times `max_p99`; bad is that more than 1 % of the new version's calls are slower, good that fewer are.
//! - **Answers.** The rate of answers that differ, over the whole rollout: how a model answers does not depend on how many ask it.

use super::{
    bounds::{enough, is_above, is_below},
    evidence::Evidence,
    histogram::{Histogram, bucket_of, lower_end},
    plan::Plan,
};

/// How often a rollout of a version that is as good as the stable one is rolled back: at most one in a hundred.
pub const FALSE_ROLLBACK: f64 = 0.01;
/// How often a rollout promotes a version that exceeds one of its limits: at most one in two hundred, for each limit.
pub const FALSE_PROMOTION: f64 = 0.005;
/// What one step's *good* may risk: the next step looks anew.
const MOST_AT_A_STEP: f64 = 0.05;
/// From this share of the calls on, in percent, a step must keep to the limits as they are.
const FULL_RIGOUR_FROM: f64 = 25.0;
/// At most this many times a limit need be excluded at a small share.
const MOST_SLACK: f64 = 3.0;
/// The part of calls that lies above a 99th percentile.
const ABOVE_P99: f64 = 0.01;
/// A 99th percentile that is longer by less than this is not called longer, in microseconds.
const NO_MATTER_US: f64 = 1000.0;

/// What is judged.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The plan, which has the limits.
    pub plan: &'a Plan,
    /// The new version's share in percent; 0 before the first step, where only answers are compared.
    pub weight: f64,
    /// What was seen of the stable version in this step.
    pub stable: &'a Evidence,
    /// What was seen of the new one in this step.
    pub canary: &'a Evidence,
    /// Answers that were compared in the whole rollout, and those that differed.
    pub answers: (u64, u64),
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It keeps to every limit.
    Good,
    /// It exceeds a limit; the sentence has the figures.
    Bad(String),
    /// Not enough is known.
    Undecided {
        /// What is missing.
        missing: String,
        /// The stable version exceeds the limit for errors itself: this step's figures say nothing of the new one.
        disturbed: bool,
    },
}

/// One test's result; what is missing where it is open.
enum Finding {
    Good,
    Bad(String),
    Open(String),
}

/// Judges.
pub fn judge(case: Case<'_>) -> Verdict {
    let mut missing = Vec::new();
    for finding in case.findings() {
        match finding {
            Finding::Good => {}
            Finding::Bad(reason) => return Verdict::Bad(reason),
            Finding::Open(what) => missing.push(what),
        }
    }
    if missing.is_empty() {
        return Verdict::Good;
    }
    Verdict::Undecided { missing: missing.join("; "), disturbed: case.is_disturbed() }
}

impl Case<'_> {
    fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::with_capacity(5);
        if self.weight > 0.0 {
            findings.extend([self.count(), self.errors(), self.refusals(), self.latency()]);
        }
        findings.extend(self.plan.max_disagreement.map(|limit| self.answers(limit)));
        findings
    }

    /// False alarms are shared out over all steps and the four tests.
    fn bad_alpha(&self) -> f64 {
        FALSE_ROLLBACK / (4 * (self.plan.steps.len() + 1)) as f64
    }

    /// Who is promoted was good at every step, each with calls of its own; only steps that ask for the limits as they are count for that.
    fn good_alpha(&self) -> f64 {
        let strict = self.plan.steps.iter().filter(|percent| **percent >= FULL_RIGOUR_FROM).count();
        FALSE_PROMOTION.powf(1.0 / strict.max(1) as f64).min(MOST_AT_A_STEP)
    }

    /// How many times a limit this step must exclude: the fewer calls meet the version, the less a mistake costs, and the longer evidence takes.
    fn slack(&self) -> f64 {
        (FULL_RIGOUR_FROM / self.weight).cbrt().clamp(1.0, MOST_SLACK)
    }

    fn is_disturbed(&self) -> bool {
        is_above(self.plan.max_error_rate, self.stable.errors, self.stable.calls, self.bad_alpha())
    }

    fn count(&self) -> Finding {
        let (seen, wanted) = (self.canary.calls, self.plan.min_calls);
        if seen >= wanted { Finding::Good } else { Finding::Open(format!("{seen} of at least {wanted} calls")) }
    }

    fn errors(&self) -> Finding {
        let (Evidence { calls, errors, .. }, stable) = (self.canary, self.stable);
        let limit = self.plan.max_error_rate;
        if self.is_to_blame(*errors, stable.errors) {
            let shown = rate(*errors, *calls);
            return Finding::Bad(format!(
                "{shown} of its calls failed, of the stable version {}; {} are allowed",
                rate(stable.errors, stable.calls),
                percent(limit)
            ));
        }
        let excluded = limit * self.slack();
        if is_below(excluded, *errors, *calls, self.good_alpha()) {
            return Finding::Good;
        }
        if self.is_disturbed() {
            return Finding::Open(format!(
                "the stable version fails as well, {}: no version can show that it is below {}",
                rate(stable.errors, stable.calls),
                percent(limit)
            ));
        }
        Finding::Open(open("calls for the error rate", *errors, *calls, excluded, self.good_alpha()))
    }

    fn refusals(&self) -> Finding {
        let (seen, stable) = (self.canary, self.stable);
        if !self.is_to_blame(seen.refused, stable.refused) {
            return Finding::Good;
        }
        let (shown, told) = (rate(seen.refused, seen.calls), rate(stable.refused, stable.calls));
        Finding::Bad(format!(
            "it refused {shown} of its calls as wrong, the stable version {told}; {} are allowed",
            percent(self.plan.max_error_rate)
        ))
    }

    /// Whether so many of the new version's calls are more than the limit, and more than its share of all that went wrong.
    fn is_to_blame(&self, hits: u64, stable_hits: u64) -> bool {
        let (calls, alpha) = (self.canary.calls, self.bad_alpha());
        let share = calls as f64 / (calls + self.stable.calls).max(1) as f64;
        is_above(self.plan.max_error_rate, hits, calls, alpha) && is_above(share, hits, hits + stable_hits, alpha)
    }

    fn latency(&self) -> Finding {
        let (seen, alpha) = (&self.canary.latency, self.bad_alpha() / 2.0);
        if let Some(most) = p99_at_most(&self.stable.latency, alpha) {
            let allowed = bucket_of(self.allowed(most)) + 1;
            let slower = seen.from_bucket(allowed);
            if is_above(ABOVE_P99, slower, seen.total(), alpha) {
                let shown = rate(slower, seen.total());
                return Finding::Bad(format!(
                    "{shown} of its calls took longer than {} ms, {} times the stable version's 99th percentile; 1% are allowed",
                    millis(lower_end(allowed)),
                    self.plan.max_p99
                ));
            }
        }
        let (alpha, excluded) = (self.good_alpha() / 2.0, ABOVE_P99 * self.slack());
        let Some(least) = p99_at_least(&self.stable.latency, alpha) else {
            return Finding::Open(format!(
                "{} calls of the stable version are too few for its 99th percentile",
                self.stable.latency.total()
            ));
        };
        let slower = seen.from_bucket(bucket_of(self.allowed(least)));
        if is_below(excluded, slower, seen.total(), alpha) {
            return Finding::Good;
        }
        Finding::Open(open("calls for the latency", slower, seen.total(), excluded, alpha))
    }

    /// What a percentile of the stable version, in microseconds, allows the new one.
    fn allowed(&self, p99: u64) -> u64 {
        (p99 as f64 * self.plan.max_p99).max(p99 as f64 + NO_MATTER_US) as u64
    }

    fn answers(&self, limit: f64) -> Finding {
        let (compared, disagreed) = self.answers;
        if is_above(limit, disagreed, compared, self.bad_alpha()) {
            return Finding::Bad(format!(
                "{} of its answers differ from the stable version's; {} are allowed",
                rate(disagreed, compared),
                percent(limit)
            ));
        }
        if is_below(limit, disagreed, compared, FALSE_PROMOTION) {
            return Finding::Good;
        }
        Finding::Open(open("answers to compare", disagreed, compared, limit, FALSE_PROMOTION))
    }
}

/// A bound that the 99th percentile is not above, in microseconds: the fastest bucket such that clearly fewer than 1 % are slower.
fn p99_at_most(latency: &Histogram, alpha: f64) -> Option<u64> {
    let (total, mut slower, mut found) = (latency.total(), 0, None);
    for (bucket, count) in latency.filled().rev() {
        if !is_below(ABOVE_P99, slower, total, alpha) {
            break;
        }
        found = Some(lower_end(bucket + 1));
        slower += count;
    }
    found
}

/// A bound that the 99th percentile is not below, in microseconds: the slowest bucket such that clearly more than 1 % are not faster.
fn p99_at_least(latency: &Histogram, alpha: f64) -> Option<u64> {
    let (total, mut not_faster) = (latency.total(), 0);
    let found = latency.filled().rev().find(|(_, count)| {
        not_faster += count;
        is_above(ABOVE_P99, not_faster, total, alpha)
    });
    found.map(|(bucket, _)| lower_end(bucket))
}

fn open(what: &str, hits: u64, of: u64, limit: f64, alpha: f64) -> String {
    match enough(limit, hits, of, alpha) {
        Some(wanted) => format!("{of} of about {wanted} {what}"),
        None => format!("{of} {what}, and at {} it is too close to {} to tell", rate(hits, of), percent(limit)),
    }
}

fn rate(hits: u64, of: u64) -> String {
    format!("{} ({hits} of {of})", percent(hits as f64 / of.max(1) as f64))
}

fn percent(share: f64) -> String {
    format!("{}%", (share * 10_000.0).round() / 100.0)
}

fn millis(micros: u64) -> f64 {
    (micros as f64 / 10.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn plan(more: &str) -> Plan {
        Plan::parse(toml::from_str(&format!("model = 'm'\nfrom = '3'\nto = '4'\n{more}")).unwrap()).unwrap()
    }

    /// `calls`, of which `errors` failed, and the others took 10 to 20 ms times `slow`.
    fn seen(calls: u64, errors: u64, slow: f64) -> Evidence {
        let mut latency = Histogram::default();
        for call in 0..calls - errors {
            let share = call as f64 / (calls - errors) as f64;
            latency.observe(Duration::from_secs_f64((0.010 + 0.010 * share) * slow));
        }
        Evidence { calls, errors, latency, ..Default::default() }
    }

    fn judged(plan: &Plan, weight: f64, stable: &Evidence, canary: &Evidence, answers: (u64, u64)) -> Verdict {
        judge(Case { plan, weight, stable, canary, answers })
    }

    #[test]
    fn ten_calls_decide_nothing_whatever_came_of_them() {
        for errors in [0, 1] {
            let verdict = judged(&plan(""), 50.0, &seen(1000, 0, 1.0), &seen(10, errors, 1.0), (0, 0));
            assert!(matches!(&verdict, Verdict::Undecided { missing, .. } if missing.contains("10 of at least 100 calls")), "{verdict:?}");
        }
    }

    #[test]
    fn a_version_that_does_as_well_is_good_and_one_of_which_little_was_seen_is_not_yet() {
        assert_eq!(judged(&plan(""), 50.0, &seen(5000, 5, 1.0), &seen(5000, 5, 1.0), (0, 0)), Verdict::Good);
        let verdict = judged(&plan(""), 50.0, &seen(5000, 5, 1.0), &seen(200, 0, 1.0), (0, 0));
        assert!(matches!(&verdict, Verdict::Undecided { missing, .. } if missing.contains("200 of about")), "{verdict:?}");
    }

    #[test]
    fn errors_slowness_and_other_answers_are_each_told_with_their_figures() {
        let stable = seen(5000, 0, 1.0);
        let cases = [
            (seen(2000, 60, 1.0), (0, 0), "3% (60 of 2000) of its calls failed, of the stable version 0% (0 of 5000); 1% are allowed"),
            (seen(2000, 0, 1.6), (0, 0), "1.2 times the stable version's 99th percentile"),
            (seen(2000, 0, 1.0), (1000, 50), "5% (50 of 1000) of its answers differ"),
        ];
        for (canary, answers, told) in cases {
            let verdict = judged(&plan("max_disagreement = '2%'"), 25.0, &stable, &canary, answers);
            assert!(matches!(&verdict, Verdict::Bad(reason) if reason.contains(told)), "{verdict:?}");
        }
    }

    #[test]
    fn what_is_down_for_both_is_nobodys_fault_and_nobody_is_promoted_meanwhile() {
        let verdict = judged(&plan(""), 25.0, &seen(6000, 1800, 1.0), &seen(2000, 600, 1.0), (0, 0));
        assert!(matches!(verdict, Verdict::Undecided { disturbed: true, .. }), "{verdict:?}");
    }

    #[test]
    fn a_wish_for_equal_answers_is_not_met_by_none() {
        let verdict = judged(&plan("max_disagreement = '2%'"), 0.0, &Evidence::default(), &Evidence::default(), (0, 0));
        assert!(matches!(&verdict, Verdict::Undecided { missing, .. } if missing.contains("0 of about")), "{verdict:?}");
    }
}
