use std::{sync::atomic::Ordering, time::Instant};

use torchmesh_api::error::ErrorKind;

use crate::testing::{Bench, FAILS, LARGE, PANICS, part, request, until, wait};
use crate::{
    admission::{Part, Submission},
    tensor::Tensor,
};

fn values(answered: &[crate::admission::Answered]) -> Vec<i64> {
    answered.iter().flat_map(|answered| answered.outputs[0].to_i64s().unwrap()).collect()
}

#[test]
fn what_piles_up_while_the_engine_is_busy_runs_as_one_batch() {
    let bench = Bench::start("");
    let busy = bench.occupy();
    let waiting: Vec<_> = (1..=5).map(|value| bench.queue.push(request(&[value])).unwrap()).collect();
    bench.seen.gate.open();
    wait(busy).unwrap();
    for (value, pending) in (1..).zip(waiting) {
        assert_eq!(values(&wait(pending).unwrap()), [value]);
    }
    assert_eq!(bench.seen.shapes(), [[1, 1], [5, 1]]);
}

#[test]
fn texts_of_different_length_come_back_without_each_others_padding() {
    let bench = Bench::start("");
    let busy = bench.occupy();
    let (short, long) = (bench.queue.push(request(&[1; 10])).unwrap(), bench.queue.push(request(&[2; 12])).unwrap());
    bench.seen.gate.open();
    wait(busy).unwrap();
    assert_eq!(values(&wait(short).unwrap()), [1; 10]);
    assert_eq!(values(&wait(long).unwrap()), [2; 12]);
    assert_eq!(bench.seen.shapes()[1], [2, 12]);
}

#[test]
fn a_request_of_many_rows_is_run_in_parts_and_comes_back_whole() {
    let bench = Bench::start("[batching]\nmax_batch = 4");
    let rows: Vec<i64> = (1..=11).collect();
    let mut submission = request(&[1]);
    submission.parts = vec![part(11, &rows)];
    let answered = wait(bench.queue.push(submission).unwrap()).unwrap();
    assert_eq!(values(&answered), rows);
    assert_eq!(bench.seen.shapes(), [[4, 1], [4, 1], [3, 1]]);
}

#[test]
fn a_row_that_fails_fails_its_own_request_alone() {
    let bench = Bench::start("");
    let busy = bench.occupy();
    let waiting: Vec<_> = [1, FAILS, 3].map(|value| bench.queue.push(request(&[value])).unwrap()).into();
    bench.seen.gate.open();
    wait(busy).unwrap();
    let outcomes: Vec<_> = waiting.into_iter().map(wait).collect();
    assert_eq!(values(outcomes[0].as_ref().unwrap()), [1]);
    assert_eq!(values(outcomes[2].as_ref().unwrap()), [3]);
    let failed = outcomes[1].as_ref().unwrap_err();
    assert_eq!((failed.kind, failed.message.as_str()), (ErrorKind::Internal, "the model failed: told to fail"));
}

#[test]
fn a_batch_that_memory_does_not_hold_is_run_in_halves_and_nobody_notices() {
    let bench = Bench::start("");
    let busy = bench.occupy();
    let mut many = request(&[1]);
    many.parts = vec![part(3, &[1, LARGE, 3])];
    let (many, other) = (bench.queue.push(many).unwrap(), bench.queue.push(request(&[4])).unwrap());
    bench.seen.gate.open();
    wait(busy).unwrap();
    assert_eq!(values(&wait(many).unwrap()), [1, LARGE, 3]);
    assert_eq!(values(&wait(other).unwrap()), [4]);
    assert_eq!(bench.seen.shapes(), [[1, 1], [4, 1], [2, 1], [1, 1], [1, 1], [2, 1]]);
}

#[test]
fn an_answer_that_is_no_number_fails_its_own_request_alone_where_the_manifest_says_so() {
    let float = "task = 'tensor'\n[[inputs]]\nname = 'x'\ndatatype = 'FP32'\nshape = [-1]\n\
        [[outputs]]\nname = 'y'\ndatatype = 'FP32'\nshape = [-1]\n[warmup]\nbatch_sizes = [1]";
    let row = |value: f32| {
        let content = Part { rows: 1, length: 1, shape: Box::default(), inputs: vec![Tensor::from_f32s([1], &[value])], attribution: None };
        Submission { parts: vec![content], ..request(&[1]) }
    };
    for (setting, rejects) in [("nan = 'reject'\n", true), ("", false)] {
        let bench = Bench::of(&format!("{setting}{float}"));
        bench.seen.gate.close();
        let busy = bench.queue.push(row(7.0)).unwrap();
        bench.seen.gate.wait_for_forward();
        let waiting: Vec<_> = [1.0, f32::NAN, 3.0].map(|value| bench.queue.push(row(value)).unwrap()).into();
        bench.seen.gate.open();
        wait(busy).unwrap();
        let outcomes: Vec<_> = waiting.into_iter().map(wait).collect();
        assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
        assert_eq!(outcomes[1].is_err(), rejects);
        if let Err(error) = &outcomes[1] {
            assert_eq!(error.message, "the model's \"y\" holds NaN or infinity for this input");
        }
        assert_eq!(bench.seen.shapes(), [[1], [3]], "the batch ran once");
    }
}

