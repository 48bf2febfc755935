//! What was used.

use proptest::prelude::*;
use torchmesh_api::usage::v1::{Units, UsageEvent};

use super::store;
use crate::{
    page::Page,
    store::Store,
    usage::{By, Question, record, sum},
};

/// An event that its number tells from all others.
fn event(number: u64) -> UsageEvent {
    let id = u128::from(number).to_be_bytes().to_vec();
    let units = Units { prompt_tokens: number, items: 1, ..Default::default() };
    let (tenant, model) = (format!("t{}", number % 3), format!("m{}", number % 2));
    let (time_unix_ms, code) = (number * 1_800_000, u32::from(number.is_multiple_of(5)));
    UsageEvent { id, tenant, model, time_unix_ms, code, units: Some(units), ..Default::default() }
}

async fn sums(store: &Store, question: Question) -> Vec<(Vec<String>, i64, i64, i64)> {
    let (sums, _) = sum(store, &question, &Page::of(1000, "").unwrap()).await.unwrap();
    let named = |names: [String; 4]| names.into_iter().filter(|name| !name.is_empty()).collect();
    sums.into_iter().map(|sum| (named(sum.names), sum.begin_ms, sum.figures[0], sum.figures[2])).collect()
}

#[tokio::test]
async fn sums_are_by_what_is_asked_for() {
    let (_folder, store) = store().await;
    let events: Vec<_> = (1..=96).map(event).collect();
    assert_eq!(record(&store, &events).await.unwrap(), 96);
    assert_eq!(sums(&store, Question::default()).await, [(vec![], 0, 96, 96 * 97 / 2)]);
    let by = |by: &[By]| Question { by: by.to_vec(), ..Default::default() };
    let tenants = sums(&store, by(&[By::Tenant])).await;
    assert_eq!(tenants.iter().map(|sum| (&*sum.0[0], sum.2)).collect::<Vec<_>>(), [("t0", 32), ("t1", 32), ("t2", 32)]);
    let days = sums(&store, by(&[By::Day])).await;
    assert_eq!(days.iter().map(|sum| (sum.1, sum.2)).collect::<Vec<_>>(), [(0, 47), (86_400_000, 48), (172_800_000, 1)]);
    let question = Question { from_ms: 3_600_000, to_ms: 10_800_000, by: vec![By::Hour], ..Default::default() };
    let hours = sums(&store, question).await;
    assert_eq!(hours.iter().map(|sum| (sum.1, sum.2)).collect::<Vec<_>>(), [(3_600_000, 2), (7_200_000, 2)]);
    let only = Question { only: ["t1".into(), String::new(), "m0".into()], by: vec![By::Model], ..Default::default() };
    assert_eq!(sums(&store, only).await, [(vec!["m0".to_owned()], 0, 16, (1..=96).filter(|n| n % 3 == 1 && n % 2 == 0).sum())]);
    let page = Page::of(2, "").unwrap();
    let (first, next) = sum(&store, &by(&[By::Tenant]), &page).await.unwrap();
    let (rest, end) = sum(&store, &by(&[By::Tenant]), &Page::of(2, &next).unwrap()).await.unwrap();
    assert_eq!((first.len(), rest.len(), end.as_str()), (2, 1, ""));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn an_event_counts_once_in_whatever_order_and_batches_it_comes(batches in proptest::collection::vec(proptest::collection::vec(0_u64..40, 0..30), 1..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_folder, store) = store().await;
            for batch in &batches {
                record(&store, &batch.iter().map(|number| event(*number)).collect::<Vec<_>>()).await.unwrap();
            }
            let once: std::collections::BTreeSet<u64> = batches.into_iter().flatten().collect();
            let (calls, tokens) = (i64::try_from(once.len()).unwrap(), once.iter().sum::<u64>().cast_signed());
            for by in [By::Hour, By::Day] {
                let all = sums(&store, Question { by: vec![by], ..Default::default() }).await;
                assert_eq!((all.iter().map(|sum| sum.2).sum::<i64>(), all.iter().map(|sum| sum.3).sum::<i64>()), (calls, tokens));
            }
        });
    }
}
