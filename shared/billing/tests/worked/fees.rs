//! Fees, seats, trials, minimums, and what happens to them in mid-period.

use torchmesh_billing::{Anchor, Change, Usage, When};

use crate::desk::{Desk, at, eur, lines, said, start, to};

#[test]
fn a_subscription_costs_its_fee_and_what_it_does_not_include() {
    // 300 of 450 images are included; 150 × 0.01 = 1.50.
    let invoice = Desk::on("basic", "2026-01-01").items("2026-01-05", 450).invoice("2026-01-01");
    assert_eq!(lines(&invoice), said(&[(1, "30.00"), (300, "0.00"), (150, "1.50")]));
    assert_eq!(invoice.due, eur("31.50"));
}

#[test]
fn who_comes_in_mid_period_pays_for_the_rest_and_gets_as_much_of_what_is_included() {
    // From 16 June 00:00: 15 of 30 days. 30.00 ÷ 2 = 15.00, and 150 images are included.
    let invoice = Desk::on("basic", "2026-06-16").items("2026-06-20", 160).invoice("2026-06-01");
    assert_eq!(lines(&invoice), said(&[(1, "15.00"), (150, "0.00"), (10, "0.10")]));
}

#[test]
fn another_plan_in_mid_period_is_prorated_by_the_second() {
    // June has 2,592,000 s. basic for 10 days: 30.00 × 864,000 ÷ 2,592,000 = 10.00; pro for 20 days: 60.00.
    let desk = Desk::on("basic", "2026-06-01").change("2026-06-11", to("pro", When::Now));
    assert_eq!(lines(&desk.invoice("2026-06-01")), said(&[(1, "10.00"), (1, "60.00")]));
    // An hour later: basic 30.00 × 867,600 ÷ 2,592,000 = 10.0416…; pro 90.00 × 1,724,400 ÷ 2,592,000 = 59.875. Of 90.00 the parts are 30.125 and 59.875; both
    // lose half a cent, so the first (which is not charged) gets it: 59.87.
    let desk = Desk::on("basic", "2026-06-01").change("2026-06-11T01:00:00Z", to("pro", When::Now));
    assert_eq!(lines(&desk.invoice("2026-06-01")), said(&[(1, "10.04"), (1, "59.87")]));
}

#[test]
fn use_is_charged_by_the_plan_that_held_when_it_ended() {
    // basic for 10 of 30 days includes 100 images, of which 40 are used; what is left does not go over. Later 10 images at pro: 0.10.
    let desk = Desk::on("basic", "2026-06-01").change("2026-06-11", to("pro", When::Now));
    let invoice = desk.items("2026-06-10T23:59:59.999Z", 40).items("2026-06-11", 10).invoice("2026-06-01");
    assert_eq!(lines(&invoice), said(&[(1, "10.00"), (1, "60.00"), (40, "0.00"), (10, "0.10")]));
}

#[test]
fn a_change_at_the_periods_end_changes_nothing_before() {
    let desk = Desk::on("basic", "2026-06-01").change("2026-06-11", to("pro", When::PeriodEnd));
    assert_eq!(desk.invoice("2026-06-01").due, eur("30.00"));
    assert_eq!(desk.invoice("2026-07-01").due, eur("90.00"));
}

#[test]
fn who_cancels_pays_until_then_and_after_that_nothing() {
    let now = Desk::on("basic", "2026-06-01").change("2026-06-11", Change::Cancel { when: When::Now });
    assert_eq!((now.invoice("2026-06-01").due, now.invoice("2026-07-01").due), (eur("10.00"), eur("0.00")));
    let end = Desk::on("basic", "2026-06-01").change("2026-06-11", Change::Cancel { when: When::PeriodEnd });
    assert_eq!((end.invoice("2026-06-01").due, end.invoice("2026-07-01").due), (eur("30.00"), eur("0.00")));
    assert_eq!(end.invoice("2026-07-01").entry().unwrap(), None);
}

#[test]
fn a_call_that_ends_after_the_subscription_is_charged_by_the_plan_that_ended() {
    let desk =
        Desk::on("basic", "2026-06-01").change("2026-06-30T23:00:00Z", Change::Cancel { when: When::Now }).items("2026-07-01T00:00:01Z", 7);
    assert_eq!(lines(&desk.invoice("2026-07-01")), said(&[(7, "0.07")]));
}

#[test]
fn seats_are_charged_as_long_as_they_were_there_and_their_units_go_into_one_pot() {
    // 2 seats for 10 of 30 days: 20.00 ÷ 3 = 6.666… → 6.67 (the split of 20.00 by 10:20 is 6.67 and 13.33); 5 seats for 20 days: 50.00 × 2 ÷ 3 = 33.33 (split
    // 16.67 and 33.33). Images: 600 ÷ 3 = 200, and 1500 × 2 ÷ 3 = 1000: 1200 together; 1210 used, 10 × 0.01.
    let desk = Desk::sold(crate::desk::SOLD).change("2026-06-01", start("team", 2)).change("2026-06-11", Change::Seats { seats: 5 });
    let invoice = desk.items("2026-06-02", 1210).invoice("2026-06-01");
    assert_eq!(lines(&invoice), said(&[(2, "6.67"), (5, "33.33"), (1200, "0.00"), (10, "0.10")]));
}

