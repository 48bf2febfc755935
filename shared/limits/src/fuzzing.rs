//! What the fuzz target of limits holds this crate to (`fuzz/`); it is in no build but that and the tests'.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a broken promise is told")]

use std::time::Duration;

use crate::{
    Rules,
    gcra::{Limit, Picos, decide, decide_share, look, picos, settle},
    price::{Tokens, micros, money},
    rule::{Allowance, Rule, Subject},
};

/// The time of the first call: half a century after 1970.
const NOW: Duration = Duration::from_secs(50 * 365 * 86_400);

/// A limits file: every mistake has a place and a remedy; what is taken says the same each time, never lets more in at once than it says, lets the next in when it says that it
/// will, and whoever uses more never pays less.
pub fn limits(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    let rules = match Rules::parse(text) {
        Ok(rules) => rules,
        Err(problems) => {
            assert!(!problems.0.is_empty() && problems.0.iter().all(|problem| !problem.message.is_empty()), "{problems}");
            return;
        }
    };
    let again = Rules::parse(text).expect("it was taken before");
    let ids = |rules: &Rules| rules.limits.iter().map(|rule| rule.id).collect::<Vec<_>>();
    assert_eq!(ids(&rules), ids(&again));
    for rule in &rules.limits {
        hold(rule);
    }
    for price in &rules.prices {
        let [one, more] = [10, 2_000_000].map(|tokens| Tokens { input: tokens, cached: tokens / 2, output: tokens });
        let costs = |tokens| [false, true].map(|batch| price.of(tokens, batch));
        for (one, more) in costs(one).into_iter().zip(costs(more)) {
            assert!(one <= more && micros(&money(one)) == Some(one), "{price:?}");
        }
        assert!(price.of(more, true) <= price.of(more, false), "{price:?}");
    }
}

fn hold(rule: &Rule) {
    let subject = Subject { tenant: Some("acme"), key: Some("k"), model: Some("m"), address: Some("::1") };
    assert!(rule.whose(&subject).is_none_or(|whose| ["acme", "k", "m", "::1"].contains(&whose.name)));
    assert!(rule.most() >= 1 && !rule.amount(rule.most()).is_empty() && !rule.said.is_empty(), "{rule:?}");
    if let Allowance::Rate(limit) = rule.allowance {
        rate(&limit);
    }
}

fn rate(limit: &Limit) {
    let now = picos(NOW);
    let (state, all) = decide(0, now, limit.burst(), limit);
    assert!(all.allowed && all.remaining == 0, "{limit:?} lets nothing in: {all:?}");
    let (state, next) = decide(state, now, 1, limit);
    assert!(!next.allowed && next.remaining == 0, "{limit:?} lets in one too many: {next:?}");
    let later: Picos = now + picos(next.retry_after.expect("it is not more than may come at once"));
    assert!(decide(state, later, 1, limit).1.allowed, "{limit:?} does not keep its word");
    let (shared, part) = decide_share(0, now, 1, limit, 1000);
    assert!(part.allowed && look(shared, now, limit).remaining <= limit.burst());
    assert!(decide(settle(state, now, limit.burst(), 0, limit), now, 1, limit).1.allowed, "what was not used comes back");
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn every_seed_of_limits_holds() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/limits"));
        let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path()).collect();
        assert!(!seeds.is_empty());
        for seed in seeds {
            super::limits(&fs::read(seed).unwrap());
        }
    }
}
