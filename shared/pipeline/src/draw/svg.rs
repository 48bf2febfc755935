//! A drawing of its own, in columns: what stands further right waits for something on its left.

use std::fmt::Write as _;

use super::{Arrow, Spot, arrows, does};
use crate::plan::Plan;

const WIDTH: usize = 190;
const HEIGHT: usize = 46;
const ACROSS: usize = 90;
const DOWN: usize = 22;
const EDGE: usize = 16;

/// The pipeline as an SVG document.
pub fn svg(plan: &Plan) -> String {
    let columns = columns(plan);
    let tallest = columns.iter().map(Vec::len).max().unwrap_or(1);
    let (width, height) = (2 * EDGE + columns.len() * (WIDTH + ACROSS) - ACROSS, 2 * EDGE + tallest * (HEIGHT + DOWN) - DOWN);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
         <path d=\"M0 0L8 4L0 8z\" fill=\"#555\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let place = |of: Spot| columns.iter().enumerate().find_map(|(column, boxes)| Some((column, boxes.iter().position(|one| *one == of)?)));
    for arrow in arrows(plan) {
        draw_arrow(&mut text, &arrow, place(arrow.from), place(arrow.to));
    }
    for (column, boxes) in columns.iter().enumerate() {
        boxes.iter().enumerate().for_each(|(row, of)| draw_box(&mut text, plan, *of, corner(column, row)));
    }
    text.push_str("</svg>\n");
    text
}

/// The boxes of each column, from the left.
fn columns(plan: &Plan) -> Vec<Vec<Spot>> {
    let ranks = plan.nodes.iter().map(|node| node.rank + 1).max().unwrap_or(0);
    let mut columns = vec![Vec::new(); ranks + 2];
    columns[0].extend((0..plan.pipeline.inputs.len()).map(Spot::Input));
    plan.nodes.iter().for_each(|node| columns[node.rank + 1].push(Spot::Node(node.at)));
    columns[ranks + 1].extend((0..plan.pipeline.outputs.len()).map(Spot::Output));
    columns
}

fn corner(column: usize, row: usize) -> (usize, usize) {
    (EDGE + column * (WIDTH + ACROSS), EDGE + row * (HEIGHT + DOWN))
}

fn draw_box(text: &mut String, plan: &Plan, of: Spot, (x, y): (usize, usize)) {
    let (name, does, fill, round) = match of {
        Spot::Input(at) => {
            let input = &plan.pipeline.inputs[at];
            (input.name.clone(), input.kind.to_string(), "#e8f1ff", HEIGHT / 2)
        }
        Spot::Node(at) => (plan.pipeline.steps[at].name.clone(), does(plan, &plan.nodes[at]), "#f6f6f6", 6),
        Spot::Output(at) => (plan.pipeline.outputs[at].name.clone(), String::new(), "#e9f7ea", HEIGHT / 2),
    };
    let (middle, upper, lower) = (x + WIDTH / 2, y + 19, y + 35);
    let _ = write!(
        text,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"{round}\" fill=\"{fill}\" stroke=\"#888\"/>\n\
         <text x=\"{middle}\" y=\"{upper}\" text-anchor=\"middle\" font-weight=\"bold\">{}</text>\n\
         <text x=\"{middle}\" y=\"{lower}\" text-anchor=\"middle\" fill=\"#555\">{}</text>\n",
        safe(&name),
        safe(&does),
    );
}

fn draw_arrow(text: &mut String, arrow: &Arrow, from: Option<(usize, usize)>, to: Option<(usize, usize)>) {
    let (Some(from), Some(to)) = (from.map(|(column, row)| corner(column, row)), to.map(|(column, row)| corner(column, row))) else {
        return;
    };
    let (x1, y1, x2, y2) = (from.0 + WIDTH, from.1 + HEIGHT / 2, to.0, to.1 + HEIGHT / 2);
    let bend = (x2 - x1) / 2;
    let dashes = if arrow.dashed { " stroke-dasharray=\"5 4\"" } else { "" };
    let _ = writeln!(
        text,
        "<path d=\"M{x1} {y1}C{} {y1} {} {y2} {x2} {y2}\" fill=\"none\" stroke=\"#555\" marker-end=\"url(#head)\"{dashes}/>",
        x1 + bend,
        x2 - bend,
    );
    if !arrow.label.is_empty() {
        let _ = writeln!(text, "<text x=\"{}\" y=\"{}\" font-size=\"10\" fill=\"#777\">{}</text>", x1 + 6, y1 - 4, safe(&arrow.label));
    }
}

/// As XML takes it: it has no form at all for most control characters.
fn safe(text: &str) -> String {
    let shown = |c: char| if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { char::REPLACEMENT_CHARACTER } else { c };
    let text: String = text.chars().map(shown).collect();
    let short: String = if text.chars().count() > 30 { text.chars().take(29).chain(['…']).collect() } else { text };
    short.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
