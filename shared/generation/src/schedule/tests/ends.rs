use super::*;
use crate::testing::{Habits, answer, job, job_by, prompt};

#[test]
fn an_answer_has_as_many_tokens_as_were_asked_for_or_as_its_author_wants() {
    let mut pair = Pair::new(16, 4, Settings::default());
    let all = pair.add(job(&prompt(1, 5), 7));
    let some = pair.add(job_by(Habits { stops_after: Some(3), ..Habits::default() }, &prompt(1, 5), 7));
    let none = pair.add(job(&prompt(1, 5), 0));
    pair.run_out();
    assert_eq!((all.told().tokens, all.told().end), (answer(&prompt(1, 5), 7, false), Some(End::Length)));
    assert_eq!(some.told().tokens, answer(&prompt(1, 5), 3, false));
    assert_eq!((none.told().tokens, none.told().end), (vec![], Some(End::Length)));
}

#[test]
fn a_sequence_ends_where_the_models_context_does() {
    let mut context = facts(64, 4);
    context.max_tokens = 11;
    let mut pair = Pair::with(FakeDecoder::new(&context), Settings::default());
    let reader = pair.add(job(&prompt(1, 8), usize::MAX));
    pair.run_out();
    assert_eq!((reader.told().tokens, reader.told().end), (answer(&prompt(1, 8), 3, false), Some(End::Length)));
}

#[test]
fn a_deadline_ends_what_runs_and_what_waits() {
    let mut pair = Pair::new(16, 4, Settings { max_running: 1, ..Settings::default() });
    let until = |pair: &Pair, milliseconds, seed| {
        let (mut job, reader) = job(&prompt(seed, 5), 40);
        job.deadline = Some(pair.now + Duration::from_millis(milliseconds));
        (job, reader)
    };
    let (runs, waits) = (until(&pair, 5, 1), until(&pair, 3, 2));
    let (runs, waits, late) = (pair.add(runs), pair.add(waits), pair.add(job(&prompt(3, 5), 2)));
    pair.steps(2);
    assert_eq!((runs.told().end, waits.told().end), (None, None));
    pair.step();
    assert_eq!((waits.told().begun, waits.told().end, runs.told().end), (None, Some(End::Deadline), None));
    pair.steps(2);
    assert_eq!((runs.told().end, runs.told().tokens.len()), (Some(End::Deadline), 4));
    pair.run_out();
    assert_eq!(late.told().tokens.len(), 2);
}

#[test]
fn a_sequence_that_nobody_waits_for_frees_its_blocks_before_the_next_step() {
    let mut pair = Pair::new(16, 4, Settings { max_running: 1, ..Settings::default() });
    let (runs, waits) = (pair.add(job(&prompt(1, 20), 9)), pair.add(job(&prompt(2, 20), 9)));
    pair.step();
    runs.leave();
    waits.leave();
    assert!(!pair.step());
    pair.check_empty();
    assert_eq!(pair.scheduler.pool.cached(), 5, "what it had read may be used again");
    for told in [runs.told(), waits.told()] {
        assert!(told.dropped && told.end.is_none());
    }
}

#[test]
fn closing_ends_everything() {
    let mut pair = Pair::new(16, 4, Settings { max_running: 1, ..Settings::default() });
    let readers: Vec<Reader> = (0..3).map(|seed| pair.add(job(&prompt(seed, 20), 9))).collect();
    pair.steps(2);
    pair.scheduler.end_all(&End::Closed);
    pair.check_empty();
    assert!(readers.iter().all(|reader| reader.told().end == Some(End::Closed) && reader.told().dropped));
}

#[test]
fn what_can_never_be_done_is_refused_with_the_reason() {
    let mut context = facts(64, 4);
    context.max_tokens = 10;
    let refused = |tokens: &[u32], max_new| Limits::of(&context).check(&job(tokens, max_new).0);
    assert_eq!(refused(&[], 1), Err(SubmitError::EmptyPrompt));
    assert_eq!(refused(&[1; 10], 1), Err(SubmitError::TooLong { tokens: 10, most: 9 }));
    assert_eq!((refused(&[1; 10], 0), refused(&[1; 9], 99)), (Ok(()), Ok(())));
    assert_eq!(refused(&[1, 17, 1], 1), Err(SubmitError::UnknownToken { token: 17, place: 1, vocabulary: 17 }));
    let small = Limits::of(&facts(2, 4));
    assert_eq!(small.check(&job(&[1; 9], 0).0), Err(SubmitError::TooLong { tokens: 9, most: 8 }), "more than the cache holds");
    assert_eq!(small.check(&job(&[1; 8], 0).0), Ok(()));
}
