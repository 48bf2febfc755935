//! The last hour: calls, latency and calls in flight of the versions that are called most.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::{
    chart::{Line, Lines, MOST, draw_lines},
    figures,
    traffic::{Figures, Minute},
    visit::Visit,
};

/// What a chart has of a version in a minute.
type Of = fn(&Figures) -> Option<f64>;

const CHARTS: [(&str, Of); 3] = [
    ("traffic.calls", |version| Some(version.calls_per_second)),
    ("traffic.p99", |version| version.p99_ms),
    ("traffic.most_in_flight", |version| Some(version.in_flight as f64)),
];

pub(super) fn draw(visit: &Visit, minutes: &[Minute]) -> Markup {
    let names = busiest(minutes);
    let clock: Vec<String> = minutes.iter().map(|minute| hour_and_minute(minute.at_ms)).collect();
    let chart = |title: &str, of: Of| {
        let lines = names.iter().map(|name| Line { name: name.clone(), values: values(minutes, name, of) }).collect();
        let chart = Lines { title: visit.say(title), minutes: &clock, lines };
        draw_lines(&chart, visit.say("traffic.minute"), visit.say("usage.as_table"))
    };
    html! { div.charts { @for (title, of) in CHARTS { (chart(title, of)) } } }
}

/// The versions that were called most, by name, as many as can be told from each other.
fn busiest(minutes: &[Minute]) -> Vec<String> {
    let mut calls: BTreeMap<String, f64> = BTreeMap::new();
    for version in minutes.iter().flat_map(|minute| &minute.versions) {
        *calls.entry(version.name()).or_default() += version.calls_per_second;
    }
    let mut names: Vec<(String, f64)> = calls.into_iter().collect();
    names.sort_by(|one, other| other.1.total_cmp(&one.1));
    let mut names: Vec<String> = names.into_iter().take(MOST).map(|(name, _)| name).collect();
    // A colour that changes with the order would say something else each minute.
    names.sort();
    names
}

fn values(minutes: &[Minute], name: &str, of: Of) -> Vec<Option<f64>> {
    minutes.iter().map(|minute| minute.versions.iter().find(|version| version.name() == name).and_then(of)).collect()
}

/// `16:30`, of UTC.
fn hour_and_minute(ms: i64) -> String {
    figures::minute(ms).split_off("2026-11-26 ".len().min(figures::minute(ms).len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(name: &str, rate: f64) -> Figures {
        let (calls_per_second, errors_per_second) = (rate, 0.0);
        Figures { model: name.into(), version: "1".into(), calls_per_second, errors_per_second, p50_ms: None, p99_ms: None, in_flight: 0 }
    }

    #[test]
    fn the_busiest_are_drawn_and_keep_their_places() {
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let versions = names.iter().enumerate().map(|(at, name)| version(name, if at == 2 { 0.0 } else { at as f64 + 1.0 })).collect();
        let minutes =
            [Minute { at_ms: 1_795_710_600_000, versions }, Minute { at_ms: 1_795_710_660_000, versions: vec![version("a", 99.0)] }];
        assert_eq!(busiest(&minutes), ["a@1", "d@1", "e@1", "f@1", "g@1"]);
        assert_eq!(values(&minutes, "g@1", |version| Some(version.calls_per_second)), [Some(7.0), None]);
        assert_eq!(hour_and_minute(minutes[0].at_ms), "16:30");
    }
}
