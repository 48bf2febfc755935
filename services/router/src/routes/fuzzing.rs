//! What the fuzz target of routes holds them to (`fuzz/`); it is in no build but that and the tests'.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a broken promise is told")]

use std::time::Duration;

use http::HeaderMap;
use torchmesh_settings::Problems;

use super::{Brought, Destination, Routes, Sticky, read::parse};
use crate::rollout::Plan;

/// A routes file, or a rollout's plan: every mistake has a place and a remedy. Of routes that are taken, shares are whole, a call comes to the same place each time, and
/// nobody is sent round in a circle; of a plan, its steps rise to all of the calls, none of them too fast to be judged, and it is kept as it was asked for.
pub fn routes(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    match parse(text) {
        Ok(routes) => hold(&routes),
        Err(problems) => told(&problems),
    }
    match toml::from_str(text).map(Plan::parse) {
        Ok(Ok(plan)) => planned(&plan),
        Ok(Err(problems)) => told(&problems),
        Err(_) => {}
    }
}

fn told(problems: &Problems) {
    assert!(!problems.0.is_empty() && problems.0.iter().all(|problem| !problem.message.is_empty()), "{problems}");
}

fn hold(routes: &Routes) {
    let mut headers = HeaderMap::new();
    headers.insert("x-torchmesh-tenant", "acme".parse().expect("it is a header's value"));
    for (name, route) in &routes.by_name {
        let total: f64 = route.shares.iter().map(|(_, weight)| weight).sum();
        assert!((total - 100.0).abs() < 1e-6 && route.shares.iter().all(|(_, weight)| *weight >= 0.0), "{route:?}");
        assert!(
            route.shadow.as_ref().is_none_or(|shadow| shadow.percent > 0.0 && shadow.percent <= 100.0 && shadow.tolerance >= 0.0),
            "{route:?}"
        );
        assert!(route.caching.as_ref().is_none_or(|caching| caching.ttl > Duration::ZERO), "{route:?}");
        assert!(route.exceptions.iter().all(|except| !except.when.is_empty()), "{route:?}");
        assert!(route.sticky != Sticky::Content || routes.goes_by_content(name.as_str()), "{route:?}");
        let brought = Brought { headers: &headers, content: Some(7), draw: 7 };
        let place = || routes.find(name, brought, |to: &Destination, _| Some(to.clone()));
        let first = place();
        assert!(first.is_some() && first == place(), "{route:?} leads to {first:?}");
        // Nobody is sent round in a circle when none is there.
        assert_eq!(routes.find(name, brought, |_, _| None::<()>), None);
    }
}

fn planned(plan: &Plan) {
    assert!((2..=20).contains(&plan.steps.len()) && plan.steps.is_sorted_by(|one, next| one < next), "{plan:?}");
    assert!(plan.steps[0] > 0.0 && plan.steps.last() == Some(&100.0) && plan.from != plan.to, "{plan:?}");
    assert!(plan.every >= Duration::from_secs(5) && plan.patience >= plan.every && plan.min_calls >= 1, "{plan:?}");
    assert!(plan.max_error_rate > 0.0 && plan.max_error_rate < 1.0 && plan.max_p99 >= 1.0, "{plan:?}");
    let kept: Plan = serde_json::to_string(plan).and_then(|text| serde_json::from_str(&text)).expect("it can be kept");
    assert_eq!((kept.model, kept.from, kept.to, kept.every), (plan.model.clone(), plan.from, plan.to, plan.every));
    assert!(kept.steps.iter().zip(&plan.steps).all(|(kept, step)| (kept - step).abs() < 1e-9));
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn every_seed_of_routes_holds() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/routes"));
        let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path()).collect();
        assert!(!seeds.is_empty());
        for seed in seeds {
            super::routes(&fs::read(seed).unwrap());
        }
    }
}
