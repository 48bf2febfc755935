//! Codes by the time of day (TOTP, RFC 6238): six digits of HMAC-SHA-1, a new one every thirty seconds, as every authenticator has them.

use ring::hmac;
use subtle::ConstantTimeEq as _;

/// How long a code is shown, in milliseconds.
const STEP_MS: i64 = 30_000;
/// So many steps the clock of an authenticator may be off, in either direction.
const OFF: i64 = 1;
const DIGITS: u32 = 6;

/// The step of a moment.
fn step(now_ms: i64) -> i64 {
    now_ms.div_euclid(STEP_MS)
}

/// The code of a counter (HOTP, RFC 4226, section 5.3), with so many digits.
fn code(secret: &[u8], counter: i64, digits: u32) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &counter.to_be_bytes());
    let tag = tag.as_ref();
    let at = tag.last().map_or(0, |last| usize::from(last & 0x0f));
    let bytes = tag.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
    let number = u32::from_be_bytes(bytes) & 0x7fff_ffff;
    format!("{:0width$}", number % 10_u32.pow(digits), width = digits as usize)
}

/// The step whose code was told, of those that are good at this moment and later than the last one that was taken.
pub(super) fn step_of(secret: &[u8], told: &str, last: i64, now_ms: i64) -> Option<i64> {
    let now = step(now_ms);
    let fits = |step: &i64| bool::from(code(secret, *step, DIGITS).as_bytes().ct_eq(told.as_bytes()));
    // All of them are looked at: how long it takes says nothing of which one it was.
    let fitting: Vec<i64> = (now - OFF..=now + OFF).filter(fits).collect();
    fitting.into_iter().find(|step| *step > last)
}

/// The code that is shown at a moment.
#[cfg(test)]
pub(crate) fn shown(secret: &[u8], now_ms: i64) -> String {
    code(secret, step(now_ms), DIGITS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The secret of both standards' examples.
    const SECRET: &[u8] = b"12345678901234567890";

    #[test]
    fn the_codes_are_those_of_rfc_6238_appendix_b() {
        for (seconds, wanted) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(code(SECRET, step(seconds * 1000), 8), wanted, "{seconds}");
        }
    }

    #[test]
    fn the_codes_are_those_of_rfc_4226_appendix_d() {
        let wanted = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
        for (counter, wanted) in (0..).zip(wanted) {
            assert_eq!(code(SECRET, counter, 6), wanted, "{counter}");
        }
    }

    #[test]
    fn a_code_is_good_for_the_step_before_and_the_one_after_and_no_longer() {
        let now = 1_790_000_010_000;
        let at = |ms: i64| step_of(SECRET, &shown(SECRET, now + ms), 0, now);
        assert_eq!([at(-30_000), at(0), at(30_000)], [Some(step(now) - 1), Some(step(now)), Some(step(now) + 1)]);
        assert_eq!([at(-60_000), at(60_000)], [None, None]);
    }

    #[test]
    fn no_code_is_taken_again_nor_one_before_it() {
        let now = 1_790_000_010_000;
        let told = shown(SECRET, now);
        assert_eq!(step_of(SECRET, &told, step(now), now), None);
        assert_eq!(step_of(SECRET, &shown(SECRET, now - 30_000), step(now), now), None);
        assert!(step_of(SECRET, &told, step(now) - 1, now).is_some());
    }

    proptest! {
        #[test]
        fn what_is_told_is_taken_only_if_it_is_the_code_of_a_step_near_by(told in "[0-9]{0,8}|.{0,8}", now in 0_i64..4_000_000_000_000) {
            let near = [-30_000, 0, 30_000].map(|ms| shown(SECRET, now + ms));
            prop_assert_eq!(step_of(SECRET, &told, i64::MIN, now).is_some(), near.contains(&told));
        }
    }
}
