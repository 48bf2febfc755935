//! `grpc-timeout`: at most eight digits and a unit, as the gRPC over HTTP/2 specification writes it.

use std::time::Duration;

/// Reads a `grpc-timeout` value; `None` when it is not of the specification's form.
pub fn parse(text: &[u8]) -> Option<Duration> {
    let (&unit, digits) = text.split_last()?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let mut value = 0_u64;
    for &digit in digits {
        value = value * 10 + u64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    Some(match unit {
        b'H' => Duration::from_secs(value * 3600),
        b'M' => Duration::from_secs(value * 60),
        b'S' => Duration::from_secs(value),
        b'm' => Duration::from_millis(value),
        b'u' => Duration::from_micros(value),
        b'n' => Duration::from_nanos(value),
        _ => return None,
    })
}

/// Writes a `grpc-timeout` value in the finest unit that fits, rounding down: a hop never promises more time than there is.
pub fn format(left: Duration) -> String {
    const MAX: u128 = 99_999_999;
    let units = [(left.as_micros(), 'u'), (left.as_millis(), 'm'), (u128::from(left.as_secs()), 'S')];
    match units.into_iter().find(|&(value, _)| value <= MAX) {
        Some((value, unit)) => format!("{value}{unit}"),
        None => format!("{}H", u128::from(left.as_secs() / 3600).min(MAX)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_unit_of_the_specification_is_read() {
        for (text, want) in [("2H", 7200), ("3M", 180), ("4S", 4)] {
            assert_eq!(parse(text.as_bytes()), Some(Duration::from_secs(want)));
        }
        assert_eq!(parse(b"5m"), Some(Duration::from_millis(5)));
        assert_eq!(parse(b"6u"), Some(Duration::from_micros(6)));
        assert_eq!(parse(b"7n"), Some(Duration::from_nanos(7)));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in ["", "S", "5", "-1S", "123456789S", "1.5S", "5s", "5 S"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad:?} was taken");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_as_no_more_and_barely_less(nanos in 0_u64..=u64::MAX) {
            let left = Duration::from_nanos(nanos);
            let back = parse(format(left).as_bytes()).unwrap();
            prop_assert!(back <= left);
            prop_assert!(left.saturating_sub(back) <= Duration::from_micros(1).max(left / 20_000));
        }
    }
}
