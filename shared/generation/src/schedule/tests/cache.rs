use super::*;
use crate::testing::{answer, job, prompt};

fn scoped(scope: &str, (mut job, reader): (Job, Reader)) -> (Job, Reader) {
    job.scope = scope.into();
    (job, reader)
}

#[test]
fn the_second_of_two_prompts_with_one_beginning_reads_only_the_rest() {
    let mut pair = Pair::new(64, 4, Settings::default());
    let (first, mut second) = (prompt(1, 18), prompt(1, 18));
    second.extend(prompt(2, 3));
    pair.add(job(&first, 3));
    pair.run_out();
    let reader = pair.add(job(&second, 5));
    pair.step();
    assert_eq!(pair.last(), [(5, 16, Wants::Last)]);
    pair.run_out();
    assert_eq!((reader.told().begun, reader.told().tokens), (Some((21, 16)), answer(&second, 5, false)));
    let figures = pair.scheduler.figures();
    assert_eq!((figures.prompt_tokens, figures.prompt_tokens_cached, figures.tokens_written), (18 + 5, 16, 8));
}

#[test]
fn of_a_prompt_that_is_cached_whole_the_last_token_is_read_again() {
    let mut pair = Pair::new(64, 4, Settings::default());
    for _ in 0..2 {
        let reader = pair.add(job(&prompt(1, 16), 6));
        pair.run_out();
        assert_eq!(reader.told().tokens, answer(&prompt(1, 16), 6, false));
    }
    assert_eq!(pair.scheduler.figures().prompt_tokens_cached, 12);
}

#[test]
fn the_next_turn_of_a_conversation_finds_the_answer_too() {
    let mut pair = Pair::new(64, 4, Settings::default());
    let mut tokens = prompt(1, 10);
    let reader = pair.add(job(&tokens, 12));
    pair.run_out();
    tokens.extend(reader.told().tokens);
    tokens.extend([1, 2, 3]);
    let next = pair.add(job(&tokens, 4));
    pair.run_out();
    assert_eq!((next.told().begun, next.told().tokens), (Some((25, 20)), answer(&tokens, 4, false)));
}

#[test]
fn a_tenant_never_gets_what_another_has_read() {
    let mut pair = Pair::new(64, 4, Settings { step_tokens: 32, max_running: 8, ..Settings::default() });
    let one = pair.add(scoped("one", job(&prompt(1, 40), 8)));
    let other = pair.add(scoped("other", job(&prompt(1, 40), 8)));
    pair.steps(2);
    assert_eq!(other.told().begun, Some((40, 0)), "nor does it wait for what another reads");
    pair.run_out();
    let late = pair.add(scoped("late", job(&prompt(1, 40), 8)));
    let same = pair.add(scoped("one", job(&prompt(1, 40), 8)));
    pair.run_out();
    assert_eq!((late.told().begun, same.told().begun), (Some((40, 0)), Some((40, 36))));
    assert!([one, other, late, same].iter().all(|reader| reader.told().tokens == answer(&prompt(1, 40), 8, false)));
}

#[test]
fn a_prompt_that_many_ask_at_once_is_read_once() {
    let mut pair = Pair::new(256, 4, Settings { step_tokens: 16, max_running: 8, ..Settings::default() });
    let readers: Vec<Reader> = (0..5).map(|_| pair.add(job(&prompt(1, 41), 6))).collect();
    let unlike = pair.add(job(&prompt(2, 10), 6));
    pair.steps(3);
    assert_eq!(readers.iter().filter(|reader| reader.told().begun.is_some()).count(), 1);
    assert!(unlike.told().begun.is_some(), "others need not wait for it");
    pair.run_out();
    assert!(readers.iter().all(|reader| reader.told().tokens == answer(&prompt(1, 41), 6, false)));
    let figures = pair.scheduler.figures();
    assert_eq!((figures.prompt_tokens, figures.prompt_tokens_cached), (41 + 4 + 10, 4 * 40));
}

#[test]
fn one_that_waits_for_anothers_reading_goes_on_when_that_is_gone() {
    let mut pair = Pair::new(64, 4, Settings { step_tokens: 8, max_running: 8, ..Settings::default() });
    let first = pair.add(job(&prompt(1, 40), 6));
    let second = pair.add(job(&prompt(1, 40), 6));
    pair.steps(2);
    assert_eq!(second.told().begun, None);
    first.leave();
    pair.step();
    assert_eq!(second.told().begun, Some((40, 16)), "with what had been read");
    pair.run_out();
    assert_eq!(second.told().tokens, answer(&prompt(1, 40), 6, false));
}

#[test]
fn a_higher_class_does_not_wait_for_what_a_lower_one_reads() {
    let mut pair = Pair::new(64, 4, Settings { step_tokens: 8, max_running: 8, ..Settings::default() });
    let (mut low, low_reader) = job(&prompt(1, 40), 6);
    low.priority = Priority::Low;
    pair.add((low, low_reader.clone()));
    pair.step();
    let normal = pair.add(job(&prompt(1, 40), 6));
    pair.steps(2);
    assert!(normal.told().begun.is_some());
    pair.run_out();
    assert_eq!(normal.told().tokens, low_reader.told().tokens);
}
