//! The map: from the router to versions, and from versions to the workers that serve them.

use maud::{Markup, html};
use torchmesh_api::admin::v1::Endpoint;

use crate::{figures, traffic::Figures, visit::Visit};

const WIDTH: f64 = 720.0;
const ROW: f64 = 52.0;
const BOX: f64 = 40.0;
const WIDE: f64 = 190.0;
/// Where each of the three columns begins.
const COLUMNS: [f64; 3] = [0.0, 265.0, WIDTH - WIDE];
/// So many boxes a column has: more are a list, and that is another page.
const MOST: usize = 24;
/// Letters that fit into a box.
const LETTERS: usize = 24;

/// One box.
struct Place {
    title: String,
    below: String,
    is_bad: bool,
}

/// A line between boxes of neighbouring columns.
struct Link {
    from: usize,
    to: usize,
    calls_per_second: f64,
    is_bad: bool,
    said: String,
}

/// What is drawn.
struct Map {
    versions: Vec<Place>,
    workers: Vec<Place>,
    in_links: Vec<Link>,
    out_links: Vec<Link>,
}

pub(super) fn draw(visit: &Visit, now: &[Figures], endpoints: &[Endpoint]) -> Markup {
    let map = Map::of(visit, now, endpoints);
    let rows = map.versions.len().max(map.workers.len()).max(1);
    let high = rows as f64 * ROW;
    let (versions, workers) = (map.versions.len().to_string(), map.workers.len().to_string());
    let label = visit.texts().fill("traffic.map_label", &[("versions", &versions), ("workers", &workers)]);
    let router = Place { title: visit.say("traffic.router").to_owned(), below: String::new(), is_bad: false };
    let more = (named(endpoints).len().saturating_sub(MOST)) + endpoints.len().saturating_sub(MOST);
    html! {
        figure.chart.map {
            svg viewBox={ "0 0 " (WIDTH) " " (high) } role="img" aria-label=(label) preserveAspectRatio="xMidYMid meet" {
                @for link in &map.in_links { (line(0, link, 1, map.versions.len(), high)) }
                @for link in &map.out_links { (line(1, link, map.versions.len(), map.workers.len(), high)) }
                (boxed(0, 0, 1, high, &router))
                @for (at, place) in map.versions.iter().enumerate() { (boxed(1, at, map.versions.len(), high, place)) }
                @for (at, place) in map.workers.iter().enumerate() { (boxed(2, at, map.workers.len(), high, place)) }
            }
            @if more > 0 { p.faint { (visit.texts().fill("traffic.more", &[("count", &more.to_string())])) } }
            details.figures { summary { (visit.say("usage.as_table")) span.visually-hidden { ": " (visit.say("traffic.map")) } } (table(visit, now)) }
        }
    }
}

/// Every version that a worker serves, by name.
fn named(endpoints: &[Endpoint]) -> Vec<(&str, &str)> {
    let mut named: Vec<(&str, &str)> = endpoints
        .iter()
        .flat_map(|endpoint| &endpoint.versions)
        .map(|version| (version.model.as_str(), version.version.as_str()))
        .collect();
    named.sort_unstable();
    named.dedup();
    named
}

impl Map {
    fn of(visit: &Visit, now: &[Figures], endpoints: &[Endpoint]) -> Self {
        let mut map = Self { versions: Vec::new(), workers: Vec::new(), in_links: Vec::new(), out_links: Vec::new() };
        let named = named(endpoints);
        for (at, (model, version)) in named.iter().take(MOST).enumerate() {
            let figures = now.iter().find(|figures| (figures.model.as_str(), figures.version.as_str()) == (model, version));
            let (calls, errors) = figures.map_or((0.0, 0.0), |figures| (figures.calls_per_second, figures.errors_per_second));
            let below = visit.texts().fill("traffic.rate", &[("rate", &figures::short(calls))]);
            let title = format!("{model}@{version}");
            map.in_links.push(Link { from: 0, to: at, calls_per_second: calls, is_bad: errors > 0.0, said: format!("{title}: {below}") });
            map.versions.push(Place { title, below, is_bad: errors > 0.0 });
        }
        for (at, endpoint) in endpoints.iter().take(MOST).enumerate() {
            let below = visit.texts().fill("traffic.flying", &[("count", &endpoint.in_flight.to_string())]);
            map.workers.push(Place {
                title: endpoint.id.clone(),
                below,
                is_bad: endpoint.versions.iter().any(|version| version.left_alone),
            });
            map.reach(at, endpoint, &named);
        }
        map
    }

