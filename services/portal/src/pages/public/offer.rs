//! What a listing says, as parts of pages: plain text in paragraphs, a price, figures.

use maud::{Markup, html};
use torchmesh_api::accounts::v1::{Listing, ListingFigures, ListingState, ListingText, Price, PriceTier, UnitPrice};

use super::super::{encoded, parts};
use crate::{figures, text::Language, visit::Visit};

/// The text in the language of whoever looks, else the English one.
fn text<'a>(visit: &Visit, listing: &'a Listing) -> Option<&'a ListingText> {
    let wanted = if visit.language == Language::Chinese { "zh" } else { "en" };
    let of = |language: &str| listing.texts.iter().find(|text| text.language == language);
    of(wanted).or_else(|| of("en"))
}

/// The language that a text is in, where it is not that of the page.
pub(super) fn language<'a>(visit: &Visit, listing: &'a Listing) -> Option<&'a str> {
    let own = if visit.language == Language::Chinese { "zh" } else { "en" };
    text(visit, listing).map(|text| &*text.language).filter(|language| *language != own)
}

/// What it is, in a line.
pub(super) fn summary<'a>(visit: &Visit, listing: &'a Listing) -> &'a str {
    text(visit, listing).map_or("", |text| &text.summary)
}

/// Who provides it.
pub(super) fn provider<'a>(visit: &'a Visit, listing: &'a Listing) -> &'a str {
    if listing.provider.is_empty() { visit.say("listing.platform") } else { &listing.provider_name }
}

/// Paragraphs, which empty lines are between; lines stay lines.
fn paragraphs(text: &str) -> Markup {
    html! {
        @for paragraph in text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty()) {
            p.plain { (paragraph) }
        }
    }
}

/// That it ends, or has.
pub(super) fn ending(visit: &Visit, listing: &Listing) -> Markup {
    let (colour, key) = match listing.state() {
        ListingState::Draft => ("warn", "listing.is_draft"),
        ListingState::Deprecated => ("warn", "listing.ends"),
        ListingState::Retired => ("bad", "listing.ended"),
        ListingState::Published | ListingState::Unspecified => return html! {},
    };
    let places = [("model", &*listing.model), ("day", &figures::day(listing.retires_unix_ms))];
    html! {
        div class={ "notice " (colour) } role="status" {
            p {
                (visit.texts().fill(key, &places))
                @if !listing.successor.is_empty() {
                    " " (visit.say("listing.instead")) " " a href={ "/models/" (encoded(&listing.successor)) } { (listing.successor) }
                }
            }
        }
    }
}

pub(super) fn description(visit: &Visit, listing: &Listing) -> Markup {
    let said = text(visit, listing).filter(|text| !text.description.is_empty());
    html! { @if let Some(text) = said { div.prose lang=[language(visit, listing)] { (paragraphs(&text.description)) } } }
}

pub(super) fn terms(visit: &Visit, listing: &Listing) -> Markup {
    let said = text(visit, listing).filter(|text| !text.terms.is_empty());
    html! {
        @if let Some(text) = said {
            h2 { (visit.say("listing.terms")) }
            div.prose lang=[language(visit, listing)] { (paragraphs(&text.terms)) }
        }
    }
}

pub(super) fn changelog(visit: &Visit, listing: &Listing) -> Markup {
    html! {
        @if !listing.versions.is_empty() {
            h2 { (visit.say("listing.changelog")) }
            dl.changelog {
                @for version in &listing.versions {
                    dt { span.mono { (version.version) } " · " (parts::day(version.day_unix_ms, "")) }
                    dd { (paragraphs(&version.text)) }
                }
            }
        }
    }
}

/// Who, for how much, and how fast.
pub(super) fn facts(visit: &Visit, listing: &Listing) -> Markup {
    html! {
        dl.pairs {
            dt { (visit.say("listing.provider")) } dd { (provider(visit, listing)) }
            @if listing.published_unix_ms > 0 { dt { (visit.say("listing.published")) } dd { (parts::day(listing.published_unix_ms, "")) } }
        }
        h2 { (visit.say("listing.price")) }
        @match &listing.price {
            Some(price) => (price_table(visit, price)),
            None => p.faint { (visit.say("listing.no_price")) },
        }
        h2 { (visit.say("listing.measured")) }
        (measured(visit, listing))
    }
}

