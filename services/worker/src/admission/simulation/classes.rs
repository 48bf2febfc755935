//! One class beside the others.

use super::*;

const HIGH: FlowKey = (Priority::High, Tenant::numbered(1));
const LOW: FlowKey = (Priority::Low, Tenant::numbered(1));

/// A forward of an engine that gains a little by every further row.
fn gains_by_rows(work: Work) -> f64 {
    5e-3 + 2.5e-4 * work.rows as f64 * work.longest as f64
}

/// Requests of 32 tokens at so many times what one executor of that engine can do.
fn of_gaining(flow: FlowKey, load: f64) -> Stream {
    Stream { flow, rate: load * 32.0 / gains_by_rows(Work::of(32, 32)), length: 32, deadline: Duration::from_millis(500) }
}

#[test]
fn the_high_class_hardly_notices_an_overload_of_the_others() {
    let high = (Priority::High, Tenant::numbered(1));
    let outcomes = run(1, &[stream(A, 2.8), stream(high, 0.2)], LENGTH);
    let served = outcomes[&high].good as f64 / outcomes[&high].offered as f64;
    assert!(served >= 0.98, "{served} of the high class were answered in time");
    // The batch that runs, and its own.
    let bound = Duration::from_secs_f64(2.5 * truth(Work::of(8, 32)));
    assert!(quantile(&outcomes[&high], 0.95) <= bound, "{:?}", quantile(&outcomes[&high], 0.95));
    assert!(quantile(&outcomes[&A], 0.5) > bound, "the others wait longer");
}

#[test]
fn the_low_class_never_stands_still() {
    let low = (Priority::Low, Tenant::numbered(1));
    let patient = Stream { deadline: Duration::from_secs(2), ..stream(low, 0.5) };
    let outcomes = run(1, &[stream((Priority::High, Tenant::numbered(2)), 3.0), stream(A, 3.0), patient], LENGTH);
    let share = outcomes[&low].good as f64 / good(&outcomes) as f64;
    assert!((0.03..0.1).contains(&share), "{share}");
}

#[test]
fn the_high_class_does_not_wait_for_a_long_batch_of_the_low_one() {
    let [alone, beside] = [&[of_gaining(HIGH, 0.2)][..], &[of_gaining(HIGH, 0.2), of_gaining(LOW, 3.0)]]
        .map(|streams| run_on(gains_by_rows, 1, streams, LENGTH));
    let [alone_p99, p99] = [&alone, &beside].map(|outcomes| quantile(&outcomes[&HIGH], 0.99));
    assert!(p99 <= alone_p99 + Duration::from_secs_f64(2.0 * gains_by_rows(Work::of(4, 32))), "{p99:?} beside, {alone_p99:?} alone");
    let whole = run_on(gains_by_rows, 1, &[of_gaining(LOW, 3.2)], LENGTH);
    let share = good(&beside) as f64 / good(&whole) as f64;
    assert!(share >= 0.85, "{share} of what the low class alone gets through");
}

#[test]
fn batches_are_short_while_a_more_urgent_class_was_seen_and_whole_again_later() {
    let mut state = State::new(batching(), 1);
    let start = Instant::now();
    for rows in [1, 2, 4, 8, 16, 32].repeat(3) {
        state.learn(Work::of(rows, 32), gains_by_rows(Work::of(rows, 32)), start);
    }
    let mut rows_of_next = |now: Instant, flows: &[FlowKey]| {
        for flow in flows {
            state.push(&Arc::new(Ticket::new(1, 1, now, None, *flow, Span::none())), vec![part(1, &[1; 32])]);
        }
        let Next::Run(batch) = state.next(now) else { panic!("nothing waits for company here") };
        state.remove(None, |_| true);
        batch.rows()
    };
    let whole = rows_of_next(start, &[LOW; 40]);
    let short = rows_of_next(start, &[&[HIGH][..], &[LOW; 40]].concat());
    assert!(short <= 4 && whole >= 16, "{short} and {whole}");
    let soon = start + Duration::from_secs(9);
    assert_eq!(rows_of_next(soon, &[LOW; 40]), short, "it may come again");
    assert_eq!(rows_of_next(soon, &[HIGH; 40]), whole, "those who are urgent do not wait for each other's sake");
    assert_eq!(rows_of_next(soon + Duration::from_secs(11), &[LOW; 40]), whole);
}
