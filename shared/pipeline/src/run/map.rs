//! A list, each part of which is a call.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use torchmesh_api::tensor::Tensor;

use super::{
    Shared, Steps,
    state::StepResult,
    step::{ask, wrong},
};
use crate::{
    plan::Node,
    spec::{Calls, Map, Target},
    transform::{Given, concat},
};

/// Calls for each part, so many at a time, and puts the answers one behind the other. An empty list is skipped.
pub(super) async fn each<S: Steps>(
    shared: &Shared<'_, S>,
    node: &Node,
    calls: &Calls,
    map: &Map,
    chosen: Option<&Target>,
    inputs: &[Given<Tensor>],
) -> StepResult {
    let rows = rows(map, inputs).map_err(wrong)?;
    let parts = (0..rows).step_by(map.rows).map(|first| {
        let part = part(map, inputs, first);
        async move { ask(shared, node, calls, chosen, &part).await }
    });
    let answers: Vec<Vec<Tensor>> = stream::iter(parts).buffered(map.at_once).try_collect().await?;
    if answers.is_empty() {
        return Ok(None);
    }
    let joined = (0..node.outputs.len()).map(|output| concat(&answers.iter().map(|answer| &answer[output]).collect::<Vec<_>>(), 0));
    joined.collect::<Result<_, _>>().map(Some).map_err(wrong)
}

fn is_apart(map: &Map, name: &str) -> bool {
    map.over.iter().any(|over| over == name)
}

/// How many rows there are; all that is taken apart has as many.
fn rows(map: &Map, inputs: &[Given<Tensor>]) -> Result<usize, String> {
    let mut all = inputs.iter().filter(|(name, _)| is_apart(map, name)).map(|(_, tensor)| tensor.shape.first().copied().unwrap_or(0));
    let first = all.next().unwrap_or(0);
    match all.find(|rows| *rows != first) {
        Some(other) => Err(format!("map is over lists of {first} and of {other}, which must be as long")),
        None => Ok(usize::try_from(first).unwrap_or(0)),
    }
}

fn part(map: &Map, inputs: &[Given<Tensor>], first: usize) -> Vec<Given<Tensor>> {
    let part = |tensor: &Tensor| tensor.split_rows(first).1.split_rows(map.rows).0;
    inputs.iter().map(|(name, tensor)| (name.clone(), if is_apart(map, name) { part(tensor) } else { tensor.clone() })).collect()
}
