use super::*;
use crate::testing::{Habits, answer, job, job_by, prompt, rows_of};

#[test]
fn a_storm_of_preemptions_changes_no_token() {
    for lookup in [None, Some(Lookup::default())] {
        let mut pair = Pair::new(14, 4, Settings { step_tokens: 16, max_running: 8, lookup, ..Settings::default() });
        let length = |seed: u64| 3 + (seed as usize * 7) % 23;
        let readers: Vec<Reader> = (0..30).map(|seed| pair.add(job(&prompt(seed, length(seed)), 25))).collect();
        pair.run_out();
        assert!(pair.scheduler.figures().preemptions > 20, "{:?}", pair.scheduler.figures());
        for (reader, seed) in readers.iter().zip(0..) {
            let told = reader.told();
            assert_eq!((told.tokens, told.end), (answer(&prompt(seed, length(seed)), 25, false), Some(End::Length)));
        }
    }
}

#[test]
fn the_lowest_class_loses_its_place_first_and_then_who_came_last() {
    let mut pair = Pair::new(10, 4, Settings::default());
    let by = |priority, seed| {
        let (mut job, reader) = job(&prompt(seed, 7), 20);
        job.priority = priority;
        (job, reader)
    };
    let low = pair.add(by(Priority::Low, 1));
    pair.step();
    let early = pair.add(by(Priority::Normal, 2));
    let late = pair.add(by(Priority::Normal, 3));
    let runs = |pair: &Pair| pair.scheduler.running.iter().map(|one| one.rank.arrival).collect::<Vec<_>>();
    let mut seen = vec![];
    while early.told().end.is_none() && pair.step() {
        seen.push(runs(&pair));
    }
    seen.dedup();
    assert_eq!(seen, [vec![2, 3, 1], vec![2, 3], vec![2], vec![]], "as blocks run short");
    pair.run_out();
    for (reader, seed) in [(low, 1), (early, 2), (late, 3)] {
        assert_eq!(reader.told().tokens, answer(&prompt(seed, 7), 20, false));
    }
}

#[test]
fn a_higher_class_takes_the_places_of_lower_ones_where_that_helps() {
    for max_running in [2, 64] {
        let mut pair = Pair::new(10, 4, Settings { max_running, ..Settings::default() });
        let by = |priority, seed, tokens| {
            let (mut job, reader) = job(&prompt(seed, tokens), 6);
            job.priority = priority;
            (job, reader)
        };
        let low: Vec<Reader> = (0..2).map(|seed| pair.add(by(Priority::Low, seed, 14))).collect();
        pair.step();
        let same = pair.add(by(Priority::Low, 2, 14));
        pair.step();
        assert_eq!((same.told().begun, pair.scheduler.figures().preemptions), (None, 0), "its own class keeps its place");
        let high = pair.add(by(Priority::High, 3, 14));
        pair.step();
        assert_eq!((high.told().tokens.len(), pair.scheduler.figures().preemptions), (1, 1), "one is enough");
        assert_eq!(pair.scheduler.running.iter().map(|one| one.rank.arrival).collect::<Vec<_>>(), [4, 1]);
        pair.run_out();
        for (reader, seed) in low.iter().chain([&same, &high]).zip(0..) {
            assert_eq!(reader.told().tokens, answer(&prompt(seed, 14), 6, false));
        }
    }
}

#[test]
fn nobody_loses_a_place_for_one_that_still_would_not_fit() {
    let mut pair = Pair::new(12, 4, Settings::default());
    let first = pair.add(job(&prompt(1, 20), 8));
    pair.step();
    let (mut low, _) = job(&prompt(2, 4), 8);
    low.priority = Priority::Low;
    pair.scheduler.add(low);
    pair.step();
    let big = pair.add(job(&prompt(3, 40), 2));
    pair.steps(3);
    assert_eq!((pair.scheduler.figures().preemptions, big.told().begun), (0, None));
    pair.run_out();
    assert!(first.told().tokens.len() == 8 && big.told().tokens.len() == 2);
}

#[test]
fn what_was_preempted_goes_before_what_is_new_and_reads_little_again() {
    let mut pair = Pair::new(10, 4, Settings::default());
    let early = pair.add(job(&prompt(1, 14), 12));
    let late = pair.add(job(&prompt(2, 14), 12));
    while pair.scheduler.figures().preemptions == 0 {
        pair.step();
    }
    let new = pair.add(job(&prompt(3, 2), 12));
    while late.told().end.is_none() {
        pair.step();
        let resumed = pair.scheduler.running.iter().any(|one| one.rank.arrival == 2);
        assert!(new.told().begun.is_none() || resumed || late.told().end.is_some());
    }
    pair.run_out();
    assert!([(early, 1), (late, 2)].iter().all(|(reader, seed)| reader.told().tokens == answer(&prompt(*seed, 14), 12, false)));
    let figures = pair.scheduler.figures();
    assert_eq!(figures.prompt_tokens, 30, "what is read again is no prompt token once more");
    assert!(figures.tokens_read_again > 0 && figures.tokens_read_again < 20, "{figures:?}");
}

#[test]
fn a_new_sequence_leaves_a_block_for_each_that_runs() {
    let mut pair = Pair::new(8, 4, Settings::default());
    for seed in 0..2 {
        pair.add(job(&prompt(seed, 8), 8));
    }
    pair.step();
    let third = pair.add(job(&prompt(3, 7), 2));
    pair.step();
    assert_eq!((third.told().begun, pair.scheduler.pool.available()), (None, 2), "two would leave none for the two that run");
    pair.run_out();
    assert_eq!(pair.scheduler.figures().preemptions, 0);
}

#[test]
fn an_author_that_reads_the_prompt_is_told_each_place_once_though_it_loses_its_place_on_the_way() {
    let mut pair = Pair::new(12, 4, Settings { step_tokens: 6, max_running: 6, extra_rows: 3, ..Settings::default() });
    let tokens = prompt(9, 28);
    let writers: Vec<Reader> = (0..2).map(|seed| pair.add(job(&prompt(seed, 3), 20))).collect();
    pair.step();
    let author = Habits { reads_prompt: true, ..Habits::default() };
    let reader = pair.add(job_by(author, &tokens, 6));
    pair.run_out();
    assert!(pair.scheduler.figures().preemptions > 0);
    assert_eq!(reader.told().rows, (1..).zip(rows_of(&tokens)).collect::<Vec<_>>());
    assert_eq!(reader.told().tokens, answer(&tokens, 6, false));
    assert!(writers.iter().all(|writer| writer.told().tokens.len() == 20));
}

#[test]
fn one_that_fills_the_whole_cache_runs_alone_to_its_end() {
    let mut pair = Pair::new(6, 4, Settings::default());
    let reader = pair.add(job(&prompt(1, 20), 100));
    let other = pair.add(job(&prompt(2, 22), 100));
    pair.run_out();
    for (reader, tokens) in [(reader, prompt(1, 20)), (other, prompt(2, 22))] {
        let told = reader.told();
        assert_eq!((told.tokens, told.end), (answer(&tokens, 24 - tokens.len(), false), Some(End::Length)));
    }
}
