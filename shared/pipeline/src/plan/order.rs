//! Who stands behind whom.

use torchmesh_settings::Problem;

use super::{From, Node};
use crate::spec::Pipeline;

/// Fills in who comes after whom, and the ranks. Steps that wait for each other are reported; then there are no ranks, and it is `true`.
pub(super) fn order(pipeline: &Pipeline, nodes: &mut [Node], problems: &mut Vec<Problem>) -> bool {
    let before: Vec<Vec<usize>> = nodes.iter().map(before).collect();
    for (at, before) in before.iter().enumerate() {
        for from in before {
            nodes[*from].after.push(at);
        }
    }
    let mut waits: Vec<usize> = before.iter().map(Vec::len).collect();
    let mut order: Vec<usize> = (0..nodes.len()).filter(|at| waits[*at] == 0).collect();
    let mut next = 0;
    while let Some(&at) = order.get(next) {
        next += 1;
        for to in nodes[at].after.clone() {
            nodes[to].rank = nodes[to].rank.max(nodes[at].rank + 1);
            waits[to] -= 1;
            if waits[to] == 0 {
                order.push(to);
            }
        }
    }
    for &at in order.iter().rev() {
        nodes[at].below = nodes[at].after.iter().map(|to| nodes[*to].below + 1).max().unwrap_or(0);
    }
    let tangled = order.len() < nodes.len();
    if tangled {
        let circle = circle(&before, &waits);
        let names: Vec<_> = circle.iter().map(|at| pipeline.steps[*at].name.as_str()).collect();
        let first = circle.first().copied().unwrap_or(0);
        let message = format!("waits for itself: {}", names.join(" takes from "));
        problems.push(Problem { field: format!("step[{first}]"), message });
    }
    tangled
}

/// The nodes that a node takes something from, each once.
fn before(node: &Node) -> Vec<usize> {
    let from = |from: &From| match from {
        From::Output(node, _) => Some(*node),
        From::Input(_) | From::Constant(_) => None,
    };
    let mut before: Vec<_> = node.sources().filter_map(from).collect();
    before.sort_unstable();
    before.dedup();
    before
}

/// One of the circles: its nodes, the first of them again at the end.
fn circle(before: &[Vec<usize>], waits: &[usize]) -> Vec<usize> {
    // Whoever still waits takes from another one that does, so that going on always ends in a circle.
    let Some(mut at) = waits.iter().position(|waits| *waits > 0) else { return Vec::new() };
    let mut way: Vec<usize> = Vec::new();
    loop {
        if let Some(begin) = way.iter().position(|seen| *seen == at) {
            way.drain(..begin);
            way.push(at);
            return way;
        }
        way.push(at);
        let Some(next) = before[at].iter().find(|from| waits[**from] > 0) else { return way };
        at = *next;
    }
}

/// Reports what no output comes of.
pub(super) fn used(pipeline: &Pipeline, nodes: &[Node], outputs: &[Vec<From>], problems: &mut Vec<Problem>) {
    let (mut used, mut inputs) = (vec![false; nodes.len()], vec![false; pipeline.inputs.len()]);
    let mut open: Vec<&From> = outputs.iter().flatten().collect();
    while let Some(from) = open.pop() {
        match from {
            From::Input(at) => inputs[*at] = true,
            From::Output(at, _) if !used[*at] => {
                used[*at] = true;
                open.extend(nodes[*at].sources());
            }
            From::Output(..) | From::Constant(_) => {}
        }
    }
    for (at, step) in pipeline.steps.iter().enumerate().filter(|(at, _)| !used[*at]) {
        let message = format!("{:?} is for nothing: no output comes of it; take one of its outputs, or remove it", step.name);
        problems.push(Problem { field: format!("step[{at}]"), message });
    }
    for (at, input) in pipeline.inputs.iter().enumerate().filter(|(at, _)| !inputs[*at]) {
        let message = format!("{:?} is for nothing: no output comes of it; take it somewhere, or remove it", input.name);
        problems.push(Problem { field: format!("input[{at}]"), message });
    }
}