#[test]
fn the_parts_of_a_fee_that_is_cut_often_are_the_fee() {
    // Changes of seats cut June into 7, 11 and 12 of 30 days: 7.00, 11.00 and 12.00; and January into 7, 11 and 13 of 31: 677.41…, 1064.51… and 1258.06… cents,
    // rounded down 29.99 together; the cent that is left goes to the second, which lost the most.
    let cut = |month: &str| {
        let desk = Desk::on("basic", &format!("2026-{month}-01")).change(&format!("2026-{month}-08"), Change::Seats { seats: 2 });
        let desk = desk.change(&format!("2026-{month}-19"), Change::Seats { seats: 3 });
        desk.invoice(&format!("2026-{month}-01")).lines.iter().map(|line| line.amount.number()).collect::<Vec<_>>()
    };
    assert_eq!(cut("06"), ["7.00", "11.00", "12.00"]);
    assert_eq!(cut("01"), ["6.77", "10.65", "12.58"]);
}

#[test]
fn a_trial_costs_no_fee_and_use_beyond_what_is_included_is_charged() {
    // Until 11 June: 20 of 30 days are charged, 30.00 × 2 ÷ 3 = 20.00. All 300 images are included.
    let trial = Change::Start { plan: "basic".into(), seats: 1, trial_until: Some(at("2026-06-11")) };
    let invoice = Desk::sold(crate::desk::SOLD).change("2026-06-01", trial).items("2026-06-02", 301).invoice("2026-06-01");
    assert_eq!(lines(&invoice), said(&[(1, "0.00"), (1, "20.00"), (300, "0.00"), (1, "0.01")]));
}

#[test]
fn a_minimum_is_filled_up_and_prorated() {
    // 10.00 for the whole of June; 250 × 0.01 = 2.50 were used, 7.50 are missing. From 16 June on it is 5.00, and 2.50 are missing.
    let invoice = Desk::on("least", "2026-06-01").items("2026-06-20", 250).invoice("2026-06-01");
    assert_eq!(lines(&invoice), said(&[(250, "2.50"), (1, "7.50")]));
    let invoice = Desk::on("least", "2026-06-16").items("2026-06-20", 250).invoice("2026-06-01");
    assert_eq!(lines(&invoice), said(&[(250, "2.50"), (1, "2.50")]));
    let invoice = Desk::on("least", "2026-06-01").items("2026-06-20", 1000).invoice("2026-06-01");
    assert_eq!(lines(&invoice), said(&[(1000, "10.00")]));
}

#[test]
fn a_trial_leaves_the_minimum_out() {
    // Charged from 16 June on: 15 of 30 days of 10.00 are 5.00; 250 × 0.01 = 2.50 were used.
    let trial = Change::Start { plan: "least".into(), seats: 1, trial_until: Some(at("2026-06-16")) };
    let invoice = Desk::sold(crate::desk::SOLD).change("2026-06-01", trial).items("2026-06-02", 250).invoice("2026-06-01");
    assert_eq!(lines(&invoice), said(&[(250, "2.50"), (1, "2.50")]));
}

#[test]
fn a_free_plan_charges_nothing_or_what_is_beyond() {
    let invoice = Desk::on("free", "2026-06-01").items("2026-06-20", 130).invoice("2026-06-01");
    assert_eq!(lines(&invoice), said(&[(100, "0.00"), (30, "0.00")]));
    let invoice = Desk::on("free-then-charged", "2026-06-01").items("2026-06-20", 130).invoice("2026-06-01");
    assert_eq!(lines(&invoice), said(&[(100, "0.00"), (30, "0.30")]));
}

#[test]
fn a_plan_that_stops_gives_away_only_what_its_free_units_are_for() {
    // 100 items of `image` are free, and 30 more are not charged; 1,000,000 tokens of `text` × 0.50 and 100 calls of a partner's × 0.03 are charged.
    let sold = crate::desk::SOLD.replace("free = [{ units = [\"items\"],", "free = [{ units = [\"items\"], model = \"image\",");
    let tokens = Usage { prompt_tokens: 1_000_000, ..Usage::default() };
    let desk = Desk::sold(&sold).change("2026-06-01", crate::desk::start("free", 1)).items("2026-06-20", 130);
    let desk = desk.used("2026-06-20", "text", tokens).used("2026-06-20", "labs-7b", Usage { calls: 100, ..Usage::default() });
    let invoice = desk.invoice("2026-06-01");
    assert_eq!(lines(&invoice), said(&[(100, "0.00"), (30, "0.00"), (100, "3.00"), (1_000_000, "0.50")]));
    assert_eq!(invoice.lines[2].partner.as_ref().map(|cut| cut.payable), Some(eur("2.55")));
}

#[test]
fn what_is_included_covers_the_dearest_first() {
    // pro includes 3,000,000 tokens: 2,000,000 completion tokens at 1.50 first, then 1,000,000 of 4,000,000 prompt tokens; 3 × 0.50 are left.
    let tokens = Usage { prompt_tokens: 4_000_000, completion_tokens: 2_000_000, ..Usage::default() };
    let invoice = Desk::on("pro", "2026-06-01").used("2026-06-02", "text", tokens).invoice("2026-06-01");
    assert_eq!(lines(&invoice), said(&[(1, "90.00"), (1_000_000, "0.00"), (3_000_000, "1.50"), (2_000_000, "0.00")]));
}

#[test]
fn a_period_from_the_day_of_sign_up_costs_the_whole_fee() {
    // From 31 January 10:00 to 28 February 10:00.
    let mut desk = Desk::on("basic", "2026-01-31T10:00:00Z");
    desk.anchor = Anchor::From(at("2026-01-31T10:00:00Z"));
    let first = desk.invoice("2026-01-31T10:00:00Z");
    assert_eq!((first.due, first.period.end), (eur("30.00"), at("2026-02-28T10:00:00Z")));
    assert_eq!(desk.invoice("2026-03-01").period.end, at("2026-03-31T10:00:00Z"));
}
