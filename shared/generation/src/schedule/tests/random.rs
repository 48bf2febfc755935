use proptest::prelude::*;

use super::*;
use crate::testing::{FakeDecoder, Habits, answer, facts, job_by, prompt};

/// Many jobs, of which some are left, some fail, and some are stopped, at random.
struct Crowd {
    pair: Pair,
    random: fastrand::Rng,
    jobs: Vec<(Reader, Vec<u32>, usize, bool)>,
}

impl Crowd {
    fn new(seed: u64, blocks: usize, settings: Settings, faults: bool) -> Self {
        // Every second decoder chooses tokens itself where it may.
        let decoder = FakeDecoder::new(&facts(blocks, 4)).choosing(seed % 2 == 1);
        let mut pair = Pair::with(decoder, settings);
        if faults {
            let mut random = fastrand::Rng::with_seed(seed);
            pair.decoder.fault = Box::new(move |_, _| (random.u32(0..12) == 0).then(|| error("now and then")));
        }
        Self { pair, random: fastrand::Rng::with_seed(seed), jobs: Vec::new() }
    }

    fn add(&mut self) {
        let random = &mut self.random;
        // Of few kinds, so that beginnings are shared.
        let mut tokens = prompt(random.u64(0..4), random.usize(1..30));
        tokens.extend(prompt(random.u64(..), random.usize(0..6)));
        let max_new = random.usize(0..20);
        let author = Habits { reads_prompt: random.u32(0..8) == 0, ..Habits::default() };
        let (mut job, reader) = job_by(author, &tokens, max_new);
        job.priority = [Priority::High, Priority::Normal, Priority::Low][random.usize(0..3)];
        job.tenant = ["a", "b", "c"][random.usize(0..3)].into();
        job.scope = job.tenant.clone();
        job.deadline = (random.u32(0..10) == 0).then(|| self.pair.now + Duration::from_millis(random.u64(0..60)));
        self.pair.add((job, reader.clone()));
        self.jobs.push((reader, tokens, max_new, false));
    }

    fn leave_one(&mut self) {
        let which = self.random.usize(..self.jobs.len());
        self.jobs[which].0.leave();
        self.jobs[which].3 = true;
    }

    fn run(mut self, jobs: usize) -> Figures {
        while self.jobs.len() < jobs {
            for _ in 0..self.random.usize(0..4) {
                self.add();
            }
            if self.random.u32(0..3) == 0 && !self.jobs.is_empty() {
                self.leave_one();
            }
            self.pair.step();
        }
        self.pair.run_out();
        for (reader, tokens, max_new, left) in &self.jobs {
            let told = reader.told();
            let whole = answer(tokens, *max_new, false);
            assert!(told.dropped);
            match told.end {
                Some(End::Length) => assert_eq!(told.tokens, whole),
                Some(End::Deadline | End::Failed(_)) => assert_eq!(told.tokens, whole[..told.tokens.len()]),
                None if *left => assert_eq!(told.tokens, whole[..told.tokens.len()]),
                end => panic!("it ended with {end:?}"),
            }
            assert!(told.rows.iter().zip(1..).all(|(row, place)| row.0 == place), "each place once, in order");
        }
        self.pair.scheduler.figures()
    }
}

#[test]
fn a_thousand_sequences_cut_at_random_leave_no_block_and_change_no_other() {
    let settings = Settings { step_tokens: 40, max_running: 12, lookup: Some(Lookup::default()), ..Settings::default() };
    let figures = Crowd::new(5, 28, settings, false).run(1000);
    assert!(figures.preemptions > 50 && figures.prompt_tokens_cached > 1000, "{figures:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn whatever_happens_tokens_are_right_and_nothing_leaks(
        seed: u64, blocks in 15_usize..60, step_tokens in 1_usize..60, max_running in 1_usize..16, extra_rows in 0_usize..12, lookup: bool, faults: bool,
    ) {
        let lookup = lookup.then(Lookup::default);
        Crowd::new(seed, blocks, Settings { step_tokens, max_running, extra_rows, lookup, ..Settings::default() }, faults).run(40);
    }
}
