//! Stacked bars, one for each day.

use maud::{Markup, html};

use super::{
    frame::{Frame, number},
    ticks,
};
use crate::figures;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
/// The room for the numbers at the left and the days below.
const LEFT: f64 = 44.0;
const BELOW: f64 = 24.0;
const ABOVE: f64 = 10.0;
/// Days that are named below.
const NAMED: usize = 7;

/// One colour of the bars.
#[derive(Debug, Clone)]
pub struct Series<'a> {
    /// What it is called.
    pub name: &'a str,
    /// A value for each day.
    pub values: Vec<i64>,
}

/// A chart.
#[derive(Debug, Clone)]
pub struct Chart<'a> {
    /// What it shows.
    pub title: &'a str,
    /// The name of each day.
    pub days: Vec<String>,
    /// From the bottom up.
    pub series: Vec<Series<'a>>,
}

/// The drawing, its legend, and the same numbers as a table, called `as_table`.
pub fn draw(chart: &Chart<'_>, day: &str, as_table: &str) -> Markup {
    let names = chart.series.iter().map(|series| series.name).collect();
    let figures =
        |at: usize| chart.series.iter().map(|series| figures::grouped(series.values.get(at).copied().unwrap_or_default())).collect();
    let rows: Vec<(&str, Vec<String>)> = chart.days.iter().enumerate().map(|(at, day)| (day.as_str(), figures(at))).collect();
    Frame { title: chart.title, names, along: day, as_table }.around(&picture(chart), &rows)
}

/// The heights of the axis's lines and of the bars, which share one scale.
struct Scale {
    ticks: Vec<f64>,
}

impl Scale {
    fn y(&self, value: f64) -> f64 {
        let top = self.ticks.last().copied().unwrap_or(1.0);
        HEIGHT - BELOW - (HEIGHT - BELOW - ABOVE) * value / top
    }
}

fn picture(chart: &Chart<'_>) -> Markup {
    let total = |at: usize| chart.series.iter().map(|series| series.values.get(at).copied().unwrap_or_default()).sum::<i64>();
    let most = (0..chart.days.len()).map(total).max().unwrap_or_default();
    let scale = Scale { ticks: ticks(most as f64) };
    let wide = (WIDTH - LEFT) / chart.days.len().max(1) as f64;
    let every = chart.days.len().div_ceil(NAMED).max(1);
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(chart.title) preserveAspectRatio="xMidYMid meet" {
            @for tick in &scale.ticks {
                @let y = scale.y(*tick);
                line.grid x1=(LEFT) x2=(WIDTH) y1=(number(y)) y2=(number(y)) {}
                text.axis x=(LEFT - 8.0) y=(number(y + 4.0)) text-anchor="end" { (figures::short(*tick)) }
            }
            @for (at, day) in chart.days.iter().enumerate() {
                @let x = LEFT + wide * at as f64;
                (bar(chart, at, &scale, x + wide * 0.14, wide * 0.72))
                @if (chart.days.len() - 1 - at).is_multiple_of(every) {
                    // A name is wider than its bar: the last one ends where the chart does.
                    @let is_last = at + 1 == chart.days.len();
                    text.axis x=(number(if is_last { WIDTH } else { x + wide / 2.0 })) y=(HEIGHT - 6.0) text-anchor=(if is_last { "end" } else { "middle" }) { (short_day(day)) }
                }
            }
        }
    }
}

fn bar(chart: &Chart<'_>, at: usize, scale: &Scale, x: f64, wide: f64) -> Markup {
    let mut below = 0.0;
    let mut parts = Vec::new();
    for (which, series) in chart.series.iter().enumerate() {
        let value = series.values.get(at).copied().unwrap_or_default().max(0);
        if value > 0 {
            let (top, bottom) = (scale.y(below + value as f64), scale.y(below));
            parts.push((which, top, (bottom - top).max(0.5), series.name, value));
        }
        below += value as f64;
    }
    html! {
        g {
            @if !parts.is_empty() {
                title { (chart.days[at]) @for (_, _, _, name, value) in &parts { ", " (name) ": " (figures::grouped(*value)) } }
            }
            @for (which, top, high, _, _) in parts {
                rect class={ "fill-" (which) } x=(number(x)) y=(number(top)) width=(number(wide)) height=(number(high)) rx="1.5" {}
            }
        }
    }
}

/// `11-26` of `2026-11-26`.
fn short_day(day: &str) -> &str {
    day.get(5..).unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_the_chart_is_in_its_table_and_nothing_is_styled_in_line() {
        let series = vec![Series { name: "good", values: vec![3, 1234] }, Series { name: "<b>", values: vec![0, 7] }];
        let text = draw(&Chart { title: "Calls", days: vec!["2026-11-25".into(), "2026-11-26".into()], series }, "Day", "As a table")
            .into_string();
        for part in ["<td class=\"number\">1,234</td>", "2026-11-26, good: 1,234, &lt;b&gt;: 7", "aria-label=\"Calls\"", "fill-1"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(!text.contains("style=") && !text.contains("<b>"));
        assert_eq!(text.matches("<rect").count(), 3, "a bar of nothing is not drawn");
    }
}
