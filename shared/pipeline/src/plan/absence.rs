//! What may not be there although nothing went wrong: what optional and skipped steps would have given.

use torchmesh_settings::Problem;

use super::{From, Node};
use crate::spec::{Calls, Choice, Pipeline, Work};

/// Reports outputs that may be absent without saying so, and places that are never looked at since the one in front always has a tensor.
pub(super) fn told(pipeline: &Pipeline, nodes: &[Node], outputs: &[Vec<From>], problems: &mut Vec<Problem>) {
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|at| nodes[*at].rank);
    let mut certain = vec![false; nodes.len()];
    for at in order {
        certain[at] = is_certain(pipeline, &nodes[at], &certain);
    }
    let mut report = |field: String, message: String| problems.push(Problem { field, message });
    for node in nodes {
        for (name, from) in &node.inputs {
            if let Some(message) = idle(from, &certain) {
                report(format!("step[{}].inputs.{name}", node.at), message);
            }
        }
    }
    for (at, (output, from)) in pipeline.outputs.iter().zip(outputs).enumerate() {
        if let Some(message) = idle(from, &certain) {
            report(format!("output[{at}].from"), message);
        }
        if !output.optional && !from.is_empty() && !there(from, &certain) {
            let message = "may be absent, since all that it comes from is optional or may be skipped; give it another place or a constant behind \
                these, or mark it with optional = true";
            report(format!("output[{at}].from"), message.to_owned());
        }
    }
}

fn is_certain(pipeline: &Pipeline, node: &Node, certain: &[bool]) -> bool {
    let step = &pipeline.steps[node.at];
    let skips = step.when.is_some() || step.policy.optional;
    let chooses = match &step.work {
        Work::Call(Calls { choice: Choice::Switch(switch), map, .. }) => switch.default.is_none() || map.is_some(),
        // A list without anything in it is skipped.
        Work::Call(Calls { map, .. }) => map.is_some(),
        Work::Transform(_) => false,
    };
    let inputs = node.inputs.iter().map(|(_, from)| from).chain(&node.on);
    !skips && !chooses && inputs.into_iter().all(|from| there(from, certain))
}

/// Whether one of these always has a tensor.
fn there(from: &[From], certain: &[bool]) -> bool {
    from.iter().any(|from| is_there(from, certain))
}

fn is_there(from: &From, certain: &[bool]) -> bool {
    match from {
        From::Input(_) | From::Constant(_) => true,
        From::Output(node, _) => certain[*node],
    }
}

fn idle(from: &[From], certain: &[bool]) -> Option<String> {
    let sure = from.iter().position(|from| is_there(from, certain))?;
    (sure + 1 < from.len())
        .then(|| format!("names {} places, and number {} always has a tensor; remove those behind it", from.len(), sure + 1))
}
