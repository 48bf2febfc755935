//! What is there so far, and whose turn it is.

use std::sync::Arc;

use torchmesh_api::{
    error::{ApiError, ErrorKind},
    tensor::Tensor,
};

use super::Failure;
use crate::{
    plan::{From, Node, Plan},
    spec::{Calls, Choice, Target, Work, value},
    transform::Given,
};

/// What a place has.
#[derive(Debug, Clone)]
enum Value {
    /// A tensor.
    There(Tensor),
    /// Nothing: whoever would have given it was skipped, or failed and is optional.
    Absent,
    /// Nothing, and it matters.
    Failed(Failure),
}

/// How far a step is.
#[derive(Debug)]
enum Progress {
    /// Not begun.
    Waits,
    /// At work.
    Works,
    /// It gave these.
    Gave(Vec<Tensor>),
    /// It was skipped, or failed and is optional.
    Absent,
    /// It failed.
    Failed(Failure),
}

/// What comes of looking at a step.
pub(super) enum Looked<'a> {
    /// Something that it takes is not there yet, or it has begun.
    Waits,
    /// It has nothing to do: it is skipped, or what it takes has failed.
    Settled,
    /// It begins, with these inputs; a switch has chosen this model.
    Begins(Vec<Given<Tensor>>, Option<&'a Target>),
}

/// What a step ends with; `None` where it is skipped.
pub(super) type StepResult = Result<Option<Vec<Tensor>>, ApiError>;

pub(super) struct State<'a> {
    plan: &'a Plan,
    inputs: Vec<Tensor>,
    progress: Vec<Progress>,
}

impl<'a> State<'a> {
    pub(super) fn new(plan: &'a Plan, inputs: Vec<Tensor>) -> Self {
        let progress = plan.nodes.iter().map(|_| Progress::Waits).collect();
        Self { plan, inputs, progress }
    }

    /// What one of several places has; `None` while that cannot be told.
    fn value(&self, from: &[From]) -> Option<Value> {
        for from in from {
            let value = match from {
                From::Constant(tensor) => Value::There(tensor.clone()),
                From::Input(at) => self.inputs.get(*at).cloned().map_or(Value::Absent, Value::There),
                From::Output(node, output) => match &self.progress[*node] {
                    Progress::Waits | Progress::Works => return None,
                    Progress::Gave(tensors) => tensors.get(*output).cloned().map_or(Value::Absent, Value::There),
                    Progress::Absent => Value::Absent,
                    Progress::Failed(failure) => Value::Failed(failure.clone()),
                },
            };
            if !matches!(value, Value::Absent) {
                return Some(value);
            }
        }
        Some(Value::Absent)
    }

    /// Whether a step's turn has come.
    pub(super) fn look(&mut self, at: usize) -> Looked<'a> {
        if !matches!(self.progress[at], Progress::Waits) {
            return Looked::Waits;
        }
        let (looked, progress) = match self.turn(&self.plan.nodes[at]) {
            None => return Looked::Waits,
            Some(Ok(Some((inputs, target)))) => (Looked::Begins(inputs, target), Progress::Works),
            Some(Ok(None)) => (Looked::Settled, Progress::Absent),
            Some(Err(failure)) => (Looked::Settled, self.failed(at, failure)),
        };
        self.progress[at] = progress;
        looked
    }

    /// `None` while that cannot be told; the inner one: it is skipped.
    #[expect(clippy::type_complexity, reason = "not yet, what went wrong, skipped, or what to begin with")]
    fn turn(&self, node: &Node) -> Option<Result<Option<(Vec<Given<Tensor>>, Option<&'a Target>)>, Failure>> {
        let plan = self.plan;
        let mine =
            |message| Failure { step: plan.step(node).name.as_str().into(), error: ApiError::new(ErrorKind::InvalidArgument, message) };
        if let Some((from, test)) = &node.when {
            match self.value(from)? {
                Value::Failed(failure) => return Some(Err(failure)),
                Value::Absent => return Some(Ok(None)),
                Value::There(value) => match test.holds(&value) {
                    Ok(true) => {}
                    Ok(false) => return Some(Ok(None)),
                    Err(message) => return Some(Err(mine(message))),
                },
            }
        }
        let mut target = None;
        if let Some(from) = &node.on {
            match self.value(from)? {
                Value::Failed(failure) => return Some(Err(failure)),
                Value::Absent => return Some(Ok(None)),
                Value::There(on) => match value(&on).map(|word| chosen(plan, node, &word)) {
                    Ok(Some(chosen)) => target = Some(chosen),
                    Ok(None) => return Some(Ok(None)),
                    Err(message) => return Some(Err(mine(message))),
                },
            }
        }
        // A failure is told at once; an absence only when it is sure that nothing has failed, so that the order of events says nothing.
        let values: Vec<_> = node.inputs.iter().map(|(name, from)| (name, self.value(from))).collect();
        if let Some(failure) =
            values.iter().find_map(|(_, value)| if let Some(Value::Failed(failure)) = value { Some(failure) } else { None })
        {
            return Some(Err(failure.clone()));
        }
        let mut inputs = Vec::with_capacity(values.len());
        let mut absent = false;
        for (name, value) in values {
            match value? {
                Value::There(tensor) => inputs.push((Arc::clone(name), tensor)),
                Value::Absent | Value::Failed(_) => absent = true,
            }
        }
        Some(Ok((!absent).then_some((inputs, target))))
    }

    fn failed(&self, at: usize, failure: Failure) -> Progress {
        if self.plan.step(&self.plan.nodes[at]).policy.optional { Progress::Absent } else { Progress::Failed(failure) }
    }

    /// Notes what a step has ended with.
    pub(super) fn settle(&mut self, at: usize, result: StepResult) {
        let step = || self.plan.step(&self.plan.nodes[at]).name.as_str().into();
        self.progress[at] = match result {
            Ok(Some(tensors)) => Progress::Gave(tensors),
            Ok(None) => Progress::Absent,
            Err(error) => self.failed(at, Failure { step: step(), error }),
        };
    }

    /// The outputs, once all of them can be told, or once one of them has failed.
    pub(super) fn outputs(&self) -> Option<Result<Vec<Option<Tensor>>, Failure>> {
        let mut outputs = Vec::with_capacity(self.plan.outputs.len());
        let mut waits = false;
        for (output, from) in self.plan.pipeline.outputs.iter().zip(&self.plan.outputs) {
            match self.value(from) {
                None => waits = true,
                Some(Value::Failed(failure)) => return Some(Err(failure)),
                Some(Value::There(tensor)) => outputs.push(Some(tensor)),
                Some(Value::Absent) if output.optional => outputs.push(None),
                // A plan does not let this happen.
                Some(Value::Absent) => {
                    let error = ApiError::new(ErrorKind::Internal, "an output is absent that must be there");
                    return Some(Err(Failure { step: output.name.as_str().into(), error }));
                }
            }
        }
        (!waits).then_some(Ok(outputs))
    }
}

fn chosen<'a>(plan: &'a Plan, node: &Node, word: &str) -> Option<&'a Target> {
    let Work::Call(Calls { choice: Choice::Switch(switch), .. }) = &plan.step(node).work else { return None };
    switch.cases.iter().find(|(value, _)| value == word).map(|(_, target)| target).or(switch.default.as_ref())
}
