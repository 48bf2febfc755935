use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use tracing::Span;

use super::*;
use crate::testing::part;

const A: Tenant = Tenant::numbered(1);
const B: Tenant = Tenant::numbered(2);

/// A queue of made-up requests of one row each, which are told apart by their number.
struct Waiting {
    flows: Flows,
    now: Instant,
}

impl Waiting {
    fn new() -> Self {
        Self { flows: Flows::default(), now: Instant::now() }
    }

    fn add(&mut self, number: i64, key: FlowKey, cost: u64, deadline: Option<Duration>) {
        let deadline = deadline.map(|after| self.now + after);
        let ticket = Arc::new(Ticket::new(1, 1, self.now, deadline, key, Span::none()));
        self.flows.push(key, std::iter::once((Piece { ticket, part: 0, first_row: 0, content: part(1, &[number]) }, cost)));
    }

    #[expect(clippy::unnecessary_wraps, reason = "as `order` takes it")]
    fn urgency(&self, before: Duration, credit: u64) -> Option<Urgency> {
        Some(Urgency { before: self.now + before, credit })
    }

    /// The numbers of all that waits, in the order of service.
    fn order(&self, urgency: Option<Urgency>) -> Vec<i64> {
        self.flows.order(urgency).map(|(_, piece)| number(piece)).collect()
    }

    /// Takes the first `count` in the order of service.
    fn take(&mut self, count: usize) -> Vec<i64> {
        let mut picks: Vec<_> = self.flows.order(None).take(count).map(|(place, piece)| (place, piece.content.rows)).collect();
        picks.sort_unstable();
        self.flows.take(&picks).iter().map(number).collect()
    }
}

fn number(piece: &Piece) -> i64 {
    piece.content.inputs[0].to_i64s().unwrap()[0]
}

#[test]
fn tenants_take_turns_by_what_their_rows_cost_and_not_by_their_number() {
    let mut waiting = Waiting::new();
    for at in 0..3 {
        waiting.add(at, (Priority::Normal, A), 40, None);
    }
    for at in 0..8 {
        waiting.add(10 + at, (Priority::Normal, B), 10, None);
    }
    assert_eq!(waiting.order(None), [0, 10, 11, 12, 13, 1, 14, 15, 16, 17, 2]);
}

#[test]
fn a_tenant_that_comes_late_is_served_next_and_has_saved_nothing_up() {
    let mut waiting = Waiting::new();
    for at in 0..100 {
        waiting.add(at, (Priority::Normal, A), 10, None);
    }
    waiting.take(50);
    for at in 0..3 {
        waiting.add(1000 + at, (Priority::Normal, B), 10, None);
    }
    let order = waiting.order(None);
    assert!(order.iter().position(|number| *number == 1000) <= Some(1), "{order:?}");
    assert_eq!(order[..6].iter().filter(|number| **number >= 1000).count(), 3, "half of the next six: {order:?}");
}

#[test]
fn a_tenant_that_asks_for_much_at_a_time_does_not_come_first_every_time() {
    let mut waiting = Waiting::new();
    for at in 0..50 {
        waiting.add(at, (Priority::Normal, B), 10, None);
    }
    let mut served = Vec::new();
    for at in 0..20 {
        // Its next request is there as soon as the one before was taken.
        if !served.contains(&(1000 + at - 1)) && at > 0 {
            served.extend(waiting.take(1));
            continue;
        }
        waiting.add(1000 + at, (Priority::Normal, A), 100, None);
        served.extend(waiting.take(1));
    }
    let of_b = served.iter().filter(|number| **number < 1000).count();
    assert!(of_b >= 16, "{served:?}");
}

#[test]
fn classes_share_an_executor_sixteen_to_four_to_one() {
    let mut waiting = Waiting::new();
    for class in Priority::ALL {
        for at in 0..210 {
            waiting.add(at, (class, A), 10, None);
        }
    }
    let taken: Vec<_> = waiting.flows.order(None).take(210).map(|(place, _)| place.key.0).collect();
    let count = |class| taken.iter().filter(|other| **other == class).count();
    assert_eq!(Priority::ALL.map(count), [160, 40, 10]);
}

#[test]
fn within_a_flow_what_is_due_first_goes_first_and_what_names_no_deadline_is_not_left_behind() {
    let mut waiting = Waiting::new();
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for (number, deadline) in [(0, seconds(5)), (1, None), (2, seconds(1)), (3, seconds(60)), (4, seconds(5))] {
        waiting.add(number, (Priority::Normal, A), 10, deadline);
    }
    assert_eq!(waiting.order(None), [2, 0, 4, 1, 3]);
}

#[test]
fn an_urgent_request_goes_out_of_turn_but_only_so_far() {
    let mut waiting = Waiting::new();
    for at in 0..4 {
        waiting.add(at, (Priority::Normal, A), 10, None);
    }
    for at in 0..4 {
        waiting.add(10 + at, (Priority::Normal, B), 10, Some(Duration::from_millis(50)));
    }
    let soon = waiting.urgency(Duration::from_millis(100), 20);
    assert_eq!(waiting.order(soon), [10, 11, 0, 12, 1, 13, 2, 3], "two of them ahead, then turn by turn");
    let not_yet = waiting.urgency(Duration::from_millis(20), 20);
    assert_eq!(waiting.order(not_yet)[0], 0);
}

