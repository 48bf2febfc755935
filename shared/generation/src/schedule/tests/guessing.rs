use proptest::prelude::*;

use super::*;
use crate::testing::{Habits, answer, job, job_by, prompt};

fn with_lookup(step_tokens: usize, longest_match: usize, most_guesses: usize, extra_rows: usize) -> Settings {
    let lookup = Some(Lookup { longest_match, most_guesses });
    Settings { step_tokens, max_running: 4, extra_rows, lookup, ..Settings::default() }
}

#[test]
fn right_guesses_save_steps() {
    let steps = |lookup: Option<Lookup>| {
        let decoder = FakeDecoder::new(&facts(64, 4)).dull(true);
        let mut pair = Pair::with(decoder, Settings { lookup, ..Settings::default() });
        let reader = pair.add(job(&prompt(1, 10), 100));
        pair.run_out();
        assert_eq!(reader.told().tokens, answer(&prompt(1, 10), 100, true));
        pair.scheduler.figures()
    };
    let (without, with) = (steps(None), steps(Some(Lookup::default())));
    assert_eq!((without.steps, without.guesses), (100, 0));
    assert!(with.steps < 70 && with.guesses > with.guesses_accepted && with.steps + with.guesses_accepted == 100, "{with:?}");
}

#[test]
fn guesses_take_only_what_the_others_leave() {
    let mut pair = Pair::with(FakeDecoder::new(&facts(64, 4)).dull(true), with_lookup(12, 2, 8, 64));
    let reader = pair.add(job(&[1, 2, 1, 2, 1, 2], 200));
    pair.step();
    let other = pair.add(job(&prompt(3, 40), 1));
    while other.told().end.is_none() {
        pair.step();
        assert!(pair.last()[0].0 == 1 || other.told().end.is_some(), "the prompt's part is no smaller for guesses");
    }
    pair.run_out();
    assert_eq!(reader.told().tokens, answer(&[1, 2, 1, 2, 1, 2], 200, true));
}

proptest! {
    #[test]
    fn answers_are_the_same_with_lookup_and_without(
        dull: bool, seed: u64, settings in (4_usize..40, 0_usize..5, 0_usize..9, 0_usize..20), blocks in 16_usize..60, stops_after in 1_usize..60,
    ) {
        let (step_tokens, longest_match, most_guesses, extra_rows) = settings;
        let decoder = FakeDecoder::new(&facts(blocks, 4)).dull(dull);
        let mut pair = Pair::with(decoder, with_lookup(step_tokens, longest_match, most_guesses, extra_rows));
        let prompts: Vec<Vec<u32>> = (0..5).map(|other| prompt(seed.wrapping_add(other), 1 + (seed as usize).wrapping_add(other as usize * 3) % 17)).collect();
        let readers: Vec<Reader> = prompts.iter().map(|prompt| pair.add(job_by(Habits { stops_after: Some(stops_after), ..Habits::default() }, prompt, 45))).collect();
        pair.run_out();
        for (reader, prompt) in readers.iter().zip(&prompts) {
            prop_assert_eq!(reader.told().tokens, answer(prompt, stops_after.min(45), dull));
        }
    }
}
