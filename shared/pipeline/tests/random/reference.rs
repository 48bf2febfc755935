//! One step after the other, by name, with all waiting left out.

use std::collections::{BTreeMap, BTreeSet};

use torchmesh_api::{error::ErrorKind, tensor::Tensor, usage::Figures};
use torchmesh_pipeline::{
    Pipeline,
    spec::{By, Calls, Choice, Map, Source, Step, Target, Wire, Work},
    transform::Given,
};

use crate::world::{Fate, Key, World, compute, used};

/// What a place has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    There(Tensor),
    Absent,
    Failed,
}

/// All that a pipeline can come to.
pub(crate) struct Reference<'a> {
    pipeline: &'a Pipeline,
    world: World,
    inputs: BTreeMap<&'a str, Tensor>,
    done: BTreeMap<String, Result<Option<BTreeMap<String, Tensor>>, ()>>,
    /// The steps that failed by themselves.
    pub(crate) failed: BTreeSet<String>,
    /// What the answered calls have used, each once, whether or not anybody waited for the step.
    pub(crate) used: Vec<(String, Figures)>,
}

impl<'a> Reference<'a> {
    pub(crate) fn new(pipeline: &'a Pipeline, world: World, inputs: &[Tensor]) -> Self {
        let inputs = pipeline.inputs.iter().map(|input| input.name.as_str()).zip(inputs.iter().cloned()).collect();
        Self { pipeline, world, inputs, done: BTreeMap::new(), failed: BTreeSet::new(), used: Vec::new() }
    }

    /// The outputs; `None` when one of them has failed.
    pub(crate) fn outputs(&mut self) -> Option<Vec<Option<Tensor>>> {
        let pipeline = self.pipeline;
        // Every step, so that all that may be used is known.
        pipeline.steps.iter().for_each(|step| drop(self.step(step)));
        let outputs: Vec<_> = pipeline.outputs.iter().map(|output| self.wire(&output.from)).collect();
        let there = |value| match value {
            Value::There(tensor) => Some(Some(tensor)),
            Value::Absent => Some(None),
            Value::Failed => None,
        };
        outputs.into_iter().map(there).collect()
    }

    fn wire(&mut self, wire: &Wire) -> Value {
        for source in &wire.0 {
            let value = match source {
                Source::Constant(tensor) => Value::There(tensor.clone()),
                Source::Input(name) => Value::There(self.inputs[name.as_str()].clone()),
                Source::Step { step, output } => {
                    let step = self.pipeline.steps.iter().find(|known| known.name == *step).expect("a step");
                    match self.step(step) {
                        Ok(Some(outputs)) => Value::There(outputs[output].clone()),
                        Ok(None) => Value::Absent,
                        Err(()) => Value::Failed,
                    }
                }
            };
            if value != Value::Absent {
                return value;
            }
        }
        Value::Absent
    }

    fn step(&mut self, step: &'a Step) -> Result<Option<BTreeMap<String, Tensor>>, ()> {
        if let Some(done) = self.done.get(&step.name) {
            return done.clone();
        }
        let result = match self.run(step) {
            Err(()) if step.policy.optional => Ok(None),
            result => result,
        };
        self.done.insert(step.name.clone(), result.clone());
        result
    }

    fn own<T, E>(&mut self, step: &Step, result: Result<T, E>) -> Result<T, ()> {
        result.map_err(|_| {
            self.failed.insert(step.name.clone());
        })
    }

    fn run(&mut self, step: &'a Step) -> Result<Option<BTreeMap<String, Tensor>>, ()> {
        if let Some(when) = &step.when {
            match self.wire(&when.value) {
                Value::Failed => return Err(()),
                Value::Absent => return Ok(None),
                Value::There(value) => {
                    let holds = when.test.holds(&value);
                    if !self.own(step, holds)? {
                        return Ok(None);
                    }
                }
            }
        }
        let mut target = None;
        if let Work::Call(Calls { choice: Choice::Switch(switch), .. }) = &step.work {
            match self.wire(&switch.on) {
                Value::Failed => return Err(()),
                Value::Absent => return Ok(None),
                Value::There(value) => {
                    let word = value.to_i64s().expect("INT64");
                    let [word] = word[..] else { return self.own(step, Err(())) };
                    let case = switch.cases.iter().find(|(case, _)| *case == word.to_string()).map(|(_, target)| target);
                    target = case.or(switch.default.as_ref());
                    if target.is_none() {
                        return Ok(None);
                    }
                }
            }
        }
        let values: Vec<_> = step.inputs.iter().map(|(name, wire)| (name, self.wire(wire))).collect();
        if values.iter().any(|(_, value)| *value == Value::Failed) {
            return Err(());
        }
        let mut inputs: Vec<Given<Tensor>> = Vec::new();
        for (name, value) in values {
            let Value::There(tensor) = value else { return Ok(None) };
            inputs.push((name.as_str().into(), tensor));
        }
        match &step.work {
            Work::Transform(transform) => {
                let given = self.own(step, transform.apply(&inputs))?;
                Ok(Some(transform.outputs().iter().map(ToString::to_string).zip(given).collect()))
            }
            Work::Call(calls) => {
                let names = self.asked(&step.name);
                let given = match &calls.map {
                    None => self.ask(step, calls, target, &inputs, &names).map(Some),
                    Some(map) => self.each(step, calls, map, target, &inputs, &names),
                };
                let given = self.own(step, given)?;
                Ok(given.map(|given| names.into_iter().zip(given).collect()))
            }
        }
    }

