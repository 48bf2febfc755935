use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use super::*;
use crate::{
    End, SubmitError,
    testing::{FakeDecoder, Habits, answer, facts, job, job_by, prompt},
};

/// A model on its own thread, and what comes when that has ended.
fn start(decoder: FakeDecoder, settings: Settings) -> (Generator, Receiver<()>) {
    let runner = Runner::new(Box::new(decoder), settings);
    let (ends, ended) = channel();
    let generator = runner.generator();
    thread::spawn(move || {
        runner.run().unwrap();
        ends.send(()).unwrap();
    });
    (generator, ended)
}

/// Waits for a model's end, a minute at most.
fn wait_for(ended: &Receiver<()>) {
    ended.recv_timeout(Duration::from_secs(60)).unwrap();
}

fn fake() -> FakeDecoder {
    FakeDecoder::new(&facts(64, 4))
}

/// A model that stands still in each step until it is let go, once a step.
fn gated() -> (FakeDecoder, Sender<()>) {
    let (go, gate) = channel();
    let mut decoder = fake();
    decoder.fault = Box::new(move |_, _| {
        let _: Result<(), _> = gate.recv();
        None
    });
    (decoder, go)
}

#[test]
fn jobs_from_many_threads_are_answered_and_the_loop_ends_with_the_last_handle() {
    let (generator, ended) = start(fake(), Settings::default());
    let threads: Vec<_> = (0..4)
        .map(|one| {
            let generator = generator.clone();
            thread::spawn(move || {
                for seed in (0..10).map(|seed| one * 10 + seed) {
                    let (job, reader) = job(&prompt(seed, 9), 7);
                    generator.submit(job).unwrap();
                    assert_eq!(reader.wait(|told| told.dropped).tokens, answer(&prompt(seed, 9), 7, false));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    drop(generator);
    wait_for(&ended);
}

#[test]
fn what_was_taken_is_finished_though_the_last_handle_is_gone() {
    let (decoder, go) = gated();
    let (generator, ended) = start(decoder, Settings { max_running: 1, ..Settings::default() });
    let readers: Vec<_> =
        (0..3).map(|seed| job(&prompt(seed, 9), 7)).map(|(job, reader)| generator.submit(job).map(|()| reader).unwrap()).collect();
    drop((generator, go));
    wait_for(&ended);
    assert!(readers.iter().zip(0..).all(|(reader, seed)| reader.told().tokens == answer(&prompt(seed, 9), 7, false)));
}

#[test]
fn closing_now_ends_what_runs_what_waits_and_what_was_not_seen() {
    let (decoder, go) = gated();
    let (generator, ended) = start(decoder, Settings { max_running: 1, ..Settings::default() });
    let submit = |seed| {
        let (job, reader) = job(&prompt(seed, 9), 7);
        generator.submit(job).map(|()| reader)
    };
    let (runs, waits) = (submit(1).unwrap(), submit(2).unwrap());
    go.send(()).unwrap();
    runs.wait(|told| told.tokens.len() == 1);
    let unseen = submit(3).unwrap();
    generator.close_now();
    drop(go);
    wait_for(&ended);
    for reader in [runs, waits, unseen] {
        assert_eq!((reader.told().end, reader.told().dropped), (Some(End::Closed), true));
    }
    assert_eq!(submit(4).err(), Some(SubmitError::Closed));
    assert_eq!((generator.figures().running, generator.figures().waiting, generator.figures().blocks_used), (0, 0, 0));
}

#[test]
fn a_full_queue_refuses_and_takes_again_when_one_has_gone() {
    let (decoder, go) = gated();
    let (generator, ended) = start(decoder, Settings { max_running: 1, max_waiting: 2, ..Settings::default() });
    let submit = |seed| {
        let (job, reader) = job(&prompt(seed, 3), 2);
        generator.submit(job).map(|()| reader)
    };
    let first = submit(1).unwrap();
    first.wait(|told| told.begun.is_some());
    go.send(()).unwrap();
    first.wait(|told| told.tokens.len() == 1);
    let waiting = [submit(2).unwrap(), submit(3).unwrap()];
    assert_eq!(submit(4).err(), Some(SubmitError::Full { waiting: 2 }));
    assert_eq!(generator.figures().waiting, 2);
    go.send(()).unwrap();
    waiting[0].wait(|told| told.begun.is_some());
    go.send(()).unwrap();
    waiting[0].wait(|told| told.tokens.len() == 1);
    let last = submit(4).unwrap();
    drop((go, generator));
    wait_for(&ended);
    assert_eq!(last.told().tokens, answer(&prompt(4, 3), 2, false));
}

#[test]
fn a_job_that_can_never_be_done_is_refused_at_once() {
    let (generator, ended) = start(fake(), Settings::default());
    assert_eq!(generator.submit(job(&[], 2).0), Err(SubmitError::EmptyPrompt));
    assert_eq!(generator.submit(job(&[0; 257], 2).0), Err(SubmitError::TooLong { tokens: 257, most: 255 }));
    drop(generator);
    wait_for(&ended);
}

#[test]
fn a_deadline_that_has_passed_ends_a_job_that_comes_to_an_idle_model() {
    let (generator, ended) = start(fake(), Settings::default());
    let (mut late, reader) = job(&prompt(1, 3), 2);
    late.deadline = Some(Instant::now());
    generator.submit(late).unwrap();
    assert_eq!(reader.wait(|told| told.dropped).end, Some(End::Deadline));
    drop(generator);
    wait_for(&ended);
}

#[test]
fn a_fatal_failure_ends_all_and_is_told_to_who_comes_later() {
    let mut decoder = fake();
    let error = DecoderError { message: "the card has fallen off".to_owned(), fatal: true };
    let told = error.clone();
    decoder.fault = Box::new(move |step, _| (step == 3).then(|| told.clone()));
    let runner = Runner::new(Box::new(decoder), Settings { max_running: 2, ..Settings::default() });
    let generator = runner.generator();
    let readers: Vec<_> =
        (0..3).map(|seed| job(&prompt(seed, 9), 70)).map(|(job, reader)| generator.submit(job).map(|()| reader).unwrap()).collect();
    assert_eq!(runner.run(), Err(error.clone()));
    assert!(readers.iter().all(|reader| reader.told().end == Some(End::Failed(error.clone()))));
    assert_eq!(generator.submit(job(&[1], 1).0), Err(SubmitError::Failed(error)));
}

#[test]
fn a_decoder_that_panics_over_one_sequence_goes_on_with_the_others() {
    let mut decoder = fake();
    decoder.fault = Box::new(|_, spans| {
        assert!(!spans.iter().any(|span| span.tokens.contains(&16)), "a decoder's fault");
        None
    });
    let runner = Runner::new(Box::new(decoder), Settings::default());
    let generator = runner.generator();
    let seed =
        (0..100).find(|&seed| [prompt(seed, 9), answer(&prompt(seed, 9), 7, false)].concat().iter().all(|&token| token != 16)).unwrap();
    let (good, reader) = job(&prompt(seed, 9), 7);
    let (bad, failed) = job(&[16; 5], 7);
    generator.submit(good).unwrap();
    generator.submit(bad).unwrap();
    drop(generator);
    runner.run().unwrap();
    assert_eq!(reader.told().tokens, answer(&prompt(seed, 9), 7, false));
    assert!(matches!(failed.told().end, Some(End::Failed(error)) if error.message.contains("a decoder's fault") && !error.fatal));
}

#[test]
fn an_author_that_panics_leaves_the_loop_alone() {
    let (generator, ended) = start(fake(), Settings::default());
    let (bad, failed) = job_by(Habits { panics_after: Some(1), ..Habits::default() }, &prompt(1, 3), 9);
    generator.submit(bad).unwrap();
    assert!(matches!(failed.wait(|told| told.dropped).end, Some(End::Failed(_))));
    let (good, reader) = job(&prompt(2, 3), 9);
    generator.submit(good).unwrap();
    drop(generator);
    wait_for(&ended);
    assert_eq!(reader.told().tokens.len(), 9);
}

#[test]
fn a_runner_that_never_runs_ends_its_jobs() {
    let runner = Runner::new(Box::new(fake()), Settings::default());
    let generator = runner.generator();
    let (job, reader) = job(&[1], 1);
    generator.submit(job).unwrap();
    drop(runner);
    assert_eq!(reader.told().end, Some(End::Closed));
    assert_eq!(generator.submit(crate::testing::job(&[1], 1).0), Err(SubmitError::Closed));
}

#[test]
fn an_idle_model_makes_no_steps_and_its_figures_stand() {
    let (generator, ended) = start(fake(), Settings::default());
    for seed in 0..3 {
        let (job, reader) = job(&prompt(seed, 8), 5);
        generator.submit(job).unwrap();
        reader.wait(|told| told.dropped);
    }
    drop(generator.clone());
    let handle = generator.clone();
    drop(generator);
    handle.close_now();
    wait_for(&ended);
    let figures = handle.figures();
    assert_eq!((figures.steps, figures.tokens_written, figures.prompt_tokens, figures.blocks), (15, 15, 24, 64));
    assert!(figures.step_time > Duration::ZERO);
}
