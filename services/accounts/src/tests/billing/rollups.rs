//! Sums of use, cut wherever they have to be.

use proptest::prelude::*;
use torchmesh_api::usage::v1::{Door, Units, UsageEvent};
use torchmesh_billing::Moment;

use crate::{billing::rollups, store::Store, tests::store, usage::record};

const HOUR: u64 = 3_600_000;

fn event(number: usize, (ms, code, prompt, cached, door): (u64, u32, u64, u64, Door)) -> UsageEvent {
    let id = (number as u128).to_be_bytes().to_vec();
    let units = Units { prompt_tokens: prompt, cached_tokens: cached, compute_us: 3, ..Default::default() };
    let (tenant, model) = ("t".to_owned(), format!("m{}", number % 2));
    UsageEvent { id, tenant, model, time_unix_ms: ms, code, door: door.into(), units: Some(units), ..Default::default() }
}

/// What is paid for between two instants, of batches or of other calls: calls, prompt tokens and cached ones.
fn reckoned(events: &[UsageEvent], from: u64, to: u64, batch: bool) -> (u64, u64, u64) {
    let units = |event: &UsageEvent| event.units.unwrap_or_default();
    let paid = |event: &&UsageEvent| {
        let passed_on = units(event).prompt_tokens > 0;
        let wanted = (from..to).contains(&event.time_unix_ms) && (event.door() == Door::Batch) == batch;
        wanted && (event.code == 0 || (matches!(event.code, 1 | 4) && passed_on))
    };
    events.iter().filter(paid).fold((0, 0, 0), |(calls, prompt, cached), event| {
        (calls + 1, prompt + units(event).prompt_tokens, cached + units(event).cached_tokens.min(units(event).prompt_tokens))
    })
}

async fn all(store: &Store, at: &[u64]) -> Vec<torchmesh_billing::Rollup> {
    let at = at.iter().map(|at| Moment::from_unix_ms(*at).unwrap()).collect();
    rollups(&mut store.reads().unwrap().acquire().await.unwrap(), "t", &at, Moment::FIRST).await.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn sums_are_those_of_the_events_that_are_paid_for_wherever_they_are_cut(
        told in proptest::collection::vec((0..6 * HOUR, prop_oneof![Just(0_u32), Just(1), Just(4), Just(13)], 0_u64..50, 0_u64..80, prop_oneof![Just(Door::Openai), Just(Door::Batch)]), 0..40),
        cuts in proptest::collection::btree_set(0..6 * HOUR, 2..6),
        hours in proptest::collection::btree_set(0_u64..6, 0..3),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_folder, store) = store().await;
            let events: Vec<UsageEvent> = told.into_iter().enumerate().map(|(number, told)| event(number, told)).collect();
            record(&store, &events).await.unwrap();
            let at: std::collections::BTreeSet<u64> = cuts.into_iter().chain(hours.into_iter().map(|hour| hour * HOUR)).collect();
            let at: Vec<u64> = at.into_iter().collect();
            let made = all(&store, &at).await;
            for time in at.windows(2) {
                for batch in [false, true] {
                    let within = made.iter().filter(|made| time[0] <= made.from.unix_ms() && made.to.unix_ms() <= time[1] && made.batch == batch);
                    let sum = within.fold((0, 0, 0), |(calls, prompt, cached), made| {
                        (calls + made.usage.calls, prompt + made.usage.prompt_tokens, cached + made.usage.cached_tokens)
                    });
                    assert_eq!(sum, reckoned(&events, time[0], time[1], batch), "{time:?}, batches: {batch}");
                }
            }
            assert!(made.iter().all(|made| at.windows(2).any(|time| time[0] <= made.from.unix_ms() && made.to.unix_ms() <= time[1])));
        });
    }
}