    /// The outputs of a step that anybody names.
    fn asked(&self, name: &str) -> Vec<String> {
        let pipeline = self.pipeline;
        let steps = pipeline.steps.iter().flat_map(|step| {
            let on = match &step.work {
                Work::Call(Calls { choice: Choice::Switch(switch), .. }) => Some(&switch.on),
                _ => None,
            };
            step.inputs.iter().map(|(_, wire)| wire).chain(step.when.as_ref().map(|when| &when.value)).chain(on)
        });
        let wires = steps.chain(pipeline.outputs.iter().map(|output| &output.from));
        let named = wires.flat_map(|wire| &wire.0).filter_map(|source| match source {
            Source::Step { step, output } if step == name => Some(output.clone()),
            _ => None,
        });
        named.collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn each(
        &mut self,
        step: &Step,
        calls: &Calls,
        map: &Map,
        target: Option<&Target>,
        inputs: &[Given<Tensor>],
        names: &[String],
    ) -> Result<Option<Vec<Tensor>>, ()> {
        let rows = inputs[0].1.to_f32s().expect("FP32");
        let mut answers: Vec<Vec<Tensor>> = Vec::new();
        let mut failed = false;
        for rows in rows.chunks(2 * map.rows) {
            let part = [(inputs[0].0.clone(), Tensor::from_f32s([rows.len() as i64 / 2, 2], rows))];
            match self.ask(step, calls, target, &part, names) {
                Ok(answer) => answers.push(answer),
                Err(()) => failed = true,
            }
        }
        if failed {
            return Err(());
        }
        let join = |at: usize| {
            let parts: Vec<_> = answers.iter().map(|answer| &answer[at]).collect();
            let mut shape = parts[0].shape.clone();
            shape[0] = parts.iter().map(|part| part.shape[0]).sum();
            let data = parts.iter().flat_map(|part| part.data.to_vec()).collect();
            Tensor { datatype: parts[0].datatype, shape, data }
        };
        Ok((!answers.is_empty()).then(|| (0..names.len()).map(join).collect()))
    }

    fn ask(
        &mut self,
        step: &Step,
        calls: &Calls,
        chosen: Option<&Target>,
        inputs: &[Given<Tensor>],
        names: &[String],
    ) -> Result<Vec<Tensor>, ()> {
        let mut result = match &calls.choice {
            Choice::One(target) => self.tries(step, target, inputs, names),
            Choice::Switch(_) => self.tries(step, chosen.expect("a choice"), inputs, names),
            Choice::Ensemble(ensemble) => {
                let answers: Vec<_> = ensemble.members.iter().map(|member| self.tries(step, member, inputs, names)).collect();
                let there: Vec<_> =
                    answers.iter().enumerate().filter_map(|(at, answer)| Some((ensemble.weights[at], answer.as_ref().ok()?))).collect();
                if there.len() < ensemble.at_least {
                    Err(())
                } else {
                    Ok((0..names.len()).map(|at| together(ensemble.by, &there, at)).collect())
                }
            }
        };
        for fallback in &calls.fallback {
            if result.is_err() {
                result = self.tries(step, fallback, inputs, names);
            }
        }
        result
    }

    fn tries(&mut self, step: &Step, target: &Target, inputs: &[Given<Tensor>], names: &[String]) -> Result<Vec<Tensor>, ()> {
        for attempt in 1..=step.policy.retries + 1 {
            let key = Key::new(&step.name, target, inputs, attempt);
            match self.world.fate(&key) {
                Fate::Answered => {
                    self.used.push((step.name.clone(), used(&self.world, &key)));
                    return Ok(compute(target, inputs, names));
                }
                Fate::Failed(ErrorKind::InvalidArgument) => return Err(()),
                Fate::Failed(_) | Fate::Silent => {}
            }
        }
        Err(())
    }
}

fn together(by: By, answers: &[(f64, &Vec<Tensor>)], at: usize) -> Tensor {
    let first = &answers[0].1[at];
    let count = first.elements().expect("a shape");
    let size = first.data.len() / count;
    let element = |tensor: &Tensor, element: usize| tensor.data[element * size..(element + 1) * size].to_vec();
    let mut data = Vec::new();
    for place in 0..count {
        let ballots: Vec<_> = answers.iter().map(|(weight, answer)| (*weight, element(&answer[at], place))).collect();
        match by {
            By::Vote => {
                let count = |ballot: &Vec<u8>| ballots.iter().filter(|(_, other)| other == ballot).map(|(weight, _)| weight).sum::<f64>();
                let best = ballots.iter().map(|(_, ballot)| count(ballot)).fold(0.0, f64::max);
                data.extend(ballots.iter().find(|(_, ballot)| count(ballot) >= best).expect("a winner").1.clone());
            }
            By::Mean => {
                let number = |bytes: &[u8]| match size {
                    4 => f64::from(f32::from_le_bytes(bytes.try_into().expect("4 bytes"))),
                    _ => i64::from_le_bytes(bytes.try_into().expect("8 bytes")) as f64,
                };
                let total: f64 = ballots.iter().map(|(weight, _)| weight).sum();
                let mean = ballots.iter().map(|(weight, ballot)| weight * number(ballot)).sum::<f64>() / total;
                if size == 4 { data.extend((mean as f32).to_le_bytes()) } else { data.extend((mean as i64).to_le_bytes()) }
            }
        }
    }
    Tensor { datatype: first.datatype, shape: first.shape.clone(), data: data.into() }
}
