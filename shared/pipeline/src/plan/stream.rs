//! The step whose answer goes to the caller piece by piece, where the pipeline has one.

use torchmesh_settings::Problem;

use super::{From, Node};
use crate::spec::{Calls, Choice, Pipeline, StepCache, Work};

/// Finds it, and reports what keeps it from being passed on as it comes.
pub(super) fn find(pipeline: &Pipeline, nodes: &[Node], outputs: &[Vec<From>], problems: &mut Vec<Problem>) -> Option<usize> {
    let name = pipeline.stream.as_ref()?;
    let mut report = |message: String| problems.push(Problem { field: "stream".to_owned(), message });
    let Some(at) = nodes.iter().position(|node| pipeline.steps[node.at].name == *name) else {
        report(format!("there is no step {name:?}"));
        return None;
    };
    let step = &pipeline.steps[at];
    let plain = matches!(&step.work, Work::Call(Calls { choice: Choice::One(_), map: None, fallback, .. }) if fallback.is_empty());
    if !plain || step.policy.retries > 0 {
        report(format!("{name:?} must call one model, without map, retries and fallback: what has been sent cannot be taken back"));
    }
    if matches!(step.policy.cache, StepCache::For(_)) {
        report(format!("{name:?} must be without cache: what is streamed is written anew each time"));
    }
    for (output, from) in pipeline.outputs.iter().zip(outputs) {
        if !matches!(from[..], [From::Output(node, _)] if node == at) {
            report(format!("output {:?} must come from {name:?} alone, to go on as it comes", output.name));
        }
    }
    Some(at)
}
