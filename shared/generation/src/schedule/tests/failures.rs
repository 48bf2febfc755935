use super::*;
use crate::{
    Author, Next, Span,
    testing::{Habits, answer, job, job_by, prompt},
};

/// Fails whenever a span has this token at this position.
fn allergic(token: u32, position: usize) -> impl FnMut(usize, &[Span<'_>]) -> Option<DecoderError> {
    move |_, spans| {
        let bad = |span: &&Span<'_>| position.checked_sub(span.cached).and_then(|place| span.tokens.get(place)) == Some(&token);
        spans.iter().find(bad).map(|_| error("an allergy"))
    }
}

#[test]
fn a_step_that_fails_once_costs_nobody_anything() {
    for steps in 0..12 {
        let mut pair = Pair::new(64, 4, Settings { lookup: Some(Lookup::default()), ..Settings::default() });
        pair.decoder.fault = Box::new(move |step, _| (step == steps).then(|| error("once")));
        let readers: Vec<Reader> = (0..3).map(|seed| pair.add(job(&prompt(seed, 6), 12))).collect();
        pair.run_out();
        for (reader, seed) in readers.iter().zip(0..) {
            assert_eq!((reader.told().tokens, reader.told().end), (answer(&prompt(seed, 6), 12, false), Some(End::Length)));
        }
        assert_eq!(pair.scheduler.figures().steps_failed, 1);
    }
}

#[test]
fn only_the_sequence_at_fault_ends() {
    let mut pair = Pair::new(64, 4, Settings::default());
    let bad: Vec<u32> = [prompt(7, 9), vec![16]].concat();
    pair.decoder.fault = Box::new(allergic(16, 9));
    let good: Vec<Reader> = (0..3).map(|seed| pair.add(job(&prompt(seed, 6), 3))).collect();
    let culprit = pair.add(job(&bad, 3));
    pair.run_out();
    assert_eq!((culprit.told().tokens, culprit.told().end), (vec![], Some(End::Failed(error("an allergy")))));
    assert!(good.iter().zip(0..).all(|(reader, seed)| reader.told().tokens == answer(&prompt(seed, 6), 3, false)));
}

#[test]
fn what_a_failed_step_has_written_is_never_used_again() {
    let mut pair = Pair::new(64, 4, Settings { step_tokens: 8, max_running: 2, ..Settings::default() });
    let tokens: Vec<u32> = [prompt(7, 17), vec![16], prompt(8, 6)].concat();
    pair.decoder.fault = Box::new(allergic(16, 17));
    let culprit = pair.add(job(&tokens, 3));
    pair.run_out();
    assert!(matches!(culprit.told().end, Some(End::Failed(_))));
    pair.decoder.fault = Box::new(|_, _| None);
    let again = pair.add(job(&tokens, 9));
    pair.run_out();
    assert_eq!(again.told().begun, Some((24, 16)), "what had been read before is good");
    assert_eq!(again.told().tokens, answer(&tokens, 9, false));
}

#[test]
fn a_sequence_that_was_in_a_failed_step_reads_its_last_block_again() {
    let mut pair = Pair::new(64, 4, Settings::default());
    pair.decoder.fault = Box::new(|step, _| (step == 3).then(|| error("once")));
    let reader = pair.add(job(&prompt(1, 8), 12));
    pair.steps(5);
    assert_eq!(pair.last(), [(3, 8, Wants::Last)]);
    pair.run_out();
    assert_eq!(reader.told().tokens, answer(&prompt(1, 8), 12, false));
}

#[test]
fn the_sequence_at_fault_is_found_in_steps_smaller_than_a_block_too() {
    let decoder = FakeDecoder::new(&facts(16, 16));
    let mut pair = Pair::with(decoder, Settings { step_tokens: 3, max_running: 2, ..Settings::default() });
    let bad: Vec<u32> = [prompt(7, 30), vec![16], prompt(8, 4)].concat();
    pair.decoder.fault = Box::new(allergic(16, 30));
    let good = pair.add(job(&prompt(1, 5), 20));
    let culprit = pair.add(job(&bad, 3));
    pair.run_out();
    assert!(matches!(culprit.told().end, Some(End::Failed(_))));
    assert_eq!(good.told().tokens, answer(&prompt(1, 5), 20, false));
}

#[test]
fn an_author_that_panics_ends_its_own_sequence_only() {
    let mut pair = Pair::new(64, 4, Settings::default());
    let bad = pair.add(job_by(Habits { panics_after: Some(2), ..Habits::default() }, &prompt(1, 6), 9));
    let good = pair.add(job(&prompt(2, 6), 9));
    pair.run_out();
    assert_eq!(bad.told().tokens.len(), 2);
    assert!(matches!(bad.told().end, Some(End::Failed(error)) if !error.fatal));
    assert_eq!(good.told().tokens, answer(&prompt(2, 6), 9, false));
    assert_eq!(pair.scheduler.figures().steps_failed, 0);
}

/// Panics in the one of its methods that has this number, and in its drop with 6.
struct Moody(usize);

impl Moody {
    fn at(&self, place: usize) {
        assert!(self.0 != place, "an author's fault");
    }
}

impl Author for Moody {
    fn begin(&mut self, _prompt: usize, _cached: usize) {
        self.at(0);
    }
    fn next(&mut self, _logits: &mut [f32]) -> Next {
        self.at(1);
        Next::Token(if self.0 == 7 { 17 } else { 1 })
    }
    fn reads_prompt(&self) -> bool {
        self.at(2);
        true
    }
    fn read(&mut self, _place: usize, _logits: &mut [f32]) {
        self.at(3);
    }
    fn wanted(&self) -> bool {
        self.at(4);
        true
    }
    fn end(&mut self, _end: End) {
        self.at(5);
    }
}

impl Drop for Moody {
    fn drop(&mut self) {
        self.at(6);
    }
}

#[test]
fn wherever_an_author_panics_and_whatever_it_chooses_the_others_go_on() {
    for place in 0..8 {
        let mut pair = Pair::new(64, 4, Settings::default());
        let (bad, _) = job(&prompt(1, 6), 3);
        pair.scheduler.add(Job { author: Box::new(Moody(place)), ..bad });
        let good = pair.add(job(&prompt(2, 6), 9));
        pair.run_out();
        assert_eq!(good.told().tokens, answer(&prompt(2, 6), 9, false));
    }
}

#[test]
fn a_step_with_too_few_logits_is_a_failed_one() {
    let mut pair = Pair::new(64, 4, Settings::default());
    let reader = pair.add(job(&prompt(1, 6), 9));
    for _ in 0..2 {
        assert!(pair.scheduler.plan(pair.now));
        pair.scheduler.apply(Duration::ZERO, Ok(crate::Logits { values: vec![0.0; 16], ..Default::default() }));
        pair.check();
    }
    assert!(matches!(reader.told().end, Some(End::Failed(_))));
    pair.check_empty();
}
