//! Tiers, versions and units.

use torchmesh_billing::{BillingError, Rollup, Usage, boundaries};

use crate::desk::{Desk, SOLD, at, lines, said};

#[test]
fn tiers_end_where_they_say() {
    // 1000 × 0.01 = 10.00; the 1001st is the first at 0.005, which is half a cent and rounds to the even 0.00; three of them are 0.015, which is 0.02.
    let of = |items| lines(&Desk::on("payg", "2026-06-01").items("2026-06-02", items).invoice("2026-06-01"));
    assert_eq!(of(1000), said(&[(1000, "10.00")]));
    assert_eq!(of(1001), said(&[(1000, "10.00"), (1, "0.00")]));
    assert_eq!(of(1003), said(&[(1000, "10.00"), (3, "0.02")]));
}

#[test]
fn a_volume_price_holds_for_all_units() {
    // 600,000 ms are 10 minutes at 0.06: 0.60. 600,001 ms are 10.00001… minutes at 0.03: 0.3000005, which is 0.30. Less than for fewer: so volume prices are.
    let of = |audio_ms| {
        let used = Usage { audio_ms, ..Usage::default() };
        lines(&Desk::on("payg", "2026-06-01").used("2026-06-02", "audio", used).invoice("2026-06-01"))
    };
    assert_eq!(of(600_000), said(&[(600_000, "0.60")]));
    assert_eq!(of(600_001), said(&[(600_001, "0.30")]));
}

#[test]
fn cached_tokens_are_prompt_tokens_where_they_have_no_price_of_their_own() {
    let used = Usage { prompt_tokens: 3_000_000, cached_tokens: 1_000_000, ..Usage::default() };
    // 3 × 0.50.
    let invoice = Desk::on("payg", "2026-06-01").used("2026-06-02", "text", used).invoice("2026-06-01");
    assert_eq!(lines(&invoice), said(&[(3_000_000, "1.50")]));
    // 2 × 0.50, and 1 × 0.10.
    let dearer = SOLD
        .replace("rate = [{ unit = \"prompt", "rate = [{ unit = \"cached_tokens\", per = 1_000_000, price = \"0.10\" }, { unit = \"prompt");
    let desk = Desk::sold(&dearer).change("2026-06-01", crate::desk::start("payg", 1));
    let invoice = desk.used("2026-06-02", "text", used).invoice("2026-06-01");
    assert_eq!(lines(&invoice), said(&[(2_000_000, "1.00"), (1_000_000, "0.10")]));
}

/// `SOLD`, with images at other prices from 16 June on.
fn changing() -> Desk {
    let more = r#"
        [[price]]
        id = "image-later"
        model = "image"
        from = "2026-06-16T12:00:00Z"
        rate = [{ unit = "items", mode = "graduated", tiers = [{ up_to = 1000, price = "0.02" }, { price = "0.01" }] }]
    "#;
    Desk::sold(&format!("{SOLD}{more}")).change("2026-06-01", crate::desk::start("payg", 1))
}

#[test]
fn an_event_has_the_price_of_its_instant_and_tiers_go_on_counting() {
    // 800 × 0.01 = 8.00 before. After: 200 are left of the first tier, × 0.02 = 4.00, and 100 × 0.01 = 1.00.
    let desk = changing().items("2026-06-16T11:59:59.999Z", 800).items("2026-06-16T12:00:00Z", 300);
    assert_eq!(lines(&desk.invoice("2026-06-01")), said(&[(800, "8.00"), (200, "4.00"), (100, "1.00")]));
}

#[test]
fn a_rollup_over_a_change_is_refused_and_the_boundaries_say_where_it_is_to_be_cut() {
    let mut desk = changing();
    let usage = Usage { items: 5, ..Usage::default() };
    let boundary = at("2026-06-16T12:00:00Z");
    desk.usage = vec![Rollup { from: boundary.earlier(1), to: at("2026-06-17"), model: "image".into(), usage, batch: false }];
    assert_eq!(desk.try_invoice("2026-06-01"), Err(BillingError::RollupSpans { from: boundary.earlier(1), boundary }));
    let found = boundaries(&desk.catalogue, &desk.subscription(), &desk.period("2026-06-01")).unwrap();
    assert_eq!(found, [at("2026-06-01"), boundary, at("2026-07-01")].into());
    desk.usage[0].from = boundary;
    assert_eq!(lines(&desk.invoice("2026-06-01")), said(&[(5, "0.10")]));
}

#[test]
fn how_use_is_gathered_does_not_matter() {
    let mut desk = changing();
    for hour in 0..48 {
        desk = desk.items(&format!("2026-06-1{}T{:02}:30:00Z", 5 + hour / 24, hour % 24), 31);
    }
    let apart = desk.invoice("2026-06-01").to_json().unwrap();
    // 36 of the hours are before noon of the 16th, 12 after.
    let sum = |items, from: &str, to: &str| Rollup {
        from: at(from),
        to: at(to),
        model: "image".into(),
        usage: Usage { items, ..Usage::default() },
        batch: false,
    };
    desk.usage = vec![sum(12 * 31, "2026-06-16T12:00:00Z", "2026-07-01"), sum(36 * 31, "2026-06-01", "2026-06-16T12:00:00Z")];
    assert_eq!(desk.invoice("2026-06-01").to_json().unwrap(), apart);
}
