//! From names to positions.

use std::{collections::HashMap, sync::Arc};

use torchmesh_settings::Problem;

use super::{From, Node};
use crate::spec::{Calls, Choice, Pipeline, Source, Wire, Work};

/// What is known by name, and which outputs were asked for.
struct Names<'a> {
    inputs: HashMap<&'a str, usize>,
    steps: HashMap<&'a str, usize>,
    pipeline: &'a Pipeline,
    /// Of each step, the outputs that somebody takes.
    asked: Vec<Vec<Arc<str>>>,
    problems: &'a mut Vec<Problem>,
}

/// The nodes, and where each output comes from. What cannot be resolved is reported and left out.
pub(super) fn resolve(pipeline: &Pipeline, problems: &mut Vec<Problem>) -> (Vec<Node>, Vec<Vec<From>>) {
    let mut names = Names {
        inputs: pipeline.inputs.iter().enumerate().map(|(at, input)| (input.name.as_str(), at)).collect(),
        steps: pipeline.steps.iter().enumerate().map(|(at, step)| (step.name.as_str(), at)).collect(),
        pipeline,
        asked: pipeline.steps.iter().map(outputs).collect(),
        problems,
    };
    let mut nodes = Vec::with_capacity(pipeline.steps.len());
    for (at, step) in pipeline.steps.iter().enumerate() {
        let inputs = step.inputs.iter().map(|(name, wire)| {
            let from = names.wire(wire, || format!("step[{at}].inputs.{name}"));
            (name.as_str().into(), from)
        });
        let inputs = inputs.collect();
        let when = step.when.as_ref().map(|when| (names.wire(&when.value, || format!("step[{at}].when.value")), when.test.clone()));
        let on = match &step.work {
            Work::Call(Calls { choice: Choice::Switch(switch), .. }) => Some(names.wire(&switch.on, || format!("step[{at}].switch.on"))),
            _ => None,
        };
        nodes.push(Node { at, inputs, when, on, outputs: Vec::new(), after: Vec::new(), rank: 0, below: 0 });
    }
    let outputs = pipeline.outputs.iter().enumerate().map(|(at, output)| names.wire(&output.from, || format!("output[{at}].from")));
    let outputs = outputs.collect();
    nodes.iter_mut().zip(names.asked).for_each(|(node, asked)| node.outputs = asked);
    (nodes, outputs)
}

/// What a step is known to give: a transform's outputs are its own, a model's are those that somebody takes.
fn outputs(step: &crate::spec::Step) -> Vec<Arc<str>> {
    match &step.work {
        Work::Transform(transform) => transform.outputs().iter().map(|name| Arc::from(*name)).collect(),
        Work::Call(_) => Vec::new(),
    }
}

impl Names<'_> {
    fn wire(&mut self, wire: &Wire, at: impl Fn() -> String) -> Vec<From> {
        wire.0.iter().filter_map(|source| self.source(source).map_err(|message| self.report(at(), message)).ok()).collect()
    }

    fn report(&mut self, field: String, message: String) {
        self.problems.push(Problem { field, message });
    }

    fn source(&mut self, source: &Source) -> Result<From, String> {
        match source {
            Source::Constant(tensor) => Ok(From::Constant(tensor.clone())),
            Source::Input(name) => {
                let known = || self.pipeline.inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>().join(", ");
                self.inputs
                    .get(name.as_str())
                    .copied()
                    .map(From::Input)
                    .ok_or_else(|| format!("there is no input {name:?}; there is {}", known()))
            }
            Source::Step { step, output } => {
                let at = self.steps.get(step.as_str()).copied().ok_or_else(|| format!("there is no step {step:?}"))?;
                let asked = &mut self.asked[at];
                if let Some(place) = asked.iter().position(|known| **known == **output) {
                    return Ok(From::Output(at, place));
                }
                if let Work::Transform(transform) = &self.pipeline.steps[at].work {
                    return Err(format!("{} {step:?} gives {}, and no {output:?}", transform.name(), transform.outputs().join(", ")));
                }
                asked.push(output.as_str().into());
                Ok(From::Output(at, asked.len() - 1))
            }
        }
    }
}
