//! Numbers and moments, as people read them.

use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

/// A day, in milliseconds.
pub const DAY_MS: i64 = 86_400_000;

/// Now, in milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// When the day of UTC began that a moment is in.
pub fn day_of(ms: i64) -> i64 {
    ms - ms.rem_euclid(DAY_MS)
}

/// When the month of UTC began that a moment is in.
pub fn month_of(ms: i64) -> i64 {
    let day = i64::from(moment(ms).map_or(1, OffsetDateTime::day));
    day_of(ms) - (day - 1) * DAY_MS
}

fn moment(ms: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000)).ok()
}

/// `2026-11-26`.
pub fn day(ms: i64) -> String {
    moment(ms).map_or_else(String::new, |at| format!("{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day()))
}

/// `2026-11-26 16:30`, of UTC.
pub fn minute(ms: i64) -> String {
    moment(ms).map_or_else(String::new, |at| format!("{} {:02}:{:02}", day(ms), at.hour(), at.minute()))
}

/// The moment that a day of the form `2026-11-26` ends; nothing, where it is none.
pub fn end_of_day(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?.parse().ok()?, parts.next()?.parse::<u8>().ok()?, parts.next()?.parse().ok()?);
    if parts.next().is_some() {
        return None;
    }
    let date = time::Date::from_calendar_date(year, time::Month::try_from(month).ok()?, day).ok()?;
    date.midnight().assume_utc().unix_timestamp().checked_mul(1000)?.checked_add(DAY_MS)
}

/// `1,234,567`.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `950`, `12.3k`, `4.5M`: for the axis of a chart and the like.
pub fn short(number: f64) -> String {
    for (from, unit) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if number >= from {
            let text = format!("{:.1}", number / from);
            return format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text));
        }
    }
    // Below one, a tenth is too coarse for an axis.
    let text = if number < 1.0 { format!("{number:.2}") } else { format!("{number:.1}") };
    // There is a point in it: no zero of a whole number goes.
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A time that is told in microseconds: `850 µs`, `12 ms`, `1.2 s`.
pub fn lasting(us: i64) -> String {
    match us {
        ..1000 => format!("{us} µs"),
        1000..10_000 => format!("{:.1} ms", us as f64 / 1e3),
        10_000..1_000_000 => format!("{:.0} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

/// A share in millionths, as `99.95%`: rounded down, so that it is never better than it was.
pub fn share(ppm: i32) -> String {
    let hundredths = ppm / 100;
    format!("{}.{:02}%", hundredths / 100, hundredths % 100)
}

/// A share, as `1.5%`; nothing of nothing is none.
pub fn percent(part: i64, whole: i64) -> String {
    if whole == 0 {
        return "0%".to_owned();
    }
    let text = format!("{:.1}", part as f64 * 100.0 / whole as f64);
    format!("{}%", text.strip_suffix(".0").unwrap_or(&text))
}

/// How many percent an amount of money is of another one, both as text; rounded down, so that nothing is said to be reached before it is. None where one of them is no amount, or nothing is the whole.
pub fn percent_of(part: &str, whole: &str) -> Option<u32> {
    let (part, whole) = (in_parts(part)?, in_parts(whole)?);
    (whole > 0).then(|| u32::try_from(part.max(0).saturating_mul(100) / whole).unwrap_or(u32::MAX))
}

/// A decimal number in millionths of a millionth.
fn in_parts(amount: &str) -> Option<i128> {
    let (whole, parts) = amount.split_once('.').unwrap_or((amount, ""));
    let is_decimal =
        whole.ends_with(|end: char| end.is_ascii_digit()) && parts.len() <= 12 && parts.bytes().all(|digit| digit.is_ascii_digit());
    is_decimal.then(|| format!("{whole}{parts:0<12}").parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments_are_written_in_utc() {
        let ms = 1_795_710_600_000;
        assert_eq!(minute(ms), "2026-11-26 16:30");
        assert_eq!((day(day_of(ms)), day(month_of(ms))), ("2026-11-26".to_owned(), "2026-11-01".to_owned()));
        assert_eq!(end_of_day("2026-11-26"), Some(day_of(ms) + DAY_MS));
        for wrong in ["", "2026", "2026-13-01", "2026-02-30", "a-b-c", "2026-01-01-01"] {
            assert_eq!(end_of_day(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_was_measured_is_told_no_better_than_it_was() {
        assert_eq!(
            [999, 1500, 85_400, 999_999, 1_250_000].map(lasting),
            ["999 µs", "1.5 ms", "85 ms", "1000 ms", "1.2 s"].map(str::to_owned)
        );
        assert_eq!([1_000_000, 999_999, 999_500, 0].map(share), ["100.00%", "99.99%", "99.95%", "0.00%"].map(str::to_owned));
    }

    #[test]
    fn numbers_are_short_where_they_have_to_be() {
        let numbers = [950.0, 1000.0, 12_340.0, 4.5e6, 0.0, 0.05, 0.5, 20.0, 1.96].map(short);
        assert_eq!(numbers.each_ref().map(String::as_str), ["950", "1k", "12.3k", "4.5M", "0", "0.05", "0.5", "20", "2"]);
        assert_eq!((percent(1, 200), percent(0, 0), percent(1, 1)), ("0.5%".into(), "0%".into(), "100%".into()));
    }

    #[test]
    fn an_amount_is_no_more_of_another_than_it_is() {
        let of = |part, whole| percent_of(part, whole);
        assert_eq!(
            (of("401.20", "500.00"), of("79.999", "100"), of("-3.00", "10.00"), of("25", "10.5")),
            (Some(80), Some(79), Some(0), Some(238))
        );
        for (part, whole) in [("1.00", "0.00"), ("", "1"), ("1.0.0", "1"), ("x", "1"), ("1", "1e3"), ("1.+5", "2")] {
            assert_eq!(of(part, whole), None, "{part} of {whole}");
        }
    }

    proptest! {
        #[test]
        fn a_share_of_money_is_that_of_its_smallest_units(part in 0_u32.., whole in 1_u32..) {
            let money = |cents: u32| format!("{}.{:02}", cents / 100, cents % 100);
            let wanted = u32::try_from(u64::from(part) * 100 / u64::from(whole)).unwrap_or(u32::MAX);
            prop_assert_eq!(percent_of(&money(part), &money(whole)), Some(wanted));
        }

        #[test]
        fn grouping_adds_commas_and_nothing_else(number in any::<i64>()) {
            let text = grouped(number);
            prop_assert_eq!(text.replace(',', ""), number.to_string());
            let groups: Vec<_> = text.trim_start_matches('-').split(',').collect();
            prop_assert!(groups[1..].iter().all(|group| group.len() == 3) && (1..=3).contains(&groups[0].len()));
        }
    }
}
