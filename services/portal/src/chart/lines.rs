//! Lines over the minutes of an hour.

use maud::{Markup, html};

use super::{
    frame::{Frame, number},
    ticks,
};
use crate::figures;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 200.0;
/// The room for the numbers at the left and the minutes below.
const LEFT: f64 = 44.0;
const BELOW: f64 = 24.0;
const ABOVE: f64 = 10.0;
/// Minutes that are named below.
const NAMED: usize = 6;
/// As many as there are colours.
pub const MOST: usize = 5;

/// One line.
#[derive(Debug, Clone)]
pub struct Line {
    /// What it is called.
    pub name: String,
    /// A value for each minute; the line breaks off where there is none.
    pub values: Vec<Option<f64>>,
}

/// A chart.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    /// What it shows.
    pub title: &'a str,
    /// What each minute is called.
    pub minutes: &'a [String],
    /// At most [`MOST`] of them are drawn.
    pub lines: Vec<Line>,
}

/// The drawing, its legend, and the same numbers as a table, called `as_table`.
pub fn draw_lines(chart: &Lines<'_>, minute: &str, as_table: &str) -> Markup {
    let lines = &chart.lines[..chart.lines.len().min(MOST)];
    let names = lines.iter().map(|line| line.name.as_str()).collect();
    let told = |line: &Line, at: usize| line.values.get(at).copied().flatten().map_or_else(|| "–".to_owned(), figures::short);
    let rows = chart.minutes.iter().enumerate().map(|(at, minute)| (minute.as_str(), lines.iter().map(|line| told(line, at)).collect()));
    let rows: Vec<(&str, Vec<String>)> = rows.collect();
    Frame { title: chart.title, names, along: minute, as_table }.around(&picture(chart, lines), &rows)
}

fn picture(chart: &Lines<'_>, lines: &[Line]) -> Markup {
    let most = lines.iter().flat_map(|line| &line.values).flatten().fold(0.0_f64, |most, value| most.max(*value));
    let ticks = ticks(most);
    let top = ticks.last().copied().unwrap_or(1.0);
    let y = |value: f64| HEIGHT - BELOW - (HEIGHT - BELOW - ABOVE) * value / top;
    let steps = chart.minutes.len().saturating_sub(1).max(1) as f64;
    let x = |at: usize| LEFT + (WIDTH - LEFT) * at as f64 / steps;
    let every = chart.minutes.len().div_ceil(NAMED).max(1);
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(chart.title) preserveAspectRatio="xMidYMid meet" {
            @for tick in &ticks {
                line.grid x1=(LEFT) x2=(WIDTH) y1=(number(y(*tick))) y2=(number(y(*tick))) {}
                text.axis x=(LEFT - 8.0) y=(number(y(*tick) + 4.0)) text-anchor="end" { (figures::short(*tick)) }
            }
            @for (at, minute) in chart.minutes.iter().enumerate() {
                @let last = chart.minutes.len() - 1;
                @if (last - at).is_multiple_of(every) {
                    text.axis x=(number(x(at))) y=(HEIGHT - 6.0) text-anchor=(if at == last { "end" } else if at == 0 { "start" } else { "middle" }) { (minute) }
                }
            }
            @for (which, line) in lines.iter().enumerate() {
                path class={ "drawn stroke-" (which) } d=(path(&line.values, &x, &y)) { title { (line.name) } }
            }
        }
    }
}

/// Lines from value to value, with a gap where there is none; a value between two gaps is a dot, which a line to itself with round ends is.
fn path(values: &[Option<f64>], x: &impl Fn(usize) -> f64, y: &impl Fn(f64) -> f64) -> String {
    let mut text = String::new();
    for (at, value) in values.iter().enumerate() {
        let Some(value) = value else { continue };
        let is_first = at == 0 || values[at - 1].is_none();
        let place = format!("{} {}", number(x(at)), number(y(*value)));
        if is_first {
            text.extend(["M", &place]);
        }
        text.extend(["L", &place]);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drawn(minutes: &[&str], lines: Vec<Line>) -> String {
        let minutes: Vec<String> = minutes.iter().map(|&minute| minute.to_owned()).collect();
        draw_lines(&Lines { title: "Calls", minutes: &minutes, lines }, "Minute", "As a table").into_string()
    }

    #[test]
    fn a_line_breaks_off_where_nothing_is_known_and_every_number_is_in_the_table() {
        let lines = vec![Line { name: "<m>@1".into(), values: vec![Some(1.0), None, Some(4.0), Some(2.0)] }];
        let text = drawn(&["10:00", "10:01", "10:02", "10:03"], lines);
        assert!(text.contains("&lt;m&gt;@1") && !text.contains("<m>") && !text.contains("style="), "{text}");
        let path = text.split("d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!((path.matches('M').count(), path.matches('L').count()), (2, 3), "{path}");
        for cell in ["<td class=\"number\">4</td>", "<td class=\"number\">–</td>"] {
            assert!(text.contains(cell), "{cell} is missing in {text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_there_is_is_drawn_within_the_picture(values in prop::collection::vec(prop::option::of(0.0_f64..1e9), 0..70)) {
            let minutes: Vec<String> = (0..values.len()).map(|at| format!("{at}")).collect();
            let minutes: Vec<&str> = minutes.iter().map(String::as_str).collect();
            let text = drawn(&minutes, vec![Line { name: "m@1".into(), values }]);
            let path = text.split("d=\"").nth(1).unwrap().split('"').next().unwrap();
            for place in path.split(['M', 'L']).filter(|place| !place.is_empty()) {
                let (x, y) = place.split_once(' ').unwrap();
                prop_assert!((0.0..=WIDTH).contains(&x.parse::<f64>().unwrap()) && (0.0..=HEIGHT).contains(&y.parse::<f64>().unwrap()));
            }
        }
    }
}
