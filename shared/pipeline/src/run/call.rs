//! One call with all that its step allows it: further tries, other models, and its share of the time.

use tokio::time::{Instant, sleep_until, timeout_at};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    tensor::Tensor,
};

use super::{Answer, Call, Shared, Steps, Used, share::share};
use crate::{
    plan::Node,
    spec::{Target, Work},
    transform::Given,
};

/// What a call may do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    /// Whether time is kept for what comes when it has failed.
    pub(super) spare: bool,
    /// How many others are asked when it has failed.
    pub(super) fallbacks: usize,
}

/// Whether a failure may be none the next time.
fn may_pass(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unavailable | ErrorKind::ResourceExhausted | ErrorKind::Internal | ErrorKind::DeadlineExceeded)
}

/// Calls a model, as often as the step's policy has it.
pub(super) async fn call<S: Steps>(
    shared: &Shared<'_, S>,
    node: &Node,
    target: &Target,
    inputs: &[Given<Tensor>],
    allowance: Allowance,
) -> Result<Vec<Tensor>, ApiError> {
    let step = shared.plan.step(node);
    let policy = &step.policy;
    let parameters = match &step.work {
        Work::Call(calls) => &calls.parameters[..],
        Work::Transform(_) => &[],
    };
    let mut backoff = policy.backoff;
    for attempt in 1.. {
        let to_come = policy.retries.saturating_sub(attempt - 1);
        let Allowance { spare, fallbacks } = allowance;
        let most = share(shared.deadline.saturating_duration_since(Instant::now()), 1 + to_come + fallbacks, spare);
        let (outputs, deadline) = (&node.outputs[..], Instant::now() + most);
        let call = Call { step: &step.name, target, inputs, parameters, outputs, cache: policy.cache, attempt, deadline };
        let failed = match once(shared, node, call).await {
            Ok(outputs) => return Ok(outputs),
            Err(error) => error,
        };
        let again = Instant::now() + backoff;
        if to_come == 0 || !may_pass(failed.kind) || again >= shared.deadline {
            return Err(failed);
        }
        sleep_until(again).await;
        backoff = backoff.saturating_mul(2);
    }
    Err(late())
}

async fn once<S: Steps>(shared: &Shared<'_, S>, node: &Node, mut call: Call<'_>) -> Result<Vec<Tensor>, ApiError> {
    let began = Instant::now();
    if call.deadline <= began {
        return Err(late());
    }
    if let Some(timeout) = shared.plan.step(node).policy.timeout {
        call.deadline = call.deadline.min(began + timeout);
    }
    let Answer { outputs, used } = timeout_at(call.deadline, shared.steps.call(call)).await.map_err(|_| late())??;
    shared.used.lock().push(Used { step: node.at, target: call.target.clone(), figures: used, took: began.elapsed() });
    if outputs.len() == node.outputs.len() {
        Ok(outputs)
    } else {
        Err(ApiError::new(ErrorKind::Internal, format!("{} has not given all of its outputs", call.target)))
    }
}

fn late() -> ApiError {
    ApiError::new(ErrorKind::DeadlineExceeded, "the time allowed for it is up")
}
