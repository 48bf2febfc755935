//! What calls cost, in whole millionths of the currency's unit: no fraction is ever lost or made up.

use crate::pattern::Pattern;

/// Millionths of a unit of money.
pub type Micros = u64;

const MILLION: u128 = 1_000_000;

/// What the use of a model costs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Price {
    /// Which models.
    pub model: Pattern,
    /// For a million tokens that were read.
    pub input: Micros,
    /// For a million tokens that were written.
    pub output: Micros,
    /// For a call.
    pub request: Micros,
}

/// What a call used, or is thought to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Tokens that were read.
    pub input: u64,
    /// Tokens that were written.
    pub output: u64,
}

impl Tokens {
    /// Both together.
    pub fn sum(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

impl Price {
    /// What a call costs that used so much. A part of a millionth is a whole one.
    pub fn of(&self, tokens: Tokens) -> Micros {
        let read = u128::from(tokens.input) * u128::from(self.input);
        let written = u128::from(tokens.output) * u128::from(self.output);
        let sum = (read + written).div_ceil(MILLION) + u128::from(self.request);
        Micros::try_from(sum).unwrap_or(Micros::MAX)
    }
}

/// Reads an amount such as `25`, `0.15` or `12.000001`. No more than six digits behind the point.
pub fn micros(text: &str) -> Option<Micros> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 6 || text.ends_with('.') {
        return None;
    }
    let part: Micros = format!("{part:0<6}").parse().ok()?;
    whole.parse::<Micros>().ok()?.checked_mul(1_000_000)?.checked_add(part)
}

/// Writes an amount with as many digits as it needs, two at least.
pub fn money(micros: Micros) -> String {
    let part = format!("{:06}", micros % 1_000_000);
    let kept = part.trim_end_matches('0').len().max(2);
    format!("{}.{}", micros / 1_000_000, &part[..kept])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tokens_and_calls_cost_what_the_price_says() {
        let price = Price { input: 150_000, output: 600_000, request: 1000, ..Price::default() };
        assert_eq!(price.of(Tokens { input: 1_000_000, output: 500_000 }), 451_000);
        assert_eq!(price.of(Tokens { input: 1, output: 0 }), 1001);
    }

    #[test]
    fn amounts_that_are_none_are_refused() {
        for bad in ["", ".", "1.", ".5", "-1", "1e3", "1.0000001", "1,5", "99999999999999999999"] {
            assert_eq!(micros(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn an_amount_is_read_as_it_is_written(amount in 0_u64..u64::MAX / 2) {
            prop_assert_eq!(micros(&money(amount)), Some(amount));
        }

        #[test]
        fn whoever_uses_more_never_pays_less(price in any::<(u32, u32, u32)>(), a in any::<(u32, u32)>(), b in any::<(u32, u32)>()) {
            let price = Price { input: price.0.into(), output: price.1.into(), request: price.2.into(), ..Price::default() };
            let one = Tokens { input: a.0.into(), output: a.1.into() };
            let both = Tokens { input: one.input + u64::from(b.0), output: one.output + u64::from(b.1) };
            prop_assert!(price.of(both) >= price.of(one));
        }
    }
}
