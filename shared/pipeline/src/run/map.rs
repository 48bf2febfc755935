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

/// The most calls that one list may make.
const MOST_PARTS: usize = 4096;

/// Calls for each part, so many at a time, and puts the answers one behind the other. An empty list is skipped.
pub(super) async fn each<S: Steps>(
    shared: &Shared<'_, S>,
    node: &Node,
    calls: &Calls,
    map: &Map,
    chosen: Option<&Target>,
    inputs: &[Given<Tensor>],
) -> StepResult {
    let count = parts(map, rows(map, inputs).map_err(wrong)?).map_err(wrong)?;
    let mut rest = inputs.to_vec();
    let parts = (0..count).map(|_| {
        let part = cut(map, &mut rest);
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

/// How many calls so many rows make.
fn parts(map: &Map, rows: usize) -> Result<usize, String> {
    let parts = rows.div_ceil(map.rows);
    if parts <= MOST_PARTS {
        return Ok(parts);
    }
    let least = rows.div_ceil(MOST_PARTS);
    Err(format!(
        "map would make {parts} calls of {rows} rows, and may make {MOST_PARTS}; send fewer rows, or give it rows = {least} or more"
    ))
}

/// Takes the next part off what is left.
fn cut(map: &Map, rest: &mut [Given<Tensor>]) -> Vec<Given<Tensor>> {
    let next = |(name, tensor): &mut Given<Tensor>| {
        if !is_apart(map, name) {
            return (name.clone(), tensor.clone());
        }
        let (part, left) = tensor.split_rows(map.rows);
        *tensor = left;
        (name.clone(), part)
    };
    rest.iter_mut().map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_makes_so_many_calls_and_not_more() {
        let map = |rows| Map { over: vec!["x".to_owned()], rows, at_once: 16 };
        assert_eq!((parts(&map(1), 0), parts(&map(1), 4096), parts(&map(3), 10)), (Ok(0), Ok(4096), Ok(4)));
        let error = parts(&map(1), 10_000).unwrap_err();
        assert!(error.starts_with("map would make 10000 calls") && error.contains("rows = 3 or more"), "{error}");
        assert_eq!(parts(&map(3), 10_000), Ok(3334), "the remedy that it names");
    }

    #[test]
    fn the_parts_of_a_list_are_in_its_order_and_the_last_may_be_shorter() {
        let map = Map { over: vec!["x".to_owned()], rows: 2, at_once: 1 };
        let whole = Tensor::from_i64s([1], &[9]);
        let mut rest: Vec<Given<Tensor>> = vec![("x".into(), Tensor::from_i64s([3], &[1, 2, 3])), ("whole".into(), whole.clone())];
        for part in [Tensor::from_i64s([2], &[1, 2]), Tensor::from_i64s([1], &[3])] {
            assert_eq!(cut(&map, &mut rest), [("x".into(), part), ("whole".into(), whole.clone())]);
        }
        assert_eq!(rest[0].1, Tensor::from_i64s([0], &[]));
    }
}
