//! The work of one step.

use torchmesh_api::{
    error::{ApiError, ErrorKind},
    tensor::Tensor,
};

use super::{
    Shared, Steps,
    call::{Allowance, call},
    ensemble, map,
    state::StepResult,
};
use crate::{
    plan::Node,
    spec::{Calls, Choice, Target, Work},
    transform::Given,
};

/// Does it, and says whose it was.
pub(super) async fn work<S: Steps>(
    shared: &Shared<'_, S>,
    at: usize,
    inputs: Vec<Given<Tensor>>,
    target: Option<&Target>,
) -> (usize, StepResult) {
    let node = &shared.plan.nodes[at];
    let step = shared.plan.step(node);
    let result = match &step.work {
        Work::Transform(transform) => shared.steps.transform(&step.name, transform.name(), || {
            transform.apply(&inputs).map(Some).map_err(|message| wrong(format!("{} {message}", transform.name())))
        }),
        Work::Call(calls) => match &calls.map {
            None => ask(shared, node, calls, target, &inputs).await.map(Some),
            Some(map) => map::each(shared, node, calls, map, target, &inputs).await,
        },
    };
    (at, result)
}

/// Asks the step's models, and when they have failed those behind them.
pub(super) async fn ask<S: Steps>(
    shared: &Shared<'_, S>,
    node: &Node,
    calls: &Calls,
    chosen: Option<&Target>,
    inputs: &[Given<Tensor>],
) -> Result<Vec<Tensor>, ApiError> {
    let spare = shared.plan.step(node).policy.optional && node.below > 0;
    let allowance = Allowance { spare, fallbacks: calls.fallback.len() };
    let mut result = match (&calls.choice, chosen) {
        (Choice::One(target), _) | (Choice::Switch(_), Some(target)) => call(shared, node, target, inputs, allowance).await,
        (Choice::Ensemble(ensemble), _) => ensemble::all(shared, node, ensemble, inputs, allowance).await,
        // The choice is made before a step begins.
        (Choice::Switch(_), None) => Err(ApiError::new(ErrorKind::Internal, "nothing was chosen")),
    };
    for (at, fallback) in calls.fallback.iter().enumerate() {
        if result.is_ok() {
            break;
        }
        let behind = Allowance { spare, fallbacks: calls.fallback.len() - at - 1 };
        result = call(shared, node, fallback, inputs, behind).await;
    }
    result
}

/// What a step was given is not what it takes.
pub(super) fn wrong(message: String) -> ApiError {
    ApiError::new(ErrorKind::InvalidArgument, message)
}
