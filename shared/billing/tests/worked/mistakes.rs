//! What is refused.

use torchmesh_billing::{BillingError, Change, Period, Rollup, Usage};

use crate::desk::{Desk, at};

fn items(items: u64) -> Usage {
    Usage { items, ..Usage::default() }
}

#[test]
fn a_model_without_a_price_is_an_error_and_no_gift() {
    let desk = Desk::on("payg", "2026-06-01").used("2026-06-02", "unheard-of", items(1));
    assert!(matches!(desk.try_invoice("2026-06-01"), Err(BillingError::NoPrice { model, .. }) if model == "unheard-of"));
    let nothing = Desk::on("payg", "2026-06-01").used("2026-06-02", "unheard-of", items(0));
    assert!(nothing.invoice("2026-06-01").lines.is_empty());
}

#[test]
fn use_before_the_subscription_is_an_error() {
    let desk = Desk::on("payg", "2026-06-10").used("2026-06-02", "image", items(1));
    assert_eq!(desk.try_invoice("2026-06-01"), Err(BillingError::UseBeforeStart(at("2026-06-02"))));
}

#[test]
fn rollups_that_contradict_themselves_are_refused() {
    let mut desk = Desk::on("payg", "2026-06-01");
    let cached = Usage { prompt_tokens: 1, cached_tokens: 2, ..Usage::default() };
    for (from, to, usage) in
        [("2026-06-03", "2026-06-02", items(1)), ("2026-06-03", "2026-06-03", items(1)), ("2026-06-02", "2026-06-03", cached)]
    {
        desk.usage = vec![Rollup { from: at(from), to: at(to), model: "image".into(), usage, batch: false }];
        assert_eq!(desk.try_invoice("2026-06-01"), Err(BillingError::BadRollup(at(from))));
    }
    for (from, to) in [("2026-05-31", "2026-06-02"), ("2026-06-30", "2026-07-02")] {
        desk.usage = vec![Rollup { from: at(from), to: at(to), model: "image".into(), usage: items(1), batch: false }];
        assert!(matches!(desk.try_invoice("2026-06-01"), Err(BillingError::RollupSpans { .. })));
    }
}

#[test]
fn plans_and_coupons_that_are_not_there_are_named() {
    let unknown = |what, id: &str| Err(BillingError::Unknown { what, id: id.to_owned() });
    assert_eq!(Desk::on("gold", "2026-06-01").try_invoice("2026-06-01"), unknown("plan", "gold"));
    assert_eq!(Desk::on("payg", "2026-06-01").coupon("2026-06-01", "NONE").try_invoice("2026-06-01"), unknown("coupon", "NONE"));
}

#[test]
fn another_currency_is_an_error() {
    let mut desk = Desk::on("basic", "2026-06-01");
    desk.tenant.currency = "USD".parse().unwrap();
    assert!(matches!(desk.try_invoice("2026-06-01"), Err(BillingError::Currencies { .. })));
}

#[test]
fn quantities_and_periods_beyond_reason_are_errors() {
    let desk = Desk::on("payg", "2026-06-01").used("2026-06-02", "image", items(u64::MAX)).used("2026-06-03", "image", items(1));
    assert_eq!(desk.try_invoice("2026-06-01"), Err(BillingError::TooLarge));
    let seats = Desk::sold(crate::desk::SOLD)
        .change("2026-06-01", crate::desk::start("team", u32::MAX))
        .change("2026-06-02", Change::Seats { seats: 1 });
    assert!(seats.try_invoice("2026-06-01").is_ok());
    let subscription = desk.subscription();
    let none = Period { start: at("2026-06-02"), end: at("2026-06-01") };
    assert_eq!(subscription.stretches(&none), Err(BillingError::EmptyPeriod));
}
