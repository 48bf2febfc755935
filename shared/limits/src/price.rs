//! What calls cost, in whole millionths of the currency's unit: no fraction is ever lost or made up.

use crate::pattern::Pattern;

/// Millionths of a unit of money.
pub type Micros = u64;

const MILLION: u128 = 1_000_000;

/// A share of a price, in millionths.
pub type Millionths = u64;

/// All of it.
pub const WHOLE: Millionths = 1_000_000;

/// What the use of a model costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// Which models.
    pub model: Pattern,
    /// For a million tokens that were read, but for those of the cache.
    pub input: Micros,
    /// For a million tokens that were read and found in the cache.
    pub cached: Micros,
    /// For a million tokens that were written.
    pub output: Micros,
    /// For a call.
    pub request: Micros,
    /// How much of it a line of a batch costs.
    pub batch: Millionths,
}

/// What a call used, or is thought to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Tokens that were read, those of the cache among them.
    pub input: u64,
    /// Of those, how many were found in the cache.
    pub cached: u64,
    /// Tokens that were written.
    pub output: u64,
}

impl Tokens {
    /// All that were read and written.
    pub fn sum(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

impl Price {
    /// What a call costs that used so much, as a line of a batch or by itself. A part of a millionth is a whole one.
    pub fn of(&self, tokens: Tokens, batch: bool) -> Micros {
        let cached = tokens.cached.min(tokens.input);
        let costs = |count: u64, price: Micros| u128::from(count) * u128::from(price);
        let read = costs(tokens.input - cached, self.input) + costs(cached, self.cached);
        // In millionths of a millionth, so that it is rounded once.
        let whole = read + costs(tokens.output, self.output) + costs(1_000_000, self.request);
        let sum = if batch { share(whole, self.batch) } else { whole };
        Micros::try_from(sum.div_ceil(MILLION)).unwrap_or(Micros::MAX)
    }
}

/// A share of a number, rounded up; in two parts, for all of it times a million need not fit.
fn share(of: u128, share: Millionths) -> u128 {
    let share = u128::from(share);
    of / MILLION * share + (of % MILLION * share).div_ceil(MILLION)
}

/// Reads a share such as `50%` or `33.3333%`, of at most all.
pub fn percent(text: &str) -> Option<Millionths> {
    let hundredths = micros(text.strip_suffix('%')?)?;
    (hundredths % 100 == 0 && hundredths / 100 <= WHOLE).then_some(hundredths / 100)
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

    fn price([input, cached, output, request]: [Micros; 4], batch: Millionths) -> Price {
        Price { model: Pattern::default(), input, cached, output, request, batch }
    }

    #[test]
    fn tokens_and_calls_cost_what_the_price_says() {
        let price = price([150_000, 75_000, 600_000, 1000], WHOLE);
        let of = |input, cached, output| price.of(Tokens { input, cached, output }, false);
        assert_eq!(of(1_000_000, 0, 500_000), 451_000);
        assert_eq!(of(1_000_000, 400_000, 500_000), 421_000);
        assert_eq!(of(1, 0, 0), 1001);
        assert_eq!(of(1, 2, 0), 1001, "no more are cached than were read");
    }

    #[test]
    fn a_line_of_a_batch_costs_its_share_of_the_whole_price_rounded_up_once() {
        let price = price([150_000, 75_000, 600_000, 1000], 500_000);
        let of = |input, cached, output, batch| price.of(Tokens { input, cached, output }, batch);
        assert_eq!((of(1_000_000, 0, 500_000, true), of(1_000_000, 0, 500_000, false)), (225_500, 451_000));
        assert_eq!(of(0, 0, 0, true), 500);
        // 0.15 and 1000, of which a half is 500.075.
        assert_eq!(of(1, 0, 0, true), 501);
    }

    #[test]
    fn a_share_is_at_most_all_with_four_digits_behind_the_point() {
        assert_eq!(["0%", "50%", "33.3333%", "0.0001%", "100%"].map(percent), [0, 500_000, 333_333, 1, WHOLE].map(Some));
        for bad in ["", "%", "50", "100.0001%", "101%", "-1%", "0.00001%", "1e1%", "half%", "50%%"] {
            assert_eq!(percent(bad), None, "{bad:?}");
        }
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
        fn whoever_uses_more_never_pays_less(prices in any::<[u32; 4]>(), batch in 0..=WHOLE, a in any::<[u32; 3]>(), b in any::<[u32; 3]>()) {
            let price = price(prices.map(u64::from), batch);
            let [a, b] = [a, b].map(|counts| counts.map(u64::from));
            // Of those that come on top, so many were in the cache.
            let one = Tokens { input: a[0] + a[1], cached: a[1], output: a[2] };
            let both = Tokens { input: one.input + b[0] + b[1], cached: one.cached + b[1], output: one.output + b[2] };
            for batch in [false, true] {
                prop_assert!(price.of(both, batch) >= price.of(one, batch));
            }
        }

        #[test]
        fn a_line_of_a_batch_costs_its_share_and_less_than_a_millionth_more(prices in any::<[u32; 4]>(), batch in 0..=WHOLE, counts in any::<[u32; 3]>()) {
            let price = price(prices.map(u64::from), batch);
            let [input, cached, output] = counts.map(u64::from);
            let cached = cached.min(input);
            let parts = [(input - cached, price.input), (cached, price.cached), (output, price.output), (1_000_000, price.request)];
            let exact: u128 = parts.iter().map(|(count, price)| u128::from(*count) * u128::from(*price) * u128::from(batch)).sum();
            let cost = u128::from(price.of(Tokens { input, cached, output }, true)) * MILLION * MILLION;
            prop_assert!(exact <= cost && cost < exact + MILLION * MILLION, "{cost} for {exact}");
        }

        #[test]
        fn the_largest_numbers_cost_no_more_than_there_is(prices in prop::array::uniform4(0..=1_u64 << 50), batch in 0..=WHOLE, counts in any::<[u64; 3]>()) {
            let (price, [input, cached, output]) = (price(prices, batch), counts);
            let of = |batch| price.of(Tokens { input, cached, output }, batch);
            prop_assert!(of(true) <= of(false));
        }
    }
}
