use super::*;

fn at(text: &str) -> Moment {
    text.parse().unwrap()
}

fn event(id: &str, when: &str, change: Change) -> SubscriptionEvent {
    SubscriptionEvent { id: id.into(), at: at(when), change }
}

fn start(plan: &str, when: &str) -> SubscriptionEvent {
    event("start", when, Change::Start { plan: plan.into(), seats: 2, trial_until: None })
}

fn said(subscription: &Subscription, month: &str) -> Vec<String> {
    let period = subscription.anchor().period(at(month)).unwrap();
    let stretches = subscription.stretches(&period).unwrap();
    let plan = |stretch: &Stretch| stretch.state.as_ref().map_or("-".to_owned(), |state| format!("{}×{}", state.plan, state.seats));
    stretches
        .iter()
        .map(|stretch| format!("{} {}{}", stretch.time.start.date(), plan(stretch), if stretch.trial { " trial" } else { "" }))
        .collect()
}

#[test]
fn the_last_plan_is_known_after_the_end() {
    let events = [start("basic", "2026-01-11"), event("b", "2026-01-21", Change::Cancel { when: When::Now })];
    let subscription = Subscription::new(Anchor::Calendar, events).unwrap();
    let last = |when| subscription.last_plan(at(when)).unwrap();
    assert_eq!((last("2026-01-11"), last("2026-01-12"), last("2026-06-01")), (None, Some("basic".into()), Some("basic".into())));
}

#[test]
fn a_period_is_cut_where_something_changes() {
    let events = [
        start("basic", "2026-01-11"),
        event("b", "2026-01-21", Change::Plan { plan: "pro".into(), when: When::Now }),
        event("c", "2026-01-25", Change::Seats { seats: 5 }),
        event("d", "2026-02-03", Change::Cancel { when: When::PeriodEnd }),
    ];
    let subscription = Subscription::new(Anchor::Calendar, events).unwrap();
    assert_eq!(said(&subscription, "2026-01-01"), ["2026-01-01 -", "2026-01-11 basic×2", "2026-01-21 pro×2", "2026-01-25 pro×5"]);
    assert_eq!(said(&subscription, "2026-02-01"), ["2026-02-01 pro×5"]);
    assert_eq!(said(&subscription, "2026-03-01"), ["2026-03-01 -"]);
    assert_eq!(subscription.state(at("2026-02-28T23:59:59Z")).unwrap().unwrap().plan, "pro");
    assert_eq!(subscription.state(at("2026-03-01")).unwrap(), None);
}

#[test]
fn a_trial_ends_at_its_instant() {
    let change = Change::Start { plan: "pro".into(), seats: 1, trial_until: Some(at("2026-01-15")) };
    let subscription = Subscription::new(Anchor::Calendar, [event("a", "2026-01-01", change)]).unwrap();
    assert_eq!(said(&subscription, "2026-01-01"), ["2026-01-01 pro×1 trial", "2026-01-15 pro×1"]);
}

#[test]
fn the_order_in_which_changes_are_told_does_not_matter_nor_does_how_often() {
    let events = [
        start("basic", "2026-01-01"),
        event("b", "2026-01-05", Change::Seats { seats: 3 }),
        event("a", "2026-01-05", Change::Seats { seats: 4 }),
    ];
    let one = Subscription::new(Anchor::Calendar, events.clone()).unwrap();
    let other = Subscription::new(Anchor::Calendar, events.iter().rev().chain(&events).cloned()).unwrap();
    assert_eq!(one, other);
    assert_eq!(one.state(at("2026-01-06")).unwrap().unwrap().seats, 3);
}

#[test]
fn the_last_word_counts_about_what_happens_at_the_periods_end() {
    let asked = |changes: &[(&str, Change)]| {
        let events = changes.iter().enumerate().map(|(at, (when, change))| event(&format!("x{at}"), when, change.clone()));
        let subscription = Subscription::new(Anchor::Calendar, [start("basic", "2026-01-01")].into_iter().chain(events)).unwrap();
        subscription.state(at("2026-02-01")).unwrap().map(|state| state.plan)
    };
    let cancel = |when| Change::Cancel { when };
    let pro = |when| Change::Plan { plan: "pro".into(), when };
    assert_eq!(asked(&[("2026-01-05", cancel(When::PeriodEnd))]), None);
    assert_eq!(asked(&[("2026-01-05", cancel(When::PeriodEnd)), ("2026-01-06", Change::Keep)]).unwrap(), "basic");
    assert_eq!(asked(&[("2026-01-05", cancel(When::PeriodEnd)), ("2026-01-06", pro(When::PeriodEnd))]).unwrap(), "pro");
    assert_eq!(asked(&[("2026-01-05", pro(When::PeriodEnd)), ("2026-01-06", cancel(When::Now))]), None);
    assert_eq!(asked(&[("2026-01-05", pro(When::PeriodEnd)), ("2026-01-06", Change::Seats { seats: 9 })]).unwrap(), "pro");
    assert_eq!(
        asked(&[
            ("2026-01-05", cancel(When::PeriodEnd)),
            ("2026-02-01", Change::Start { plan: "pro".into(), seats: 1, trial_until: None })
        ])
        .unwrap(),
        "pro"
    );
}

#[test]
fn changes_that_cannot_be_are_refused() {
    let seats = event("s", "2026-01-05", Change::Seats { seats: 3 });
    assert!(Subscription::new(Anchor::Calendar, [seats.clone()]).is_err());
    let subscription = Subscription::new(Anchor::Calendar, [start("basic", "2026-01-01"), seats]).unwrap();
    assert!(subscription.with(event("again", "2026-01-06", Change::Start { plan: "pro".into(), seats: 1, trial_until: None })).is_err());
    assert!(subscription.with(event("s", "2026-01-07", Change::Seats { seats: 3 })).is_err());
    assert!(subscription.with(event("t", "2026-01-07", Change::Seats { seats: 4 })).is_ok());
}
