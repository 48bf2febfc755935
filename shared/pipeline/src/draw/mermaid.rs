//! Mermaid's flow charts, which GitHub and most wikis draw.

use std::fmt::Write as _;

use super::{Spot, arrows, does};
use crate::plan::Plan;

/// The pipeline as a Mermaid flow chart.
pub fn mermaid(plan: &Plan) -> String {
    let mut text = String::from("flowchart LR\n");
    let mut line = |line: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "  {line}");
    };
    plan.pipeline.inputs.iter().enumerate().for_each(|(at, input)| line(format_args!("i{at}([\"{}\"])", safe(&input.name))));
    for node in &plan.nodes {
        let (name, does) = (safe(&plan.step(node).name), safe(&does(plan, node)));
        line(format_args!("s{}[\"{name}<br/>{does}\"]", node.at));
    }
    plan.pipeline.outputs.iter().enumerate().for_each(|(at, output)| line(format_args!("o{at}([\"{}\"])", safe(&output.name))));
    for arrow in arrows(plan) {
        let (from, to) = (id(arrow.from), id(arrow.to));
        let shaft = if arrow.dashed { "-.->" } else { "-->" };
        let label = if arrow.label.is_empty() { String::new() } else { format!("|\"{}\"|", safe(&arrow.label)) };
        line(format_args!("{from} {shaft}{label} {to}"));
    }
    text
}

fn id(of: Spot) -> String {
    match of {
        Spot::Input(at) => format!("i{at}"),
        Spot::Node(at) => format!("s{at}"),
        Spot::Output(at) => format!("o{at}"),
    }
}

/// What Mermaid would read as its own, by number.
fn safe(text: &str) -> String {
    text.chars().fold(String::new(), |mut safe, c| {
        if matches!(c, '"' | '<' | '>' | '#' | '&' | '|') || c.is_control() {
            let _ = write!(safe, "#{};", u32::from(c));
        } else {
            safe.push(c);
        }
        safe
    })
}