/// What a unit is called; its own name where nothing is said of it.
pub(in crate::pages) fn unit<'a>(visit: &'a Visit, name: &'a str) -> &'a str {
    visit.texts().find(&format!("unit.{name}")).unwrap_or(name)
}

fn grouped(number: u64) -> String {
    figures::grouped(i64::try_from(number).unwrap_or(i64::MAX))
}

pub(in crate::pages) fn tier(visit: &Visit, price: &Price, unit: &UnitPrice, tier: &PriceTier) -> String {
    let cost = format!("{} {}", tier.amount, price.currency);
    let cost = if unit.per == 1 { cost } else { visit.texts().fill("listing.per", &[("amount", &cost), ("count", &grouped(unit.per))]) };
    if tier.up_to == 0 { cost } else { visit.texts().fill("listing.up_to", &[("amount", &cost), ("count", &grouped(tier.up_to))]) }
}

fn price_table(visit: &Visit, price: &Price) -> Markup {
    let table = html! {
        table {
            thead { tr { th scope="col" { (visit.say("listing.unit")) } th.number scope="col" { (visit.say("listing.price")) } } }
            tbody {
                @for one in &price.units {
                    tr { th scope="row" { (unit(visit, &one.unit)) } td.number { @for (at, step) in one.tiers.iter().enumerate() { @if at > 0 { br; } (tier(visit, price, one, step)) } } }
                }
            }
        }
    };
    html! {
        @if price.units.is_empty() {
            p.faint { (visit.say("listing.free")) }
        } @else {
            (parts::scroll(visit.say("listing.price"), table))
            (batches(visit, price))
        }
    }
}

/// What batches cost of a price, where that is not all of it.
pub(in crate::pages) fn batches(visit: &Visit, price: &Price) -> Markup {
    html! { @if !price.batch.is_empty() { p.faint { (visit.texts().fill("listing.batches", &[("share", &price.batch)])) } } }
}

/// The first unit's price.
pub(super) fn price_in_short(visit: &Visit, listing: &Listing) -> Option<String> {
    let price = listing.price.as_ref()?;
    let (one, more) = (price.units.first()?, price.units.len() > 1);
    let short = format!("{}: {}", unit(visit, &one.unit), tier(visit, price, one, one.tiers.first()?));
    Some(if more { format!("{short} …") } else { short })
}

/// The figures of a week, where there are any.
pub(super) fn measured_in_short(visit: &Visit, listing: &Listing) -> Option<String> {
    let week = listing.figures.first()?;
    let share = figures::share(week.available_ppm?);
    (week.p50_us > 0).then(|| visit.texts().fill("listing.short", &[("time", &figures::lasting(week.p50_us)), ("share", &share)]))
}

fn measured(visit: &Visit, listing: &Listing) -> Markup {
    let enough: Vec<&ListingFigures> = listing.figures.iter().filter(|of| of.calls_at_least > 0).collect();
    let heads = ["listing.half", "listing.most", "listing.available", "listing.calls"];
    let figure = |us: i64| if us > 0 { figures::lasting(us) } else { "–".to_owned() };
    let table = html! {
        table {
            thead { tr { th scope="col" { (visit.say("listing.days")) } @for head in heads { th.number scope="col" { (visit.say(head)) } } } }
            tbody {
                @for of in &enough {
                    tr {
                        th scope="row" { (of.days) }
                        td.number { (figure(of.p50_us)) }
                        td.number { (figure(of.p99_us)) }
                        td.number { (of.available_ppm.map_or_else(|| "–".to_owned(), figures::share)) }
                        td.number { "≥ " (figures::grouped(of.calls_at_least)) }
                    }
                }
            }
        }
    };
    html! {
        @if enough.is_empty() {
            p.faint { (visit.say("listing.too_few")) }
        } @else {
            (parts::scroll(visit.say("listing.measured"), table))
            p.hint { (visit.say("listing.how_measured")) }
        }
    }
}
