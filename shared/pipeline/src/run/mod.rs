//! A call of a pipeline: each step begins as soon as what it takes is there, and what nobody needs any more is given up.
//!
//! Every step's work is a part of one future. Nothing is spawned: whoever drops the call drops all of it.

mod call;
mod ensemble;
mod map;
mod share;
mod state;
mod step;

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use parking_lot::Mutex;
use tokio::time::Instant;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    tensor::Tensor,
    usage::Figures,
};

use crate::{
    plan::Plan,
    spec::{Parameter, StepCache, Target},
    transform::Given,
};

use state::{Looked, State};

/// Whoever makes the calls.
pub trait Steps: Sync {
    /// Calls a model. Dropping the future gives the call up.
    fn call(&self, call: Call<'_>) -> impl Future<Output = Result<Answer, ApiError>> + Send;

    /// Has a step's transform done, which is `work`: whoever wants to know when that was does so here.
    fn transform<R>(&self, step: &str, transform: &'static str, work: impl FnOnce() -> Result<R, ApiError>) -> Result<R, ApiError> {
        let _ = (step, transform);
        work()
    }
}

/// One call of a model.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The step that makes it.
    pub step: &'a str,
    /// Which model.
    pub target: &'a Target,
    /// What it is sent.
    pub inputs: &'a [Given<Tensor>],
    /// What it is told beside them.
    pub parameters: &'a [(String, Parameter)],
    /// What is wanted of it.
    pub outputs: &'a [Arc<str>],
    /// What may be kept of its answer, or taken from what was kept.
    pub cache: StepCache,
    /// Which try of this model it is, from 1.
    pub attempt: usize,
    /// When the step stops waiting.
    pub deadline: Instant,
}

/// What a model answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The outputs, in the order of [`Call::outputs`].
    pub outputs: Vec<Tensor>,
    /// What the call has used.
    pub used: Figures,
}

/// What one answer of a model has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// The step, by its position.
    pub step: usize,
    /// The model that was asked.
    pub target: Target,
    /// What it has used.
    pub figures: Figures,
    /// How long it took to answer.
    pub took: Duration,
}

/// Why a step has nothing to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The step's name.
    pub step: Arc<str>,
    /// What went wrong.
    pub error: ApiError,
}

impl From<Failure> for ApiError {
    /// The caller is told which step it was. That its model is not there, or may not be called, is the pipeline's trouble and not a mistake of the caller's.
    fn from(failure: Failure) -> Self {
        let Failure { step, error } = failure;
        let kind = match error.kind {
            ErrorKind::NotFound | ErrorKind::Cancelled => ErrorKind::Unavailable,
            ErrorKind::Unimplemented | ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => ErrorKind::Internal,
            kind => kind,
        };
        Self { kind, message: format!("step \"{step}\": {}", error.message), retry_after: error.retry_after }
    }
}

/// How a call has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The outputs, in the order of the pipeline's; `None` where an optional one is absent. Or what went wrong.
    pub outputs: Result<Vec<Option<Tensor>>, Failure>,
    /// What the models have used that answered, each answer once.
    pub used: Vec<Used>,
}

/// What all steps of a call have in common.
struct Shared<'a, S> {
    plan: &'a Plan,
    steps: &'a S,
    deadline: Instant,
    used: Mutex<Vec<Used>>,
}

/// Runs a pipeline. `inputs` are in the order of the pipeline's own, and of their types.
pub async fn run<S: Steps>(plan: &Plan, inputs: Vec<Tensor>, deadline: Instant, steps: &S) -> Ended {
    let shared = Shared::new(plan, deadline, steps);
    let outputs = finish(&shared, State::new(plan, inputs), None).await.map(|done| match done {
        Done::Outputs(outputs) => outputs,
        // Nobody has asked to stop there.
        Done::Reached(_) => Vec::new(),
    });
    Ended { outputs, used: shared.used.into_inner() }
}

/// How far a call has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// What the step is to be sent; `None` where it is skipped. Or what went wrong in front of it.
    pub inputs: Result<Option<Vec<Given<Tensor>>>, Failure>,
    /// What the models have used that answered.
    pub used: Vec<Used>,
}

/// Runs a pipeline as far as to the beginning of one of its steps, by whose answer all that is left can be told.
pub async fn run_to<S: Steps>(plan: &Plan, node: usize, inputs: Vec<Tensor>, deadline: Instant, steps: &S) -> Begun {
    let shared = Shared::new(plan, deadline, steps);
    let inputs = finish(&shared, State::new(plan, inputs), Some(node)).await.map(|done| match done {
        Done::Reached(inputs) => Some(inputs),
        Done::Outputs(_) => None,
    });
    Begun { inputs, used: shared.used.into_inner() }
}

impl<'a, S> Shared<'a, S> {
    fn new(plan: &'a Plan, deadline: Instant, steps: &'a S) -> Self {
        let own = plan.pipeline.timeout.map(|timeout| Instant::now() + timeout);
        Self { plan, steps, deadline: own.map_or(deadline, |own| own.min(deadline)), used: Mutex::default() }
    }
}

/// Where a run has stopped.
enum Done {
    /// At its end.
    Outputs(Vec<Option<Tensor>>),
    /// Before the step where it was to stop, which would be sent this.
    Reached(Vec<Given<Tensor>>),
}

async fn finish<S: Steps>(shared: &Shared<'_, S>, mut state: State<'_>, stop: Option<usize>) -> Result<Done, Failure> {
    let mut working = FuturesUnordered::new();
    // Whose turn it may be: at first everybody's.
    let mut looked_at = shared.plan.in_order();
    loop {
        while let Some(at) = looked_at.pop() {
            match state.look(at) {
                Looked::Waits => {}
                Looked::Settled => looked_at.extend(&shared.plan.nodes[at].after),
                Looked::Begins(inputs, _) if stop == Some(at) => return Ok(Done::Reached(inputs)),
                Looked::Begins(inputs, target) => working.push(step::work(shared, at, inputs, target)),
            }
        }
        if let Some(outputs) = state.outputs() {
            return outputs.map(Done::Outputs);
        }
        let Some((at, result)) = working.next().await else {
            // A plan has no circle, so that whoever waits waits for somebody at work.
            let error = ApiError::new(ErrorKind::Internal, "the pipeline stands still");
            return Err(Failure { step: "".into(), error });
        };
        state.settle(at, result);
        looked_at.extend(&shared.plan.nodes[at].after);
    }
}
