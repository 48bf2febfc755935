//! Every limit of a process: which counts a call belongs to, whether it is let in, and what it used in the end.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use arc_swap::ArcSwap;

use crate::{
    cell::{Now, Standing},
    charge::{self, Charge, Charges, Verdict},
    file::Rules,
    fleet::{Lane, Link, corrections},
    gcra,
    rule::{Allowance, Measure, Rule, Subject},
    table::Table,
};

/// What a call asks for, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Costs {
    /// Bytes of the request.
    pub bytes: u64,
    /// Tokens that it may read and write.
    pub tokens: u64,
    /// What that costs.
    pub money: u64,
}

impl Costs {
    fn of(&self, measure: Measure) -> u64 {
        match measure {
            Measure::Requests | Measure::Concurrent => 1,
            Measure::Tokens => self.tokens,
            Measure::Bytes => self.bytes,
            Measure::Money => self.money,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Limiter {
    rules: ArcSwap<Rules>,
    table: Table,
    began: Instant,
}

/// A refusal: which rule, and how it stands.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The rule.
    pub rule: Arc<Rule>,
    /// How much the call asked for.
    pub cost: u64,
    /// How it stands.
    pub standing: Standing,
    /// How the others of the call stand.
    pub all: Vec<(Arc<Rule>, Standing)>,
}

impl Limiter {
    /// Goes by these rules, and remembers about so many counts.
    pub fn new(rules: Rules, most_counts: usize, prefix: &str) -> Self {
        Self { rules: ArcSwap::from_pointee(rules), table: Table::new(most_counts, prefix), began: Instant::now() }
    }

    /// The rules as they are now.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Goes by other rules from here on. What was counted for rules that are in both stays.
    pub fn replace(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
    }

    /// How many counts are remembered.
    pub fn counts(&self) -> usize {
        self.table.len()
    }

    /// The present.
    pub fn now(&self) -> Now {
        Now { picos: gcra::picos(self.began.elapsed()), wall: SystemTime::now() }
    }

    /// What a call is charged for, by the rules that `wanted` takes.
    pub fn charges(&self, subject: &Subject<'_>, costs: &Costs, now: &Now, wanted: impl Fn(&Rule) -> bool) -> Charges {
        let rules = self.rules.load();
        let mut charges = Vec::with_capacity(rules.limits.len());
        for rule in rules.limits.iter().filter(|rule| wanted(rule)) {
            if let Some(whose) = rule.whose(subject) {
                charges.push(Charge { rule: Arc::clone(rule), cell: self.table.cell(rule.id, &whose, now), cost: costs.of(rule.measure) });
            }
        }
        charge::ordered(charges)
    }

    /// Whether a call will be refused whatever it is: what is known here is enough to say so, and nobody else need be asked. Only by rates whose
    /// counts never grow smaller but with time: others may have been corrected elsewhere.
    pub fn foresee(&self, subject: &Subject<'_>, now: &Now) -> Result<(), Refusal> {
        let rules = self.rules.load();
        for rule in rules.limits.iter().filter(|rule| rule.is_known_at_once() && matches!(rule.allowance, Allowance::Rate(_))) {
            let Some(whose) = rule.whose(subject) else { continue };
            let standing = self.table.cell(rule.id, &whose, now).lock().decide(rule, now, 1, 1).1;
            if !standing.allowed {
                return Err(Refusal { rule: Arc::clone(rule), cost: 1, standing, all: vec![(Arc::clone(rule), standing)] });
            }
        }
        Ok(())
    }

    /// Decides about a call: by the fleet where it answers, and otherwise here.
    pub async fn admit(self: &Arc<Self>, lane: Option<&Lane>, charges: Charges, now: &Now) -> Result<Permit, Refusal> {
        let linked = lane.and_then(|lane| Some((lane, lane.link()?)));
        if let Some((lane, link)) = linked
            && !charges.is_empty()
            && let Some(verdict) = lane.admit(&link, &charges, now).await
        {
            return self.conclude(Some(lane), Some(link), charges, verdict, (now, 1));
        }
        let sharers = lane.map_or(1, |lane| lane.fleet().gateways());
        let verdict = charge::admit(&charges, now, sharers);
        if let (true, Some(lane)) = (verdict.allowed, lane) {
            lane.owe_grown(&charges, now);
        }
        self.conclude(lane, None, charges, verdict, (now, sharers))
    }

    fn conclude(
        self: &Arc<Self>,
        lane: Option<&Lane>,
        link: Option<Arc<Link>>,
        charges: Charges,
        verdict: Verdict,
        (now, sharers): (&Now, u32),
    ) -> Result<Permit, Refusal> {
        if !verdict.allowed {
            return Err(refusal(&charges, &verdict));
        }
        Ok(Permit {
            limiter: Arc::clone(self),
            lane: lane.cloned(),
            link,
            charges,
            standings: verdict.standings,
            wall: now.wall,
            sharers,
            settled: false,
        })
    }
}

fn refusal(charges: &Charges, verdict: &Verdict) -> Refusal {
    let at = verdict.worst().unwrap_or_default();
    let all = charges.iter().map(|charge| Arc::clone(&charge.rule)).zip(verdict.standings.iter().copied()).collect();
    Refusal { rule: Arc::clone(&charges[at].rule), cost: charges[at].cost, standing: verdict.standings[at], all }
}

/// A call that was let in. When it is dropped, what it held is free again; what it reserved and was not settled counts as used.
#[derive(Debug)]
pub struct Permit {
    limiter: Arc<Limiter>,
    lane: Option<Lane>,
    link: Option<Arc<Link>>,
    charges: Charges,
    standings: Vec<Standing>,
    /// When it was let in: its quotas are those of that month.
    wall: SystemTime,
    sharers: u32,
    settled: bool,
}

impl Permit {
    /// How each limit of the call stands.
    pub fn standings(&self) -> impl Iterator<Item = (&Rule, &Standing)> {
        self.charges.iter().map(|charge| &*charge.rule).zip(&self.standings)
    }

    /// Whether anything depends on how the call ends.
    pub fn is_open(&self) -> bool {
        self.charges.iter().any(|charge| matches!(charge.rule.measure, Measure::Tokens | Measure::Money | Measure::Concurrent))
    }

    /// Says what the call used in the end.
    pub fn settle(mut self, used: &Costs) {
        self.conclude(|charge| match charge.rule.measure {
            Measure::Requests | Measure::Bytes | Measure::Concurrent => charge.cost,
            measure => used.of(measure),
        });
    }

    fn conclude(&mut self, used: impl Fn(&Charge) -> u64) {
        self.settled = true;
        if !self.is_open() {
            return;
        }
        let used: Vec<_> = self.charges.iter().map(used).collect();
        let now = Now { wall: self.wall, ..self.limiter.now() };
        charge::settle(&self.charges, &used, &now, self.sharers);
        if let Some(lane) = &self.lane {
            lane.correct(self.link.as_deref(), corrections(&self.charges, &used, &now));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.settled {
            self.conclude(|charge| charge.cost);
        }
    }
}
