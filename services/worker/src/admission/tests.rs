use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use prometheus_client::registry::Registry;
use torchmesh_api::error::{ApiError, ErrorKind};

use super::{Queue, Work};
use crate::{
    manifest::{Manifest, Published},
    metrics::{ModelMetrics, WorkerMetrics},
    testing::{self, ECHO, part, request, until, wait},
};

fn queue(settings: &str) -> (Arc<Queue>, ModelMetrics) {
    let manifest = Manifest::parse(&format!("{ECHO}{settings}"), &Published::default()).unwrap();
    let metrics = WorkerMetrics::register(&mut Registry::default()).model("m", "1");
    (testing::queue(&manifest, &metrics), metrics)
}

#[test]
fn a_full_queue_answers_resource_exhausted_at_once_with_a_retry_hint() {
    let (queue, _) = queue("[queue]\nmax_requests = 2");
    queue.learn(Work::of(1, 1), Duration::from_millis(500));
    queue.learn(Work::of(32, 1), Duration::from_secs(16));
    let _waiting = [queue.push(request(&[1])).unwrap(), queue.push(request(&[1])).unwrap()];
    let refused = queue.push(request(&[1])).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::ResourceExhausted);
    let hint = refused.retry_after.unwrap();
    assert!((450..=550).contains(&hint.as_millis()), "two rows of half a second, half of them: {hint:?}");
    assert!(refused.message.contains("2 requests wait"), "{refused}");
}

#[test]
fn the_bytes_that_wait_are_bounded_too() {
    let (queue, _) = queue("[queue]\nmax_bytes = 1024");
    let row = [1; 100];
    let _waiting = queue.push(request(&row)).unwrap();
    assert_eq!(queue.push(request(&row)).unwrap_err().kind, ErrorKind::ResourceExhausted);
    let never = queue.push(request(&[1; 1000])).unwrap_err();
    assert_eq!((never.kind, never.retry_after), (ErrorKind::TooLarge, None), "no use in trying again");
}

#[test]
fn a_caller_who_leaves_frees_its_slot_at_once() {
    let (queue, metrics) = queue("[queue]\nmax_requests = 1");
    let pending = queue.push(request(&[1])).unwrap();
    assert_eq!(metrics.queue.depth.get(), 1);
    drop(pending);
    assert_eq!((metrics.queue.depth.get(), metrics.queue.dropped.get()), (0, 1));
    assert!(queue.push(request(&[1])).is_ok());
}

#[test]
fn a_request_of_many_parts_leaves_as_one() {
    let (queue, metrics) = queue("");
    let mut submission = request(&[1]);
    submission.parts = (0..5).map(|_| part(1, &[1])).collect();
    let many = queue.push(submission).unwrap();
    let _other = queue.push(request(&[2])).unwrap();
    assert_eq!(queue.depth(), 2);
    drop(many);
    assert_eq!((queue.depth(), metrics.queue.dropped.get()), (1, 1));
    assert_eq!(queue.pull().unwrap().rows(), 1);
}

#[test]
fn a_request_whose_deadline_passed_never_reaches_a_batch() {
    let (queue, metrics) = queue("");
    let mut late = request(&[1]);
    late.deadline = Some(Instant::now());
    let late = queue.push(late).unwrap();
    let _fresh = queue.push(request(&[2])).unwrap();
    let batch = queue.pull().unwrap();
    assert_eq!(batch.pieces.len(), 1);
    assert_eq!(batch.pieces[0].content.inputs[0].to_i64s(), Some(vec![2]));
    assert_eq!(wait(late).unwrap_err().kind, ErrorKind::DeadlineExceeded);
    assert_eq!((metrics.queue.depth.get(), metrics.queue.dropped.get()), (0, 1));
}

#[test]
fn mixed_lengths_are_grouped_and_the_oldest_goes_first() {
    let (queue, _) = queue("");
    let long = vec![1; 100];
    let _waiting: Vec<_> = [&long[..10], &long, &long[..12], &long[..90], &long[..11]].map(|row| queue.push(request(row)).unwrap()).into();
    let lengths = |batch: super::Batch| batch.pieces.iter().map(|piece| piece.content.length).collect::<Vec<_>>();
    assert_eq!(lengths(queue.pull().unwrap()), [10, 12, 11]);
    assert_eq!(lengths(queue.pull().unwrap()), [100, 90]);
    assert_eq!(queue.depth(), 0);
}

#[test]
fn a_request_larger_than_a_batch_is_cut_and_its_slot_is_held_until_the_last_part() {
    let (queue, metrics) = queue("[batching]\nmax_batch = 2");
    let mut submission = request(&[1]);
    submission.parts = vec![part(5, &[1, 2, 3, 4, 5])];
    let _pending = queue.push(submission).unwrap();
    let mut seen = Vec::new();
    for depth in [1, 1, 0] {
        let batch = queue.pull().unwrap();
        seen.push((batch.pieces[0].first_row, batch.pieces[0].content.inputs[0].to_i64s().unwrap()));
        assert_eq!(metrics.queue.depth.get(), depth);
    }
    assert_eq!(seen, [(0, vec![1, 2]), (2, vec![3, 4]), (4, vec![5])]);
}

#[test]
fn a_closed_queue_refuses_what_waits_and_what_comes_and_sends_executors_home() {
    let (queue, _) = queue("");
    let waiting = queue.push(request(&[1])).unwrap();
    queue.close(&ApiError::new(ErrorKind::Unavailable, "going"));
    assert_eq!(wait(waiting).unwrap_err().message, "going");
    assert_eq!(queue.push(request(&[1])).unwrap_err().message, "going");
    assert!(queue.pull().is_none());
}

#[test]
fn an_executor_that_waits_is_woken_by_a_request_and_by_the_end() {
    let (queue, _) = queue("");
    let executor = {
        let queue = Arc::clone(&queue);
        std::thread::spawn(move || std::iter::from_fn(|| queue.pull()).map(|batch| batch.rows()).sum::<usize>())
    };
    let _pending = queue.push(request(&[1])).unwrap();
    until("the request leaves the queue", || queue.depth() == 0);
    queue.close(&ApiError::new(ErrorKind::Unavailable, "going"));
    assert_eq!(executor.join().unwrap(), 1);
}

#[test]
fn a_batch_that_waits_for_company_runs_when_it_is_full() {
    let (queue, _) = queue("[batching]\nmax_batch = 2\nmax_queue_delay = '1s'");
    let started = Instant::now();
    let executor = {
        let queue = Arc::clone(&queue);
        std::thread::spawn(move || queue.pull().map(|batch| batch.rows()))
    };
    let _waiting = [queue.push(request(&[1])).unwrap(), queue.push(request(&[2])).unwrap()];
    assert_eq!(executor.join().unwrap(), Some(2));
    assert!(started.elapsed() < Duration::from_millis(900), "it did not wait for the delay to end");
}
