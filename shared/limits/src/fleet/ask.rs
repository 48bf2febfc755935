//! What the server is asked, and what its answers mean for the counts here.

use crate::{
    calendar::Month,
    cell::{Now, Standing, State},
    charge::{Charge, Verdict},
    gcra::{self, Picos},
    rule::{Allowance, Rule},
};

/// Picoseconds in a microsecond.
const MICRO: Picos = 1_000_000;
/// How long a quota is kept when its month is over: a gateway whose clock is behind still counts it.
const AFTERWARDS: u64 = 2 * 86_400;
/// How long calls at once are kept that nobody has asked for.
const IDLE: u64 = 86_400;

/// A correction of one count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// The count.
    pub key: String,
    kind: Kind,
    /// What is added; less than nothing is given back. Of a rate in microseconds.
    pub more: i64,
    /// The most that there may be.
    pub most: i64,
    /// How many seconds it is kept.
    pub life: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rate,
    Quota,
    AtOnce,
}

impl Kind {
    fn letter(self) -> &'static str {
        match self {
            Self::Rate => "r",
            Self::Quota => "q",
            Self::AtOnce => "c",
        }
    }
}

impl Correction {
    /// One of a quota.
    pub(super) fn quota(key: String, more: i64, most: u64, life: u64) -> Self {
        Self { key, kind: Kind::Quota, more, most: whole(most), life }
    }

    pub(super) fn is_quota(&self) -> bool {
        self.kind == Kind::Quota
    }

    pub(super) fn write(&self, command: &mut redis::Cmd) {
        command.arg(self.kind.letter()).arg(self.more).arg(self.most).arg(self.life);
    }
}

/// The name of a count: a quota has one for each month.
pub(super) fn key(charge: &Charge, now: &Now) -> String {
    match charge.rule.allowance {
        Allowance::Month(_) => format!("{}:{}", charge.cell.name(), Month::of(now.wall)),
        _ => charge.cell.name().to_owned(),
    }
}

/// Asks for one charge. What was said in another epoch is told too, in case the server has forgotten it since.
pub(super) fn write(charge: &Charge, now: &Now, epoch: u32, command: &mut redis::Cmd) {
    let state = *charge.cell.lock();
    let told = state.epoch == epoch;
    match charge.rule.allowance {
        Allowance::Rate(limit) => {
            let least = if told { 0 } else { state.arrival.saturating_sub(now.picos) / MICRO };
            let micros = |picos: Picos| picos as f64 / MICRO as f64;
            command
                .arg(Kind::Rate.letter())
                .arg(micros(limit.worth(charge.cost)))
                .arg(micros(limit.worth(limit.burst())))
                .arg(least as u64)
                .arg(0);
        }
        Allowance::Month(most) => {
            let known = if !told && state.month == Month::of(now.wall) { state.known } else { 0 };
            command.arg(Kind::Quota.letter()).arg(charge.cost).arg(most).arg(known).arg(life(now));
        }
        Allowance::AtOnce(most) => {
            command.arg(Kind::AtOnce.letter()).arg(charge.cost).arg(most).arg(0).arg(IDLE);
        }
    }
}

fn life(now: &Now) -> u64 {
    Month::of(now.wall).left(now.wall).as_secs() + AFTERWARDS
}

/// Reads an answer: the counts here become what the server says, and how they stand is told. Nothing when the answer is none.
pub(super) fn read(charges: &[Charge], answer: &[i64], now: &Now, epoch: u32) -> Option<Verdict> {
    if answer.len() != charges.len() * 2 + 1 {
        return None;
    }
    let allowed = answer[0] == 1;
    let mut standings = Vec::with_capacity(charges.len());
    for (charge, pair) in charges.iter().zip(answer[1..].chunks_exact(2)) {
        let (fits, value) = (pair[0] == 1, u64::try_from(pair[1]).unwrap_or_default());
        let mut cell = charge.cell.lock();
        let (state, standing) = learn(*cell, charge, value, fits, now);
        *cell = State {
            epoch,
            in_flight: state.in_flight + u32::from(allowed && matches!(charge.rule.allowance, Allowance::AtOnce(_))),
            ..state
        };
        standings.push(standing);
    }
    Some(Verdict { allowed, standings })
}

fn learn(state: State, charge: &Charge, value: u64, fits: bool, now: &Now) -> (State, Standing) {
    match charge.rule.allowance {
        Allowance::Rate(limit) => {
            let arrival = now.picos + Picos::from(value) * MICRO;
            let stands = gcra::look(arrival, now.picos, &limit);
            let wait = (!fits).then(|| gcra::decide(arrival, now.picos, charge.cost, &limit).1);
            let retry_after = wait.and_then(|decided| if decided.allowed { Some(gcra::duration(MICRO)) } else { decided.retry_after });
            // Two answers may come in another order than they were given.
            let state = State { arrival: state.arrival.max(arrival), ..state };
            (state, Standing { allowed: fits, remaining: stands.remaining, retry_after, reset: stands.reset })
        }
        Allowance::Month(most) => {
            let month = Month::of(now.wall);
            let reset = month.left(now.wall);
            let retry_after = (!fits && charge.cost <= most).then_some(reset);
            let standing = Standing { allowed: fits, remaining: most.saturating_sub(value), retry_after, reset };
            (State { month, known: value, since: 0, ..state }, standing)
        }
        Allowance::AtOnce(most) => {
            let remaining = u64::from(most).saturating_sub(value);
            (state, Standing { allowed: fits, remaining, retry_after: None, reset: std::time::Duration::ZERO })
        }
    }
}

/// What the server is to be told when `used` turns out to be what was used, in the order of the charges. Nothing for what stays as it is.
pub fn corrections(charges: &[Charge], used: &[u64], now: &Now) -> Vec<Correction> {
    let each =
        charges.iter().zip(used).filter(|(charge, used)| charge.cost != **used || matches!(charge.rule.allowance, Allowance::AtOnce(_)));
    each.map(|(charge, used)| correction(charge, *used, now)).collect()
}

fn correction(charge: &Charge, used: u64, now: &Now) -> Correction {
    let key = key(charge, now);
    let more = whole(used) - whole(charge.cost);
    match charge.rule.allowance {
        Allowance::Rate(limit) => {
            let micros = |amount: u64| i64::try_from(limit.worth(amount).div_ceil(MICRO)).unwrap_or(i64::MAX / 2);
            let most = micros(limit.burst());
            Correction { key, kind: Kind::Rate, more: micros(used) - micros(charge.cost), most, life: 0 }
        }
        Allowance::Month(most) => Correction::quota(key, more, most, life(now)),
        Allowance::AtOnce(most) => Correction { key, kind: Kind::AtOnce, more: -whole(charge.cost), most: most.into(), life: IDLE },
    }
}

/// Everything that was charged, given back: nothing of it was used.
pub(super) fn undo(charges: &[Charge], now: &Now) -> Vec<Correction> {
    corrections(charges, &vec![0; charges.len()], now)
}

/// What a quota grew by here, to be told when the server is back.
pub(super) fn grown(charges: &[Charge], now: &Now) -> Vec<Correction> {
    let quotas = charges.iter().filter(|charge| is_quota(&charge.rule));
    quotas.map(|charge| Correction { more: whole(charge.cost), ..correction(charge, 0, now) }).collect()
}

fn is_quota(rule: &Rule) -> bool {
    matches!(rule.allowance, Allowance::Month(_))
}

fn whole(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX / 2)
}
