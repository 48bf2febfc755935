//! One `[[step]]`.

use std::time::Duration;

use torchmesh_settings::Section;

use super::{
    By, Calls, Choice, Ensemble, Map, Policy, Step, StepCache, Switch, Target, When, Wire, Work,
    read::{name, timeout},
};
use crate::transform::Transform;

/// The longest wait before the second try.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// The longest that an answer is kept, and the shortest: whoever keeps them counts seconds.
const LONGEST_CACHE: Duration = Duration::from_secs(24 * 3600);
const SHORTEST_CACHE: Duration = Duration::from_secs(1);

const KINDS: [&str; 4] = ["model", "switch", "ensemble", "transform"];

/// `None` means that a mistake was reported.
pub(super) fn read(s: &mut Section) -> Option<Step> {
    let name = name(s);
    let kinds: Vec<_> = KINDS.into_iter().filter(|kind| s.has(kind)).collect();
    s.check(kinds.len() == 1, "model", "must be given, or one of switch, ensemble and transform in its place: a step does one thing");
    let work = match kinds.first() {
        Some(&"transform") => Transform::read(s).map(Work::Transform),
        Some(kind) => calls(s, kind).map(Work::Call),
        None => None,
    };
    // What else is there was told above, and is no unknown field.
    let inputs = s.section("inputs", wires);
    s.check(!inputs.is_empty(), "inputs", "must have an entry for each input, such as { text = \"input.text\" }");
    let when = if s.has("when") { s.section("when", When::read) } else { None };
    let is_call = matches!(work, Some(Work::Call(_)));
    let policy = policy(s, is_call || work.is_none());
    let inputs: Vec<_> = inputs.into_iter().filter_map(|(name, wire)| Some((name, wire?))).collect();
    if let Some(Work::Call(Calls { map: Some(map), .. })) = &work {
        for missing in map.over.iter().filter(|over| !inputs.iter().any(|(name, _)| name == *over)) {
            s.problem("map.over", format!("names {missing:?}, which is not among the inputs"));
        }
    }
    Some(Step { name: name?, work: work?, inputs, when, policy })
}

fn wires(s: &mut Section) -> Vec<(String, Option<Wire>)> {
    let mut keys = s.unread();
    keys.sort_unstable();
    keys.into_iter().map(|key| (s.optional(&key), key)).map(|(wire, key)| (key, wire)).collect()
}

fn calls(s: &mut Section, kind: &str) -> Option<Calls> {
    let choice = match kind {
        "model" => s.required("model").map(Choice::One),
        "switch" => s.section("switch", switch).map(Choice::Switch),
        _ => s.section("ensemble", ensemble).map(Choice::Ensemble),
    };
    let fallback = s.or("fallback", Vec::<Target>::new());
    let map = if s.has("map") { s.section("map", map) } else { None };
    let parameters = s.section("parameters", |s| {
        let keys = s.unread();
        keys.into_iter().filter_map(|key| s.optional(&key).map(|value| (key, value))).collect()
    });
    Some(Calls { choice: choice?, fallback, map, parameters })
}

fn switch(s: &mut Section) -> Option<Switch> {
    let on = s.required("on");
    let cases: Vec<(String, Option<Target>)> = s.section("cases", |s| {
        let keys = s.unread();
        keys.into_iter().map(|key| (s.optional(&key), key)).map(|(target, key)| (key, target)).collect()
    });
    s.check(!cases.is_empty(), "cases", "must name a model for at least one value, such as { spam = \"strict\" }");
    let default = s.optional("default");
    let cases = cases.into_iter().filter_map(|(value, target)| Some((value, target?))).collect();
    Some(Switch { on: on?, cases, default })
}

fn ensemble(s: &mut Section) -> Option<Ensemble> {
    let members = s.required::<Vec<Target>>("models");
    let by = by(s, "by");
    let weights = weights(s, members.as_ref().map(Vec::len));
    let count = members.as_ref().map_or(2, Vec::len);
    s.check(count >= 2, "models", "must name two models or more; for one write model");
    let at_least = s.or("at_least", count);
    s.check((1..=count.max(1)).contains(&at_least), "at_least", format!("must be from 1 to the number of models, {count}"));
    Some(Ensemble { members: members?, by: by?, weights, at_least })
}

/// How several tensors become one.
fn by(s: &mut Section, key: &str) -> Option<By> {
    match s.required::<String>(key)?.as_str() {
        "mean" => Some(By::Mean),
        "vote" => Some(By::Vote),
        other => {
            s.problem(key, format!("is {other:?}; it must be mean or vote"));
            None
        }
    }
}

/// `weights`, of which there must be `count` where that is known.
pub(crate) fn weights(s: &mut Section, count: Option<usize>) -> Vec<f64> {
    let weights = s.or("weights", Vec::<f64>::new());
    let sum = weights.iter().sum::<f64>();
    // Of weights that are finite the sum may be none.
    let good = weights.iter().all(|weight| *weight >= 0.0) && sum.is_finite() && (weights.is_empty() || sum > 0.0);
    s.check(good, "weights", "must be 0 or more, not all 0, and finite, together too");
    if let Some(count) = count {
        s.check(weights.is_empty() || weights.len() == count, "weights", format!("must be as many as there are to weigh: {count}"));
    }
    weights
}

fn map(s: &mut Section) -> Option<Map> {
    let over = s.required::<Vec<String>>("over");
    s.check(over.as_ref().is_none_or(|over| !over.is_empty()), "over", "must name at least one input");
    let (rows, at_once) = (s.or("rows", 1), s.or("at_once", 16));
    s.check(rows >= 1, "rows", "must be at least 1");
    s.check((1..=256).contains(&at_once), "at_once", "must be from 1 to 256");
    Some(Map { over: over?, rows, at_once })
}

fn policy(s: &mut Section, is_call: bool) -> Policy {
    let optional = s.or("optional", false);
    if !is_call {
        return Policy { optional, ..Policy::default() };
    }
    let (timeout, retries) = (timeout(s), s.or("retries", 0));
    s.check(retries <= 10, "retries", "must be at most 10");
    let backoff = s.or("backoff", Duration::from_millis(10));
    s.check(backoff <= LONGEST_BACKOFF, "backoff", "must be at most 1m");
    let cache = s.or("cache", StepCache::AsRouted);
    let kept = !matches!(cache, StepCache::For(ttl) if !(SHORTEST_CACHE..=LONGEST_CACHE).contains(&ttl));
    s.check(kept, "cache", "must be from 1s to 24h, or off");
    Policy { optional, timeout, retries, backoff, cache }
}
