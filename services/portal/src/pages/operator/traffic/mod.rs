//! `GET /operator/traffic`: what goes on at this moment, as a map, and what did in the last hour, as charts.

mod charts;
mod map;

use maud::{Markup, html};

use super::{
    super::{Page, Place, parts},
    router,
};
use crate::{
    fail::Answer,
    figures,
    traffic::{Figures, Seen},
    visit::{Operator, Visit},
};

/// How often the script reads the page again, in seconds.
const AGAIN_S: u32 = 5;

/// The page.
pub async fn show(visit: Visit, _who: Operator) -> Answer {
    // While the router is away, the hour before is what operators come for.
    let endpoints = router(visit.app())?.endpoints().await.ok();
    let seen = visit.app().traffic.seen();
    let now = seen.now.as_deref().unwrap_or_default();
    let body = html! {
        (parts::head(visit.say("nav.traffic"), visit.say("traffic.lead"), html! {}))
        div #live data-again=(AGAIN_S) {
            @if let Some(endpoints) = &endpoints {
                (tiles(&visit, now, endpoints.len()))
                @if seen.now.is_none() { p.faint { (visit.say("traffic.waiting")) } }
                section { h2 { (visit.say("traffic.map")) } (map::draw(&visit, now, endpoints)) }
            } @else {
                div.notice.bad role="alert" { p { (visit.say("traffic.away")) } }
            }
            section { h2 { (visit.say("traffic.hour")) } (hour(&visit, &seen)) }
        }
    };
    Ok(Page::new(Place::Traffic, visit.say("nav.traffic"), body).answer(&visit))
}

fn tiles(visit: &Visit, now: &[Figures], workers: usize) -> Markup {
    let sum = |of: fn(&Figures) -> f64| figures::short(now.iter().map(of).sum());
    let in_flight: u64 = now.iter().map(|version| version.in_flight).sum();
    let tiles = [
        ("traffic.calls", sum(|version| version.calls_per_second)),
        ("traffic.errors", sum(|version| version.errors_per_second)),
        ("mesh.in_flight", in_flight.to_string()),
        ("mesh.workers", workers.to_string()),
    ];
    html! { dl.tiles { @for (name, value) in tiles { div.tile { dt { (visit.say(name)) } dd { (value) } } } } }
}

fn hour(visit: &Visit, seen: &Seen) -> Markup {
    if seen.minutes.is_empty() {
        return parts::empty(visit.say("traffic.none"), html! {});
    }
    charts::draw(visit, &seen.minutes)
}