#[test]
fn a_model_without_a_batch_dimension_runs_one_request_at_a_time_in_any_shape() {
    let whole = "task = 'tensor'\n[[inputs]]\nname = 'x'\ndatatype = 'INT64'\nshape = [2, -1]\n\
        [[outputs]]\nname = 'y'\ndatatype = 'INT64'\nshape = [2, -1]\n[batching]\nmax_batch = 0\n[warmup]\nlengths = [1]";
    let bench = Bench::of(whole);
    let send = |values: &[i64]| {
        let inputs = vec![Tensor::from_i64s([2, i64::try_from(values.len() / 2).unwrap()], values)];
        bench
            .queue
            .push(Submission {
                parts: vec![Part { rows: 1, length: 1, shape: Box::default(), inputs, attribution: None }],
                ..request(&[1])
            })
            .unwrap()
    };
    bench.seen.gate.close();
    let first = send(&[1, 2]);
    bench.seen.gate.wait_for_forward();
    let (second, third) = (send(&[3, 4, 5, 6]), send(&[7, 8]));
    bench.seen.gate.open();
    for (pending, want) in [(first, vec![1, 2]), (second, vec![3, 4, 5, 6]), (third, vec![7, 8])] {
        assert_eq!(values(&wait(pending).unwrap()), want);
    }
    assert_eq!(bench.seen.shapes(), [[2, 1], [2, 2], [2, 1]]);
}

#[test]
fn a_panic_fails_its_own_request_alone_and_the_engine_is_loaded_again() {
    let bench = Bench::start("");
    let busy = bench.occupy();
    let waiting: Vec<_> = [1, PANICS, 3].map(|value| bench.queue.push(request(&[value])).unwrap()).into();
    bench.seen.gate.open();
    wait(busy).unwrap();
    let outcomes: Vec<_> = waiting.into_iter().map(wait).collect();
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok(), "{outcomes:?}");
    assert_eq!(outcomes[1].as_ref().unwrap_err().kind, ErrorKind::Internal);
    assert_eq!(bench.seen.loads.load(Ordering::Relaxed), 3, "at the start, after the batch, after the guilty one");
    assert_eq!(values(&wait(bench.queue.push(request(&[9])).unwrap()).unwrap()), [9]);
}

#[test]
fn an_engine_that_cannot_be_loaded_again_leaves_nobody_waiting() {
    let bench = Bench::start("");
    let busy = bench.occupy();
    let waiting: Vec<_> = [1, PANICS].map(|value| bench.queue.push(request(&[value])).unwrap()).into();
    bench.seen.refuse_loads.store(true, Ordering::Relaxed);
    bench.seen.gate.open();
    wait(busy).unwrap();
    assert!(waiting.into_iter().all(|pending| wait(pending).is_err()));
    let reason = bench.executor.join().unwrap().unwrap_err();
    assert!(reason.contains("could not be loaded again") && reason.contains("no room"), "{reason}");
}

#[test]
fn a_failed_row_takes_the_other_parts_of_its_request_out_of_the_queue() {
    let bench = Bench::start("[batching]\nmax_batch = 1");
    let busy = bench.occupy();
    let mut submission = request(&[1]);
    submission.parts = vec![part(3, &[FAILS, 5, 6])];
    let pending = bench.queue.push(submission).unwrap();
    bench.seen.gate.open();
    wait(busy).unwrap();
    assert!(wait(pending).is_err());
    assert_eq!(bench.queue.depth(), 0);
    assert_eq!(bench.seen.shapes().len(), 2, "the rows behind the failed one were not run");
}

#[test]
fn a_caller_who_left_while_the_executor_was_busy_costs_no_forward() {
    let bench = Bench::start("");
    let busy = bench.occupy();
    let left = bench.queue.push(request(&[1])).unwrap();
    drop(left);
    assert_eq!(bench.metrics.queue.depth.get(), 0, "at once, though the executor is busy");
    bench.seen.gate.open();
    wait(busy).unwrap();
    assert_eq!(values(&wait(bench.queue.push(request(&[2])).unwrap()).unwrap()), [2]);
    assert_eq!(bench.seen.shapes().len(), 2);
}

#[test]
fn an_expired_request_costs_no_forward() {
    let bench = Bench::start("");
    let busy = bench.occupy();
    let mut late = request(&[1]);
    late.deadline = Some(Instant::now());
    let late = bench.queue.push(late).unwrap();
    bench.seen.gate.open();
    wait(busy).unwrap();
    assert_eq!(wait(late).unwrap_err().kind, ErrorKind::DeadlineExceeded);
    assert_eq!(bench.seen.shapes().len(), 1);
}

#[test]
fn the_counters_tell_requests_rows_and_batches_apart() {
    let bench = Bench::start("");
    let busy = bench.occupy();
    let mut two_rows = request(&[1]);
    two_rows.parts = vec![part(2, &[1, 2])];
    let waiting = [bench.queue.push(two_rows).unwrap(), bench.queue.push(request(&[3])).unwrap()];
    bench.seen.gate.open();
    wait(busy).unwrap();
    for pending in waiting {
        wait(pending).unwrap();
    }
    until("both batches are counted", || bench.stats.wire("m", "1").execution_count == 2);
    let stats = bench.stats.wire("m", "1");
    assert_eq!(stats.inference_count, 4, "rows");
    assert_eq!(stats.inference_stats.unwrap().success.unwrap().count, 3, "requests");
    let sizes: Vec<_> = stats.batch_stats.iter().map(|batch| batch.batch_size).collect();
    assert_eq!(sizes, [1, 3]);
}
