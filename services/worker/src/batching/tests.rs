use proptest::prelude::*;

use super::*;

fn rules(max_tokens: usize, length_ratio: f64) -> Rules {
    Rules { max_tokens, length_ratio: Some(length_ratio) }
}

/// The rules of an engine that packs.
fn packing(max_tokens: usize) -> Rules {
    Rules { max_tokens, length_ratio: None }
}

fn rows(lengths: &[usize]) -> Vec<Candidate<'static>> {
    lengths.iter().enumerate().map(|(owner, &length)| Candidate { owner, rows: 1, length, shape: &[] }).collect()
}

fn chosen(candidates: &[Candidate<'static>], max_rows: usize, rules: &Rules) -> Vec<usize> {
    select(candidates.iter().copied(), max_rows, rules).iter().map(|pick| pick.index).collect()
}

#[test]
fn one_long_text_does_not_pad_sixty_short_ones() {
    let mut lengths = vec![10; 30];
    lengths.push(500);
    lengths.extend([10; 30]);
    let picks = chosen(&rows(&lengths), 64, &rules(16_384, 1.5));
    assert_eq!(picks.len(), 60);
    assert!(!picks.contains(&30), "the long one waits for a batch of its own");
}

#[test]
fn the_oldest_goes_even_when_sixty_others_would_make_a_better_batch() {
    let mut lengths = vec![500];
    lengths.extend([10; 60]);
    assert_eq!(chosen(&rows(&lengths), 64, &rules(16_384, 1.5)), [0]);
}

#[test]
fn a_misfit_does_not_close_the_batch() {
    assert_eq!(chosen(&rows(&[10, 200, 11, 300, 12]), 8, &rules(16_384, 1.5)), [0, 2, 4]);
}

#[test]
fn the_nearest_lengths_go_first_when_not_all_fit() {
    assert_eq!(chosen(&rows(&[20, 28, 21, 28, 20]), 3, &rules(16_384, 1.5)), [0, 2, 4]);
}

#[test]
fn a_request_of_more_rows_than_a_batch_is_split() {
    let big = [Candidate { owner: 0, rows: 100, length: 1, shape: &[] }];
    assert_eq!(select(big.into_iter(), 32, &rules(16_384, 1.5)), [Pick { index: 0, rows: 32 }]);
}

#[test]
fn a_request_of_a_thousand_texts_does_not_hold_up_one_of_one() {
    let mut waiting: Vec<_> = (0..1000).map(|_| Candidate { owner: 7, rows: 1, length: 10, shape: &[][..] }).collect();
    waiting.push(Candidate { owner: 8, rows: 1, length: 10, shape: &[] });
    waiting.push(Candidate { owner: 9, rows: 500, length: 10, shape: &[] });
    let picks = select(waiting.into_iter(), 32, &rules(16_384, 1.5));
    let rows_of =
        |range: std::ops::Range<usize>| picks.iter().filter(|pick| range.contains(&pick.index)).map(|pick| pick.rows).sum::<usize>();
    assert_eq!((rows_of(0..1000), rows_of(1000..1001), rows_of(1001..1002)), (21, 1, 10), "an even share each, and the rest by age");
}

#[test]
fn a_row_over_the_token_budget_still_runs_alone() {
    assert_eq!(chosen(&rows(&[100, 100]), 8, &rules(50, 1.5)), [0]);
}

#[test]
fn rows_of_another_shape_stay_out() {
    let candidates = [(0, &[3, 4][..]), (1, &[3, 5]), (2, &[3, 4])].map(|(owner, shape)| Candidate { owner, rows: 1, length: 1, shape });
    assert_eq!(chosen(&candidates, 8, &rules(16_384, 1.5)), [0, 2]);
}

#[test]
fn an_engine_that_packs_takes_any_lengths_together_and_counts_real_tokens() {
    assert_eq!(chosen(&rows(&[10, 500, 12, 300]), 8, &packing(16_384)), [0, 1, 2, 3]);
    assert_eq!(chosen(&rows(&[10, 500, 12, 300]), 8, &packing(400)), [0, 2, 3], "500 do not fit, and do not end the search");
    assert_eq!(chosen(&rows(&[500, 10]), 8, &packing(400)), [0], "more than the budget runs alone");
}

#[test]
fn a_tenant_between_two_requests_of_another_does_not_hide_the_second() {
    // Turns alternate between a request of many texts and another tenant's many; a single text stands behind.
    let turn = |at: usize| Candidate { owner: if at.is_multiple_of(2) { 7 } else { 9 }, rows: 1, length: 10, shape: &[][..] };
    let waiting = (0..200).map(turn).chain([Candidate { owner: 8, ..turn(0) }]);
    let picks = select(waiting, 32, &rules(16_384, 1.5));
    assert!(picks.iter().any(|pick| pick.index == 200));
}

#[test]
fn a_batch_waits_for_company_only_as_long_as_the_delay() {
    let (start, delay) = (Instant::now(), Duration::from_millis(5));
    assert_eq!(moment(start, start, false, delay), Moment::Wait(start + delay));
    assert_eq!(moment(start + delay, start, false, delay), Moment::Run);
    assert_eq!(moment(start, start, true, delay), Moment::Run, "a full batch has nothing to wait for");
    assert_eq!(moment(start, start, false, Duration::ZERO), Moment::Run);
}

#[test]
fn idle_executors_get_an_even_share() {
    assert_eq!(share(16, 1, 32), 8);
    assert_eq!(share(16, 0, 32), 16);
    assert_eq!(share(1, 3, 32), 1);
    assert_eq!(share(1000, 1, 32), 32);
}

#[test]
fn the_retry_hint_grows_with_the_queue_and_has_bounds() {
    assert_eq!(retry_after(Duration::from_secs(2)), Duration::from_secs(1));
    assert_eq!(retry_after(Duration::ZERO), Duration::from_millis(1));
    assert_eq!(retry_after(Duration::from_secs(1_000_000)), Duration::from_secs(10));
}

proptest! {
    #[test]
    fn every_batch_keeps_the_rules(
        mut waiting in prop::collection::vec((0_usize..20, 1_usize..40, 1_usize..600), 1..80),
        max_batch in 1_usize..64,
        budget in 1_usize..20_000,
        ratio in 1.0_f64..4.0,
    ) {
        // A request's rows are neighbours in the queue.
        waiting.sort_by_key(|(owner, _, _)| *owner);
        let rules = rules(budget, ratio);
        let candidates: Vec<_> = waiting.iter().map(|&(owner, rows, length)| Candidate { owner, rows, length, shape: &[] }).collect();
        let picks = select(candidates.iter().copied(), max_batch, &rules);

        prop_assert_eq!(picks[0].index, 0, "the oldest is in the batch");
        prop_assert!(picks.is_sorted_by(|a, b| a.index < b.index), "each once, in order");
        let total: usize = picks.iter().map(|pick| pick.rows).sum();
        let lengths = || picks.iter().map(|pick| candidates[pick.index].length);
        let (shortest, longest) = (lengths().min().unwrap(), lengths().max().unwrap());
        prop_assert!(total <= max_batch);
        prop_assert!(total * longest <= budget || total == 1, "{total} rows of {longest} exceed {budget}");
        prop_assert!(rules.compatible(shortest, longest));
        for pick in &picks {
            prop_assert!((1..=candidates[pick.index].rows).contains(&pick.rows));
        }
        // Nothing that fits is left behind.
        for (index, candidate) in candidates.iter().enumerate() {
            let taken = picks.iter().find(|pick| pick.index == index).map_or(0, |pick| pick.rows);
            let longer = longest.max(candidate.length);
            let fits = taken < candidate.rows
                && rules.compatible(candidates[0].length, candidate.length)
                && rules.compatible(shortest.min(candidate.length), longer)
                && total < max_batch
                && (total + 1) * longer <= budget;
            prop_assert!(!fits, "candidate {index} would have fitted");
        }
    }

    #[test]
    fn a_queue_always_empties_in_the_order_of_its_oldest(waiting in prop::collection::vec((1_usize..10, 1_usize..600), 1..60)) {
        let rules = rules(2048, 1.5);
        let mut queue = waiting;
        while !queue.is_empty() {
            let before: usize = queue.iter().map(|(rows, _)| rows).sum();
            let picks = select(queue.iter().enumerate().map(|(owner, &(rows, length))| Candidate { owner, rows, length, shape: &[] }), 8, &rules);
            for pick in &picks {
                queue[pick.index].0 -= pick.rows;
            }
            queue.retain(|&(rows, _)| rows > 0);
            let after: usize = queue.iter().map(|(rows, _)| rows).sum();
            prop_assert!(after < before, "each batch takes something");
        }
    }
}