#[test]
fn what_comes_before_a_request_is_its_own_flow_and_as_much_of_the_others() {
    let mut waiting = Waiting::new();
    for at in 0..3 {
        waiting.add(at, (Priority::Normal, A), 10, None);
    }
    for at in 0..100 {
        waiting.add(at, (Priority::Normal, B), 10, None);
        waiting.add(at, (Priority::Low, B), 10, None);
    }
    let due = waiting.now + Duration::from_secs(60);
    let ahead = |class, tenant| waiting.flows.ahead((class, tenant), due, 10);
    assert_eq!(ahead(Priority::Normal, A), 30 + 40 + 20, "three of its own, four of the other tenant, a quarter as much of the low class");
    assert_eq!(ahead(Priority::Normal, Tenant::numbered(3)), 10 + 10 + 7, "a new tenant's turn comes soon");
    assert_eq!(ahead(Priority::High, A), 2, "and a high one is next, but for what the other classes get of that time");
    let sooner = waiting.flows.ahead((Priority::Normal, A), waiting.now, 10);
    assert_eq!(sooner, 10 + 5, "nothing of its own flow is due before it");
}

#[test]
fn nothing_is_owed_once_nobody_waits() {
    let mut waiting = Waiting::new();
    waiting.add(0, (Priority::Normal, A), 1_000_000, None);
    assert_eq!(waiting.take(1), [0]);
    waiting.flows.forgive();
    waiting.add(1, (Priority::Normal, A), 10, None);
    waiting.add(2, (Priority::Normal, B), 10, None);
    assert_eq!(waiting.order(None), [1, 2]);
}

#[derive(Clone, Debug)]
enum Step {
    Add { tenant: u64, class: usize, cost: u64, due: Option<u64> },
    Take(usize),
    Leave(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let add = (0_u64..4, 0_usize..3, 1_u64..1000, prop::option::of(0_u64..100)).prop_map(|(tenant, class, cost, due)| Step::Add {
        tenant,
        class,
        cost,
        due,
    });
    prop::collection::vec(prop_oneof![4 => add, 2 => (1_usize..6).prop_map(Step::Take), 1 => (0_i64..60).prop_map(Step::Leave)], 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn everything_leaves_once_and_the_sums_are_of_what_is_there(steps in steps()) {
        let (mut waiting, mut present) = (Waiting::new(), Vec::new());
        for (number, step) in (0..).zip(steps) {
            match step {
                Step::Add { tenant, class, cost, due } => {
                    waiting.add(number, (Priority::ALL[class], Tenant::numbered(tenant)), cost, due.map(Duration::from_millis));
                    present.push(number);
                }
                Step::Take(count) => {
                    let next: Vec<_> = waiting.order(None).into_iter().take(count).collect();
                    let mut taken = waiting.take(count);
                    present.retain(|number| !taken.contains(number));
                    taken.sort_unstable();
                    let mut next = next;
                    next.sort_unstable();
                    prop_assert_eq!(taken, next);
                }
                Step::Leave(number) => {
                    let place = waiting.flows.order(None).find(|(_, piece)| super::tests::number(piece) == number).map(|(place, _)| place);
                    if let Some(place) = place {
                        let left = Arc::as_ptr(&waiting.flows.piece(place).ticket);
                        prop_assert_eq!(waiting.flows.remove(Some(place.key), |ticket| std::ptr::eq(ticket, left)).len(), 1);
                        present.retain(|other| *other != number);
                    }
                }
            }
            let mut order = waiting.order(None);
            order.sort_unstable();
            prop_assert_eq!(&order, &present);
            let cost: u64 = waiting.flows.by_key.values().flat_map(|flow| &flow.pieces).map(super::Waiting::whole).sum();
            prop_assert_eq!(waiting.flows.cost(), cost);
        }
    }

    /// However their requests differ in cost, tenants that always have something waiting differ by no more than their largest requests.
    #[test]
    fn tenants_that_wait_all_the_time_get_the_same_time(costs in prop::collection::vec(prop::collection::vec(1_u64..500, 1..20), 2..5), batch in 1_usize..16) {
        let mut waiting = Waiting::new();
        for (tenant, costs) in (0..).zip(&costs) {
            for (number, cost) in (0..).zip(costs.iter().cycle().take(600)) {
                waiting.add(number, (Priority::Normal, Tenant::numbered(tenant)), *cost, None);
            }
        }
        for _ in 0..200 / batch {
            waiting.take(batch);
        }
        let clocks: Vec<_> = waiting.flows.by_key.values().map(|flow| flow.clock).collect();
        let apart = clocks.iter().max().unwrap() - clocks.iter().min().unwrap();
        prop_assert!(apart <= *costs.iter().flatten().max().unwrap(), "{clocks:?}");
    }
}
