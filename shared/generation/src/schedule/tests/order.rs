use super::*;
use crate::testing::{Habits, answer, job, job_by, prompt, rows_of};

fn small_steps(step_tokens: usize) -> Settings {
    Settings { step_tokens, max_running: 4, ..Settings::default() }
}

fn of(tenant: &str, priority: Priority, seed: u64) -> (Job, Reader) {
    let (mut job, reader) = job(&prompt(seed, 6), 4);
    (job.tenant, job.scope, job.priority) = (tenant.into(), tenant.into(), priority);
    (job, reader)
}

#[test]
fn a_long_prompt_is_read_in_parts_and_stalls_nobody() {
    let mut pair = Pair::new(64, 4, small_steps(8));
    let writers: Vec<Reader> = (0..3).map(|seed| pair.add(job(&prompt(seed, 2), 30))).collect();
    pair.step();
    let long = prompt(9, 50);
    let reader = pair.add(job(&long, 3));
    for step in 1..=10 {
        pair.step();
        assert!(writers.iter().all(|writer| writer.told().tokens.len() == 1 + step), "each writes in each step");
        assert_eq!(pair.last().iter().map(|span| span.0).sum::<usize>(), 8, "the prompt has what is left");
        assert_eq!(reader.told().tokens.len(), usize::from(step == 10));
    }
    pair.run_out();
    assert_eq!(reader.told().tokens, answer(&long, 3, false));
}

#[test]
fn higher_classes_go_first_and_then_who_came_first() {
    let mut pair = Pair::new(64, 4, Settings { max_running: 1, ..Settings::default() });
    let jobs = [("low", Priority::Low), ("first", Priority::Normal), ("second", Priority::Normal), ("high", Priority::High)];
    let mut readers: Vec<(&str, Reader)> =
        jobs.iter().zip(0..).map(|(&(name, priority), seed)| (name, pair.add(of("t", priority, seed)))).collect();
    let mut finished = Vec::new();
    while pair.step() {
        readers.retain(|(name, reader)| {
            finished.extend(reader.told().over().then_some(*name));
            !reader.told().over()
        });
    }
    assert_eq!(finished, ["high", "first", "second", "low"]);
}

#[test]
fn a_prompt_of_a_higher_class_is_read_before_the_rest_of_a_lower_one() {
    let mut pair = Pair::new(64, 4, small_steps(8));
    let (mut low, reader) = job(&prompt(1, 60), 4);
    low.priority = Priority::Low;
    pair.add((low, reader.clone()));
    pair.step();
    let high = pair.add(of("t", Priority::High, 2));
    pair.step();
    assert_eq!(high.told().tokens.len(), 1);
    assert_eq!(pair.last(), [(6, 0, Wants::Last), (2, 8, Wants::Nothing)]);
    pair.run_out();
    assert_eq!(reader.told().tokens, answer(&prompt(1, 60), 4, false));
}

#[test]
fn tenants_of_one_class_take_turns() {
    let mut pair = Pair::new(64, 4, Settings { max_running: 1, ..Settings::default() });
    let many: Vec<Reader> = (0..5).map(|seed| pair.add(of("many", Priority::Normal, seed))).collect();
    let few: Vec<Reader> = (5..7).map(|seed| pair.add(of("few", Priority::Normal, seed))).collect();
    let begun = |readers: &[Reader]| readers.iter().filter(|reader| reader.told().begun.is_some()).count();
    pair.step();
    while begun(&few) < 2 {
        pair.step();
        assert!(begun(&many) <= begun(&few) + 1, "one with many has no more turns than one with few");
    }
    pair.run_out();
    assert_eq!(begun(&many), 5);
}

#[test]
fn no_more_run_than_may() {
    let mut pair = Pair::new(64, 4, small_steps(100));
    let readers: Vec<Reader> = (0..6).map(|seed| pair.add(job(&prompt(seed, 5), 3))).collect();
    pair.step();
    assert_eq!((pair.scheduler.figures().running, pair.scheduler.figures().waiting), (4, 2));
    pair.run_out();
    assert!(readers.iter().zip(0..).all(|(reader, seed)| reader.told().tokens == answer(&prompt(seed, 5), 3, false)));
}

