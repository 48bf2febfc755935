//! Whatever a pipeline looks like and however long its models take, it answers what the reference does.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;
use torchmesh_api::tensor::Tensor;
use torchmesh_pipeline::{
    Plan,
    run::{Ended, run},
};

use crate::{
    recipe::{Recipe, recipes},
    reference::Reference,
    world::{Models, World},
};

/// Runs a future on a clock that stands still while anything can be done.
pub(crate) fn paused<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime").block_on(future)
}

/// A recipe's plan.
pub(crate) fn plan(recipe: &Recipe) -> Plan {
    let text = recipe.text();
    Plan::parse(&text).unwrap_or_else(|problems| panic!("{problems}\nof\n{text}"))
}

/// What a caller sends.
pub(crate) fn inputs(rows: &[i8], flag: i64) -> Vec<Tensor> {
    let values: Vec<f32> = rows.iter().flat_map(|row| [f32::from(*row), f32::from(row / 3)]).collect();
    vec![Tensor::from_f32s([rows.len() as i64, 2], &values), Tensor::from_i64s([1], &[flag])]
}

/// Time enough for anything that ends.
pub(crate) const LONG: Duration = Duration::from_secs(1 << 40);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_thousand_random_pipelines_answer_as_the_sequential_reference_does(
        recipe in recipes(14, ""),
        rows in proptest::collection::vec(any::<i8>(), 1..6),
        flag in 0_i64..4,
        seed: u64,
    ) {
        let (plan, world, inputs) = (plan(&recipe), World { seed, percent: 0 }, inputs(&rows, flag));
        let mut reference = Reference::new(&plan.pipeline, world, &inputs);
        let want = reference.outputs();
        let models = Models::new(world);
        let Ended { outputs, used } = paused(run(&plan, inputs.clone(), Instant::now() + LONG, &models));
        match (outputs, want) {
            (Ok(outputs), want) => prop_assert_eq!(Some(outputs), want),
            // Only a transform can fail here, such as the mean of lists of different lengths.
            (Err(failure), want) => prop_assert!(want.is_none() && reference.failed.contains(&*failure.step), "{failure:?}"),
        }
        prop_assert_eq!(used.len(), models.answered.into_inner());
    }

    #[test]
    fn parallel_steps_cost_the_longest_of_them_and_not_their_sum(recipe in recipes(14, ""), seed: u64) {
        // A list makes its calls so many at a time.
        let plan = plan(&recipe.without_lists());
        let models = Models::new(World { seed, percent: 0 });
        let deepest = plan.nodes.iter().map(|node| node.rank + 1).max().unwrap_or(0) as u32;
        let took = paused(async {
            let began = Instant::now();
            let _ = run(&plan, inputs(&[1, 2, 3], 0), Instant::now() + LONG, &models).await;
            began.elapsed()
        });
        // No call takes more than 40 ms, and the clock counts whole milliseconds.
        prop_assert!(took <= deepest * Duration::from_millis(41), "{took:?} for a depth of {deepest}");
    }
}
