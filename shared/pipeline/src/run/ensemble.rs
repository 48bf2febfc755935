//! Several models that answer as one.

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use torchmesh_api::{error::ApiError, tensor::Tensor};

use super::{
    Shared, Steps,
    call::{Allowance, call},
    step::wrong,
};
use crate::{
    plan::Node,
    spec::Ensemble,
    transform::{Given, combine},
};

/// Asks all of them at once. It fails as soon as too few can still answer.
pub(super) async fn all<S: Steps>(
    shared: &Shared<'_, S>,
    node: &Node,
    ensemble: &Ensemble,
    inputs: &[Given<Tensor>],
    allowance: Allowance,
) -> Result<Vec<Tensor>, ApiError> {
    let count = ensemble.members.len();
    // One that does not answer must leave the others' answers the time to be used.
    let allowance = Allowance { spare: allowance.spare || (ensemble.at_least < count && node.below > 0), ..allowance };
    let one = |(at, target)| async move { (at, call(shared, node, target, inputs, allowance).await) };
    let mut asked: FuturesUnordered<_> = ensemble.members.iter().enumerate().map(one).collect();
    let (mut answers, mut failed) = (vec![None; count], 0);
    while let Some((at, answer)) = asked.next().await {
        match answer {
            Ok(outputs) => answers[at] = Some(outputs),
            Err(error) => {
                failed += 1;
                if count - failed < ensemble.at_least {
                    return Err(error);
                }
            }
        }
    }
    together(ensemble, &answers, node.outputs.len()).map_err(wrong)
}

/// The answers that came, as one, in the order of the members whatever the order that they came in.
fn together(ensemble: &Ensemble, answers: &[Option<Vec<Tensor>>], outputs: usize) -> Result<Vec<Tensor>, String> {
    let weight = |at: usize| ensemble.weights.get(at).copied().unwrap_or(1.0);
    let there = || answers.iter().enumerate().filter_map(|(at, answer)| Some((weight(at), answer.as_ref()?)));
    (0..outputs)
        .map(|output| {
            let tensors: Vec<_> = there().map(|(weight, answer)| (weight, &answer[output])).collect();
            combine(ensemble.by, &tensors)
        })
        .collect()
}
