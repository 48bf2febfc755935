//! A pipeline as a picture: [`mermaid`] for documents, [`svg`] for everywhere else.

mod mermaid;
mod svg;

pub use mermaid::mermaid;
pub use svg::svg;

use crate::{
    plan::{From, Node, Plan},
    spec::{Calls, Choice, Work},
};

/// An arrow between two boxes: what goes along it, and whether it is only a second choice or a condition.
struct Arrow {
    from: Spot,
    to: Spot,
    label: String,
    dashed: bool,
}

/// Where a box stands for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spot {
    Input(usize),
    Node(usize),
    Output(usize),
}

/// What a step does, in a line.
fn does(plan: &Plan, node: &Node) -> String {
    let step = plan.step(node);
    let mut text = match &step.work {
        Work::Transform(transform) => transform.name().to_owned(),
        Work::Call(Calls { choice: Choice::One(target), .. }) => target.to_string(),
        Work::Call(Calls { choice: Choice::Switch(switch), .. }) => {
            format!("one of {}", switch.cases.len() + usize::from(switch.default.is_some()))
        }
        Work::Call(Calls { choice: Choice::Ensemble(ensemble), .. }) => format!("{} together", ensemble.members.len()),
    };
    if let Work::Call(Calls { map: Some(_), .. }) = &step.work {
        text.push_str(", for each");
    }
    if let Work::Call(Calls { fallback, .. }) = &step.work {
        for target in fallback {
            text.push_str(", or ");
            text.push_str(&target.to_string());
        }
    }
    if step.policy.optional {
        text.push_str(" (optional)");
    }
    text
}

fn arrows(plan: &Plan) -> Vec<Arrow> {
    let mut arrows = Vec::new();
    let mut add = |to: Spot, from: &[From], dashed: bool| {
        for (place, from) in from.iter().enumerate() {
            let (from, label) = match from {
                From::Constant(_) => continue,
                From::Input(at) => (Spot::Input(*at), String::new()),
                From::Output(node, output) => (Spot::Node(*node), plan.nodes[*node].outputs[*output].to_string()),
            };
            arrows.push(Arrow { from, to, label, dashed: dashed || place > 0 });
        }
    };
    for node in &plan.nodes {
        node.inputs.iter().for_each(|(_, from)| add(Spot::Node(node.at), from, false));
        node.when.iter().for_each(|(from, _)| add(Spot::Node(node.at), from, true));
        node.on.iter().for_each(|from| add(Spot::Node(node.at), from, true));
    }
    plan.outputs.iter().enumerate().for_each(|(at, from)| add(Spot::Output(at), from, false));
    arrows
}

#[cfg(test)]
mod tests;
