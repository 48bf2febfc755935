//! `GET /console`: what goes on.

use axum::response::Response;
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{Credential, ListNoticesRequest, ListingNotice, UsageBy, UsageSum};

use super::{
    super::{Page, Place, encoded, parts},
    billing,
    sums::{self, Total},
};
use crate::{
    chart::{Chart, Series, draw},
    fail::Answer,
    figures::{self, DAY_MS},
    playground::NAMED,
    upstream::Used,
    visit::{Person, Visit},
};

const DAYS: i64 = 30;

/// The page.
pub async fn show(visit: Visit, person: Person) -> Answer {
    let now = figures::now_ms();
    let from_ms = (figures::day_of(now) - (DAYS - 1) * DAY_MS).min(figures::month_of(now));
    let used = Used { from_ms, by: vec![UsageBy::Day], ..Default::default() };
    let accounts = &visit.app().accounts;
    let mut listings = accounts.listings(Some(person.token()));
    let (sums, keys, notices) = tokio::join!(
        accounts.usage(person.token(), &used),
        accounts.credentials(person.accounts(&visit), ""),
        listings.list_notices(accounts.ask(ListNoticesRequest {}))
    );
    let spend = billing::spend(&visit, &person).await?;
    let notices = notices?.into_inner().notices;
    Ok(page(&visit, &person, (&sums?, &keys?, &notices), spend.as_deref()))
}

type Known<'a> = (&'a [UsageSum], &'a [Credential], &'a [ListingNotice]);

fn page(visit: &Visit, person: &Person, (sums, keys, notices): Known<'_>, spend: Option<&str>) -> Response {
    let now = figures::now_ms();
    let month: Vec<_> = sums.iter().filter(|sum| sum.begin_unix_ms >= figures::month_of(now)).cloned().collect();
    let keys: Vec<_> = keys.iter().filter(|key| key.revoked_unix_ms == 0 && !key.name.starts_with(NAMED)).collect();
    let days = sums::by_day(sums, now, DAYS);
    let actions = html! { @if person.may_change_keys() { a.button.primary href="/console/keys/new" { (visit.say("keys.new")) } } };
    let body = html! {
        (parts::told(visit))
        (parts::head(visit.say("overview.title"), &visit.texts().fill("overview.lead", &[("month", &figures::day(figures::month_of(now))[..7])]), actions))
        @for notice in notices { (ending(visit, notice)) }
        (tiles(visit, sums::total(&month), spend))
        @if keys.is_empty() && person.may_change_keys() { (first_steps(visit)) }
        section { (calls_chart(visit, &days)) }
    };
    Page::new(Place::Overview, visit.say("overview.title"), body).answer(visit)
}

/// A model that the tenant uses, and that ends.
fn ending(visit: &Visit, notice: &ListingNotice) -> Markup {
    let places = [("model", &*notice.model), ("day", &figures::day(notice.retires_unix_ms))];
    html! {
        div.notice.warn role="status" {
            p {
                (visit.texts().fill("listing.ends", &places)) " "
                @if notice.successor.is_empty() {
                    a href={ "/models/" (encoded(&notice.model)) } { (visit.say("listing.more")) }
                } @else {
                    (visit.say("listing.instead")) " " a href={ "/models/" (encoded(&notice.successor)) } { (notice.successor) }
                }
            }
        }
    }
}

fn tiles(visit: &Visit, total: Total, spend: Option<&str>) -> Markup {
    let tile = |name: &str, value: &str, more: &str| {
        html! { div.tile { dt { (name) } dd { (value) @if !more.is_empty() { span.more { (more) } } } } }
    };
    let prompt = visit.texts().fill("overview.prompt_part", &[("count", &figures::grouped(total.prompt))]);
    html! {
        dl.tiles {
            (tile(visit.say("figure.calls"), &figures::grouped(total.calls), ""))
            (tile(visit.say("figure.tokens"), &figures::grouped(total.tokens()), &prompt))
            (tile(visit.say("figure.errors"), &figures::percent(total.failed, total.calls), &figures::grouped(total.failed)))
            @if let Some(spend) = spend { (tile(visit.say("figure.spend"), spend, "")) }
        }
    }
}

fn first_steps(visit: &Visit) -> Markup {
    html! {
        section.steps {
            h2 { (visit.say("overview.begin")) }
            ol {
                li { a href="/console/keys/new" { (visit.say("overview.step_key")) } }
                li { a href="/playground" { (visit.say("overview.step_try")) } }
                li { a href="/docs" { (visit.say("overview.step_call")) } }
            }
        }
    }
}

/// Calls by day, the failed ones above the others.
pub(super) fn calls_chart(visit: &Visit, days: &[(String, Total)]) -> Markup {
    let of = |value: fn(&Total) -> i64| days.iter().map(|(_, total)| value(total)).collect();
    let series = vec![
        Series { name: visit.say("figure.answered"), values: of(|total| total.calls - total.failed) },
        Series { name: visit.say("figure.failed"), values: of(|total| total.failed) },
    ];
    let chart = Chart { title: visit.say("usage.calls_by_day"), days: days.iter().map(|(day, _)| day.clone()).collect(), series };
    draw(&chart, visit.say("usage.day"), visit.say("usage.as_table"))
}
