//! Where routes lead, and which of them lead back to where they began.

use std::collections::{HashMap, HashSet};

use torchmesh_api::ids::ModelName;

use super::Route;

/// The names from which the way comes round to them again, each with the way; a circle is told once, at its first name.
pub(super) fn find(routes: &HashMap<ModelName, Route>) -> Vec<(ModelName, String)> {
    let mut names: Vec<_> = routes.keys().collect();
    names.sort();
    let mut found: Vec<(ModelName, String)> = Vec::new();
    let mut told: Vec<ModelName> = Vec::new();
    for name in names {
        if told.contains(name) {
            continue;
        }
        if let Some(way) = way_round(routes, name) {
            let shown: Vec<_> = way.iter().map(ToString::to_string).collect();
            found.push((name.clone(), format!("goes in a circle: {}", shown.join(" → "))));
            told.extend(way);
        }
    }
    found
}

/// The names from which some way leads to a route that is `wanted`, its own included.
pub(super) fn leading_to(routes: &HashMap<ModelName, Route>, wanted: impl Fn(&Route) -> bool) -> HashSet<ModelName> {
    let mut leading: HashSet<_> = routes.iter().filter(|(_, route)| wanted(route)).map(|(name, _)| name.clone()).collect();
    loop {
        let leads_there = |name: &&ModelName| !leading.contains(*name) && leads_to(routes, name).iter().any(|next| leading.contains(next));
        let more: Vec<_> = if leading.is_empty() { Vec::new() } else { routes.keys().filter(leads_there).cloned().collect() };
        if more.is_empty() {
            return leading;
        }
        leading.extend(more);
    }
}

/// A way from `start` that ends at `start`.
fn way_round(routes: &HashMap<ModelName, Route>, start: &ModelName) -> Option<Vec<ModelName>> {
    let mut open = vec![vec![start.clone()]];
    let mut seen: Vec<ModelName> = Vec::new();
    while let Some(way) = open.pop() {
        let Some(here) = way.last() else { continue };
        for next in leads_to(routes, here) {
            let further = [way.as_slice(), std::slice::from_ref(&next)].concat();
            if next == *start {
                return Some(further);
            }
            if !seen.contains(&next) {
                seen.push(next);
                open.push(further);
            }
        }
    }
    None
}

/// The names whose routes are followed from this one's.
fn leads_to(routes: &HashMap<ModelName, Route>, name: &ModelName) -> Vec<ModelName> {
    let Some(route) = routes.get(name) else { return Vec::new() };
    let destinations = route.shares.iter().map(|(to, _)| to).chain(route.exceptions.iter().map(|except| &except.to));
    // Its own name among its destinations is the model itself: no way leads on from there.
    let followed = destinations.filter(|to| to.version.is_none() && to.model != *name).map(|to| to.model.clone());
    followed.chain(route.fallback.iter().cloned()).collect()
}
