//! Whatever fails, a pipeline ends as its policies have it, in time, with nothing left behind and nothing counted twice.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed, time::Duration};

use proptest::prelude::*;
use tokio::time::Instant;
use torchmesh_pipeline::{
    Plan,
    run::{Ended, Used, run},
};

use crate::{
    answers::{LONG, inputs, paused, plan},
    recipe::recipes,
    reference::Reference,
    world::{Models, World},
};

/// What was used, by its step; each entry is one answer.
fn by_step<'a>(all: impl Iterator<Item = (&'a str, u64)>) -> BTreeMap<(&'a str, u64), usize> {
    all.fold(BTreeMap::new(), |mut counts, one| {
        *counts.entry(one).or_default() += 1;
        counts
    })
}

fn nothing_twice(plan: &Plan, used: &[Used], reference: &Reference<'_>) -> Result<(), TestCaseError> {
    let used = by_step(used.iter().map(|used| (plan.pipeline.steps[used.step].name.as_str(), used.figures.prompt_tokens)));
    let may = by_step(reference.used.iter().map(|(step, figures)| (step.as_str(), figures.prompt_tokens)));
    for (one, count) in used {
        prop_assert!(may.get(&one).is_some_and(|may| count <= *may), "{one:?} is counted {count} times of {:?}", may.get(&one));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_thousand_random_faults_end_as_the_policies_have_it(
        recipe in recipes(12, "timeout = '1s'\n"),
        rows in proptest::collection::vec(any::<i8>(), 1..5),
        flag in 0_i64..4,
        seed: u64,
        percent in 1_u64..45,
    ) {
        let (plan, world, inputs) = (plan(&recipe), World { seed, percent }, inputs(&rows, flag));
        let mut reference = Reference::new(&plan.pipeline, world, &inputs);
        let want = reference.outputs();
        let models = Models::new(world);
        let Ended { outputs, used } = paused(run(&plan, inputs.clone(), Instant::now() + LONG, &models));
        match (outputs, want) {
            (Ok(outputs), want) => prop_assert_eq!(Some(outputs), want),
            (Err(failure), want) => {
                prop_assert!(want.is_none(), "{failure:?}, and the reference answers {want:?}");
                prop_assert!(reference.failed.contains(&*failure.step), "{failure:?} is none of {:?}", reference.failed);
            }
        }
        prop_assert_eq!(models.open.load(Relaxed), 0, "calls are left open");
        prop_assert_eq!(used.len(), models.answered.load(Relaxed));
        nothing_twice(&plan, &used, &reference)?;
    }

    #[test]
    fn whatever_hangs_a_pipeline_ends_by_its_deadline(recipe in recipes(12, ""), seed: u64, percent in 0_u64..60, millis in 0_u64..300) {
        let (plan, models, allowed) = (plan(&recipe), Models::new(World { seed, percent }), Duration::from_millis(millis));
        let (took, used) = paused(async {
            let began = Instant::now();
            let ended = run(&plan, inputs(&[1, 2, 3], 1), began + allowed, &models).await;
            (began.elapsed(), ended.used)
        });
        prop_assert!(took <= allowed + Duration::from_millis(1), "{took:?} of {allowed:?}");
        prop_assert_eq!(models.open.load(Relaxed), 0, "calls are left open");
        prop_assert_eq!(used.len(), models.answered.load(Relaxed));
    }

    #[test]
    fn a_caller_who_leaves_takes_every_step_with_him(recipe in recipes(12, ""), seed: u64, percent in 0_u64..30, millis in 0_u64..120) {
        let (plan, models) = (plan(&recipe), Models::new(World { seed, percent }));
        paused(async {
            let call = run(&plan, inputs(&[1, 2, 3], 1), Instant::now() + LONG, &models);
            let _ = tokio::time::timeout(Duration::from_millis(millis), call).await;
        });
        prop_assert_eq!(models.open.load(Relaxed), 0, "calls are left open");
    }
}
