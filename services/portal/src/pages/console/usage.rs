//! `GET /console/usage` and `/console/usage.csv`.

use axum::{extract::RawQuery, response::IntoResponse};
use http::{HeaderValue, header};
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{UsageBy, UsageSum};

use super::{
    super::{Page, Place, parts},
    overview::calls_chart,
    sums::{self, By, Total},
};
use crate::{
    chart::{Chart, Series, draw},
    csv,
    fail::Answer,
    figures::{self, DAY_MS},
    upstream::Used,
    visit::{Person, Visit},
};

const DAYS: [i64; 3] = [7, 30, 90];

/// What is looked at.
#[derive(Debug, Clone, Copy)]
struct View {
    days: i64,
    by: By,
}

impl View {
    fn read(query: Option<&str>) -> Self {
        let told =
            |name: &str| form_urlencoded::parse(query.unwrap_or_default().as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value);
        let days = told("days").and_then(|days| days.parse().ok()).filter(|days| DAYS.contains(days)).unwrap_or(30);
        Self { days, by: By::parse(&told("by").unwrap_or_default()) }
    }

    fn query(self) -> String {
        format!("days={}&by={}", self.days, self.by.as_str())
    }

    async fn sums(self, visit: &Visit, person: &Person, now: i64) -> Answer<Vec<UsageSum>> {
        let from_ms = figures::day_of(now) - (self.days - 1) * DAY_MS;
        let used = Used { from_ms, by: vec![UsageBy::Day, self.by.asked()], ..Default::default() };
        visit.app().accounts.usage(person.token(), &used).await
    }
}

/// The page.
pub async fn show(visit: Visit, person: Person, RawQuery(query): RawQuery) -> Answer {
    let (view, now) = (View::read(query.as_deref()), figures::now_ms());
    let sums = view.sums(&visit, &person, now).await?;
    let days = sums::by_day(&sums, now, view.days);
    let download = html! { a.button href={ "/console/usage.csv?" (view.query()) } { (visit.say("usage.download")) } };
    let body = html! {
        (parts::head(visit.say("usage.title"), visit.say("usage.lead"), download))
        (choices(&visit, view))
        section { (calls_chart(&visit, &days)) }
        section { (tokens_chart(&visit, &days)) }
        section { (table(&visit, view.by, &sums)) }
    };
    Ok(Page::new(Place::Usage, visit.say("usage.title"), body).answer(&visit))
}

fn choices(visit: &Visit, view: View) -> Markup {
    let (each_day, each_by) = (DAYS.map(|days| View { days, ..view }), By::ALL.map(|by| View { by, ..view }));
    html! {
        div.choices {
            nav.segments aria-label=(visit.say("usage.period")) {
                @for other in each_day {
                    a href={ "?" (other.query()) } aria-current=[(other.days == view.days).then_some("true")] { (visit.texts().fill("usage.days", &[("count", &other.days.to_string())])) }
                }
            }
            nav.segments aria-label=(visit.say("usage.by")) {
                @for other in each_by {
                    a href={ "?" (other.query()) } aria-current=[(other.by == view.by).then_some("true")] { (by_text(visit, other.by)) }
                }
            }
        }
    }
}

fn by_text(visit: &Visit, by: By) -> &str {
    match by {
        By::Model => visit.say("usage.by_model"),
        By::Key => visit.say("usage.by_key"),
    }
}

fn tokens_chart(visit: &Visit, days: &[(String, Total)]) -> Markup {
    let of = |value: fn(&Total) -> i64| days.iter().map(|(_, total)| value(total)).collect();
    let series = vec![
        Series { name: visit.say("figure.prompt"), values: of(|total| total.prompt) },
        Series { name: visit.say("figure.completion"), values: of(|total| total.completion) },
    ];
    let chart = Chart { title: visit.say("usage.tokens_by_day"), days: days.iter().map(|(day, _)| day.clone()).collect(), series };
    draw(&chart, visit.say("usage.day"), visit.say("usage.as_table"))
}

/// A line for each model or key.
pub(in crate::pages) fn table(visit: &Visit, by: By, sums: &[UsageSum]) -> Markup {
    let (title, rows) = (by_text(visit, by), sums::by_name(sums, by));
    let heads = ["figure.calls", "figure.failed", "figure.prompt", "figure.completion"];
    let table = html! {
        table {
            thead { tr { th scope="col" { (title) } @for head in heads { th.number scope="col" { (visit.say(head)) } } } }
            tbody {
                @for (name, total) in &rows {
                    tr {
                        th.mono scope="row" { (name) }
                        @for value in [total.calls, total.failed, total.prompt, total.completion] { td.number { (figures::grouped(value)) } }
                    }
                }
            }
        }
    };
    html! { h2 { (title) } @if rows.is_empty() { (parts::empty(visit.say("usage.none"), html! {})) } @else { (parts::scroll(title, table)) } }
}

/// The same as a table to download.
pub async fn download(visit: Visit, person: Person, RawQuery(query): RawQuery) -> Answer {
    let view = View::read(query.as_deref());
    let sums = view.sums(&visit, &person, figures::now_ms()).await?;
    let head = [
        "day",
        view.by.as_str(),
        "calls",
        "failed",
        "prompt_tokens",
        "cached_tokens",
        "completion_tokens",
        "items",
        "audio_ms",
        "bytes_in",
        "bytes_out",
    ];
    let head = head.map(str::to_owned).to_vec();
    let text = csv::lines(std::iter::once(head).chain(sums.iter().map(|sum| row(view, sum))));
    let name = HeaderValue::from_str(&format!("attachment; filename=\"usage-{}.csv\"", figures::day(figures::now_ms())));
    let name = name.unwrap_or(HeaderValue::from_static("attachment"));
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")), (header::CONTENT_DISPOSITION, name)], text)
        .into_response())
}

fn row(view: View, sum: &UsageSum) -> Vec<String> {
    let name = if view.by == By::Model { &sum.model } else { &sum.credential };
    let figures = [
        sum.calls,
        sum.failed,
        sum.prompt_tokens,
        sum.cached_tokens,
        sum.completion_tokens,
        sum.items,
        sum.audio_ms,
        sum.bytes_in,
        sum.bytes_out,
    ];
    [figures::day(sum.begin_unix_ms), name.clone()].into_iter().chain(figures.map(|figure| figure.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_offers_is_not_looked_at() {
        let view = View::read(Some("days=100000000&by=tenant'--"));
        assert_eq!((view.days, view.by), (30, By::Model));
        let view = View::read(Some("by=key&days=7"));
        assert_eq!((view.days, view.by), (7, By::Key));
    }
}
