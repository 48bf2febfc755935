//! Coupons, tax and credits.

use torchmesh_billing::{Moment, Usage};

use crate::desk::{Desk, eur};

#[test]
fn shares_come_before_amounts_and_the_parts_of_the_lines_are_the_discount() {
    // 30.00 + 150 × 0.01 = 31.50. TENTH: 3.15; FIVE: 5.00; 8.15 by 3000:150 (the included line has nothing): 776.19 and 38.81 cents → 7.76 and 0.39.
    let desk = Desk::on("basic", "2026-06-01").coupon("2026-06-01", "FIVE").coupon("2026-06-02", "TENTH").items("2026-06-05", 450);
    let invoice = desk.invoice("2026-06-01");
    let off: Vec<_> = invoice.discounts.iter().map(|one| (one.coupon.as_str(), one.amount)).collect();
    assert_eq!(off, [("TENTH", eur("3.15")), ("FIVE", eur("5.00"))]);
    let parts: Vec<_> = invoice.lines.iter().map(|line| line.discount).collect();
    assert_eq!(parts, ["7.76", "0.00", "0.39"].map(eur));
    assert_eq!((invoice.subtotal, invoice.net), (eur("31.50"), eur("23.35")));
}

#[test]
fn a_coupon_holds_for_its_first_periods_and_not_beyond_its_end() {
    let desk = Desk::on("basic", "2026-05-01").coupon("2026-05-10", "FIVE").coupon("2026-05-10", "OVER");
    // May: 30.00 − 15.00 − 5.00; June: OVER has expired; July: FIVE had its two periods.
    let due = ["2026-05-01", "2026-06-01", "2026-07-01"].map(|month| desk.invoice(month).due);
    assert_eq!(due, ["10.00", "25.00", "30.00"].map(eur));
}

#[test]
fn a_coupon_never_makes_an_invoice_less_than_nothing() {
    let desk = Desk::on("payg", "2026-06-01").coupon("2026-06-01", "FIVE").items("2026-06-02", 100);
    let invoice = desk.taxed("19%").invoice("2026-06-01");
    assert_eq!((invoice.subtotal, invoice.net, invoice.tax, invoice.due), (eur("1.00"), eur("0.00"), eur("0.00"), eur("0.00")));
}

#[test]
fn tax_is_rounded_on_each_line() {
    // 5 images are 0.05, × 10% = 0.005 → 0.00; 100,000 prompt tokens are 0.05 → 0.00; on the sum it would be 0.01. 50% of them: 0.025 → 0.02 each.
    let used = Usage { prompt_tokens: 100_000, ..Usage::default() };
    let desk = Desk::on("payg", "2026-06-01").items("2026-06-02", 5).used("2026-06-02", "text", used);
    assert_eq!(desk.taxed("10%").invoice("2026-06-01").tax, eur("0.00"));
    let desk = Desk::on("payg", "2026-06-01").items("2026-06-02", 5).used("2026-06-02", "text", used);
    assert_eq!(desk.taxed("50%").invoice("2026-06-01").tax, eur("0.04"));
}

#[test]
fn credits_pay_the_total_and_those_first_that_expire_first() {
    // 30.00 + 19% = 35.70 a month. June: "soon" pays 10.00, "lasting" 20.00 and 5.70 are due.
    let mut desk =
        Desk::on("basic", "2026-05-01").taxed("19%").credit("lasting", "20.00", None).credit("soon", "10.00", Some("2026-06-20"));
    let june = desk.issue("2026-06-01");
    let used: Vec<_> = june.credits.iter().map(|used| (used.grant.as_str(), used.amount)).collect();
    assert_eq!(used, [("soon", eur("10.00")), ("lasting", eur("20.00"))]);
    assert_eq!((june.total, june.due), (eur("35.70"), eur("5.70")));
    let july = desk.invoice("2026-07-01");
    assert_eq!((july.credits.len(), july.due), (0, eur("35.70")));
}

#[test]
fn what_a_credit_has_left_pays_the_next_invoice() {
    let mut desk = Desk::on("basic", "2026-06-01").credit("c", "45.00", None);
    assert_eq!(desk.issue("2026-06-01").due, eur("0.00"));
    let july = desk.issue("2026-07-01");
    assert_eq!((july.credits[0].amount, july.due), (eur("15.00"), eur("15.00")));
    let left = desk.ledger.balance(&desk.grants[0].account(), eur("0").currency(), Moment::LAST).unwrap();
    assert!(left.is_zero());
}

#[test]
fn a_credit_that_has_expired_pays_for_no_later_period() {
    let desk = Desk::on("basic", "2026-06-01").credit("c", "45.00", Some("2026-07-01"));
    assert_eq!(desk.invoice("2026-06-01").due, eur("0.00"));
    assert_eq!(desk.invoice("2026-07-01").due, eur("30.00"));
}
