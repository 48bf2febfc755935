//! What one call asks of each count that it belongs to, decided together: all of them grow, or none does.

use std::sync::Arc;

use crate::{
    cell::{Cell, Now, Standing, State},
    rule::Rule,
};

/// So much more of one count.
#[derive(Debug, Clone)]
pub struct Charge {
    /// The rule that it counts for.
    pub rule: Arc<Rule>,
    /// The count.
    pub cell: Arc<Cell>,
    /// How much more.
    pub cost: u64,
}

/// Everything that one call asks for. No count is in it twice.
pub type Charges = Arc<[Charge]>;

/// How each count stands, in the order of the charges, and whether the call was let in.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Whether every count had room.
    pub allowed: bool,
    /// How each stands.
    pub standings: Vec<Standing>,
}

impl Verdict {
    /// The refusal that lasts longest: coming back before that is over is in vain.
    pub fn worst(&self) -> Option<usize> {
        let refused = self.standings.iter().enumerate().filter(|(_, standing)| !standing.allowed);
        refused
            .max_by_key(|(_, standing)| (standing.retry_after.is_none() && !standing.reset.is_zero(), standing.retry_after))
            .map(|(at, _)| at)
    }
}

/// Puts the charges in the order in which their counts are locked: the same for everybody, so that nobody waits in a circle.
pub fn ordered(mut charges: Vec<Charge>) -> Charges {
    charges.sort_unstable_by_key(|charge| Arc::as_ptr(&charge.cell));
    charges.dedup_by(|a, b| Arc::ptr_eq(&a.cell, &b.cell));
    charges.into()
}

/// Decides here. `sharers` gateways share the limits, each going by its own counts.
pub fn admit(charges: &[Charge], now: &Now, sharers: u32) -> Verdict {
    let mut standings = Vec::with_capacity(charges.len());
    let allowed = decide(charges, now, sharers, true, &mut standings);
    Verdict { allowed, standings }
}

/// Decides about one count after another, each locked until all are decided. `so_far` says whether those before had room.
fn decide(charges: &[Charge], now: &Now, sharers: u32, so_far: bool, standings: &mut Vec<Standing>) -> bool {
    let Some((charge, others)) = charges.split_first() else { return so_far };
    let mut cell = charge.cell.lock();
    let (state, standing) = cell.decide(&charge.rule, now, charge.cost, sharers);
    standings.push(standing);
    let allowed = decide(others, now, sharers, so_far && standing.allowed, standings);
    if allowed {
        // Whatever the fleet says next, it does not know of this yet.
        *cell = State { epoch: 0, ..state };
    }
    allowed
}

/// Corrects the counts here by what was `used`, in the order of the charges.
pub fn settle(charges: &[Charge], used: &[u64], now: &Now, sharers: u32) {
    for (charge, used) in charges.iter().zip(used) {
        let mut cell = charge.cell.lock();
        *cell = cell.settle(&charge.rule, now, charge.cost, *used, sharers);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU64, Ordering},
        time::SystemTime,
    };

    use super::*;
    use crate::{file::Rules, rule::Whose};

    fn charges(text: &str, costs: &[u64]) -> Charges {
        let rules = Rules::parse(text).unwrap();
        let each = rules.limits.iter().zip(costs);
        ordered(
            each.map(|(rule, cost)| Charge {
                rule: Arc::clone(rule),
                cell: Arc::new(Cell::new("t", rule.id, &Whose { of: "", name: "a" })),
                cost: *cost,
            })
            .collect(),
        )
    }

    fn now() -> Now {
        Now { picos: 1 << 70, wall: SystemTime::now() }
    }

    #[test]
    fn a_call_that_one_count_refuses_is_charged_to_none() {
        let both = charges("[[limit]]\nper='tenant'\nrequests='10/1m'\n[[limit]]\nper='tenant'\ntokens='100/month'", &[1, 101]);
        let before: Vec<_> = both.iter().map(|charge| *charge.cell.lock()).collect();
        let verdict = admit(&both, &now(), 1);
        assert!(!verdict.allowed && verdict.worst().is_some());
        let after: Vec<_> = both.iter().map(|charge| *charge.cell.lock()).collect();
        assert_eq!(before, after);
    }

    #[test]
    fn two_hundred_racing_calls_spend_a_budget_to_the_last_millionth_and_no_further() {
        let budget = charges("[[limit]]\nper='tenant'\nbudget='1.50/month'", &[10_000]);
        let let_in = AtomicU64::new(0);
        let (now, settled) = (now(), 4000);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        if admit(&budget, &now, 1).allowed {
                            let_in.fetch_add(1, Ordering::Relaxed);
                            settle(&budget, &[settled], &now, 1);
                        }
                    }
                });
            }
        });
        let spent = budget[0].cell.lock().since;
        assert_eq!(spent, let_in.load(Ordering::Relaxed) * settled);
        assert!(spent <= 1_500_000 && spent + 8 * 10_000 > 1_500_000, "{spent}");
    }
}