    /// Lines to a worker from the versions that it serves. What it has in flight is what is known of how much it is called.
    fn reach(&mut self, worker: usize, endpoint: &Endpoint, named: &[(&str, &str)]) {
        for served in &endpoint.versions {
            let place = named.iter().position(|name| *name == (served.model.as_str(), served.version.as_str()));
            let Some(from) = place.filter(|from| *from < MOST) else { continue };
            let said = format!("{}@{} – {}: {}", served.model, served.version, endpoint.id, served.in_flight);
            self.out_links.push(Link { from, to: worker, calls_per_second: served.in_flight as f64, is_bad: served.left_alone, said });
        }
    }
}

/// The middle of a box, from the top.
fn middle(at: usize, of: usize, high: f64) -> f64 {
    high * (at as f64 + 0.5) / of.max(1) as f64
}

fn line(column: usize, link: &Link, from_of: usize, to_of: usize, high: f64) -> Markup {
    let (x1, x2) = (COLUMNS[column] + WIDE, COLUMNS[column + 1]);
    let (y1, y2) = (middle(link.from, from_of, high), middle(link.to, to_of, high));
    let half = f64::midpoint(x1, x2);
    // Twice as wide for ten times as much.
    let wide = (1.0 + 2.0 * (1.0 + link.calls_per_second).log10()).min(9.0);
    let class = if link.is_bad { "link bad" } else { "link" };
    html! {
        path class=(class) stroke-width=(number(wide))
            d={ "M" (number(x1)) " " (number(y1)) "C" (number(half)) " " (number(y1)) " " (number(half)) " " (number(y2)) " " (number(x2)) " " (number(y2)) } {
            title { (link.said) }
        }
    }
}

fn boxed(column: usize, at: usize, of: usize, high: f64, place: &Place) -> Markup {
    let (x, y) = (COLUMNS[column], middle(at, of, high));
    let class = if place.is_bad { "place bad" } else { "place" };
    let is_one_line = place.below.is_empty();
    html! {
        g class=(class) {
            title { (place.title) @if !is_one_line { ", " (place.below) } }
            rect x=(number(x + 0.5)) y=(number(y - BOX / 2.0)) width=(WIDE - 1.0) height=(BOX) rx="8" {}
            text x=(number(x + 12.0)) y=(number(y + if is_one_line { 4.5 } else { -2.5 })) { (shortened(&place.title)) }
            @if !is_one_line { text.below x=(number(x + 12.0)) y=(number(y + 13.0)) { (place.below) } }
        }
    }
}

/// As much of a name as fits; all of it is in the box's title.
fn shortened(name: &str) -> String {
    if name.chars().count() <= LETTERS {
        return name.to_owned();
    }
    name.chars().take(LETTERS - 1).chain(['…']).collect()
}

fn number(value: f64) -> String {
    format!("{value:.1}")
}

fn table(visit: &Visit, now: &[Figures]) -> Markup {
    let heads = ["traffic.calls", "traffic.errors", "traffic.p50", "traffic.p99", "mesh.in_flight"];
    let time = |ms: Option<f64>| ms.map_or_else(|| "–".to_owned(), figures::short);
    html! {
        div.scroll tabindex="0" role="region" aria-label=(visit.say("traffic.map")) {
            table {
                thead { tr { th scope="col" { (visit.say("models.version")) } @for head in heads { th.number scope="col" { (visit.say(head)) } } } }
                tbody { @for version in now {
                    tr {
                        th.mono scope="row" { (version.name()) }
                        td.number { (figures::short(version.calls_per_second)) }
                        td.number { (figures::short(version.errors_per_second)) }
                        td.number { (time(version.p50_ms)) }
                        td.number { (time(version.p99_ms)) }
                        td.number { (version.in_flight) }
                    }
                } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_by_letters_and_not_within_one() {
        assert_eq!(shortened("smollm2@1"), "smollm2@1");
        let cut = shortened(&"模".repeat(30));
        assert_eq!((cut.chars().count(), cut.ends_with('…')), (LETTERS, true));
    }

    #[test]
    fn a_version_that_several_workers_serve_is_one_box() {
        use torchmesh_api::admin::v1::EndpointVersion;
        let served = |model: &str| EndpointVersion { model: model.into(), version: "1".into(), ..Default::default() };
        let endpoints = ["a", "b"].map(|id| Endpoint { id: id.into(), versions: vec![served("m"), served(id)], ..Default::default() });
        assert_eq!(named(&endpoints), [("a", "1"), ("b", "1"), ("m", "1")]);
    }
}