#[test]
fn a_sequence_does_not_start_before_there_is_room_for_its_tokens() {
    let mut pair = Pair::new(64, 4, small_steps(8));
    pair.add(job(&prompt(1, 20), 2));
    let second = pair.add(job(&prompt(2, 20), 2));
    pair.steps(2);
    assert_eq!((second.told().begun, pair.scheduler.figures().blocks_used), (None, 5), "nor does it take blocks until then");
    pair.step();
    assert_eq!(second.told().begun, Some((20, 0)));
    assert_eq!(pair.last(), [(4, 16, Wants::Last), (4, 0, Wants::Nothing)]);
    pair.run_out();
}

#[test]
fn a_step_has_room_for_all_that_run_whatever_the_settings_say() {
    let mut pair = Pair::new(64, 4, Settings { step_tokens: 1, max_running: 4, ..Settings::default() });
    let readers: Vec<Reader> = (0..4).map(|seed| pair.add(job(&prompt(seed, 1), 9))).collect();
    pair.step();
    assert_eq!(pair.last().len(), 4);
    pair.run_out();
    assert!(readers.iter().all(|reader| reader.told().tokens.len() == 9));
    let mut none = Pair::new(4, 4, Settings { step_tokens: 0, max_running: 0, extra_rows: 0, ..Settings::default() });
    let reader = none.add(job(&[1, 2, 3], 2));
    none.run_out();
    assert_eq!(reader.told().tokens.len(), 2);
}

#[test]
fn one_that_does_not_fit_is_not_overtaken_by_smaller_ones() {
    let mut pair = Pair::new(8, 4, Settings::default());
    pair.add(job(&prompt(1, 20), 4));
    pair.step();
    let big = pair.add(job(&prompt(2, 12), 4));
    let small = pair.add(job(&prompt(3, 2), 4));
    pair.steps(2);
    assert_eq!((big.told().begun, small.told().begun), (None, None));
    pair.run_out();
    assert!(big.told().tokens.len() == 4 && small.told().tokens.len() == 4);
}

#[test]
fn an_author_that_reads_the_prompt_is_told_each_place_once_in_order_and_then_asked() {
    let read_by = || Habits { reads_prompt: true, ..Habits::default() };
    let tokens = prompt(4, 40);
    for (step_tokens, extra_rows) in [(100, 100), (100, 0), (7, 3), (64, 16)] {
        let mut pair = Pair::new(64, 4, Settings { step_tokens, max_running: 2, extra_rows, ..Settings::default() });
        let plain = pair.add(job(&tokens, 5));
        pair.run_out();
        let reader = pair.add(job_by(read_by(), &tokens, 5));
        let nothing_more = pair.add(job_by(read_by(), &tokens, 0));
        pair.run_out();
        let told = reader.told();
        assert_eq!(told.begun, Some((40, 0)), "it is read whole, cache or not");
        assert_eq!(told.rows, (1..).zip(rows_of(&tokens)).collect::<Vec<_>>());
        assert_eq!((told.tokens, plain.told().tokens), (answer(&tokens, 5, false), answer(&tokens, 5, false)));
        assert_eq!((nothing_more.told().rows, nothing_more.told().end), (told.rows, Some(End::Length)));
    }
}

#[test]
fn a_prompt_that_is_read_to_its_author_leaves_the_rest_of_the_step_to_others() {
    let mut pair = Pair::new(64, 4, Settings { extra_rows: 3, ..small_steps(32) });
    let slow = pair.add(job_by(Habits { reads_prompt: true, ..Habits::default() }, &prompt(1, 60), 2));
    let quick = pair.add(job(&prompt(2, 20), 1));
    pair.step();
    assert_eq!(pair.last(), [(4, 0, Wants::Every), (20, 0, Wants::Last)]);
    pair.run_out();
    assert_eq!((slow.told().rows.len(), quick.told().tokens), (59, answer(&prompt(2, 20), 1, false)));
}
