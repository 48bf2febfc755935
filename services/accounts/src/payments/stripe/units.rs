//! Amounts as Stripe counts them: whole numbers of what it takes for a currency's smallest unit, which is not everywhere what ISO 4217 says.

use torchmesh_billing::{Currency, Money};

/// Counted in hundredths, and whole all the same.
const WHOLE: [&str; 2] = ["ISK", "UGX"];

/// How many digits Stripe has behind the point.
fn digits(currency: Currency) -> u32 {
    match currency.code() {
        "MGA" => 0,
        code if WHOLE.contains(&code) => 2,
        _ => currency.digits().into(),
    }
}

/// 10^-12 parts in a unit of Stripe's.
fn unit(currency: Currency) -> Option<i128> {
    10_i128.checked_pow(12_u32.checked_sub(digits(currency))?)
}

/// An amount, counted; none, where it cannot be.
pub(super) fn of(amount: Money) -> Option<i128> {
    let (currency, unit) = (amount.currency(), unit(amount.currency())?);
    // Thousandths come in tens.
    let step = if digits(currency) == 3 { unit * 10 } else { unit };
    (amount.pico() % step == 0).then_some(amount.pico() / unit)
}

/// What was counted, in a currency as Stripe writes it.
pub(super) fn money(currency: &str, count: i64) -> Option<Money> {
    let currency: Currency = currency.to_ascii_uppercase().parse().ok()?;
    let amount = Money::from_pico(currency, i128::from(count).checked_mul(unit(currency)?)?).ok()?;
    // What the ledger cannot count has not come.
    (count > 0 && amount.minor().is_ok()).then_some(amount)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_counted_as_stripe_does() {
        for (amount, count) in [
            ("30.00 EUR", Some(3000)),
            ("0.01 USD", Some(1)),
            ("500 JPY", Some(500)),
            ("500 ISK", Some(50_000)),
            ("500 UGX", Some(50_000)),
            ("500 MGA", Some(500)),
            ("0.20 MGA", None),
            ("5.120 KWD", Some(5120)),
            ("5.123 KWD", None),
        ] {
            assert_eq!(of(amount.parse().unwrap()), count, "{amount}");
        }
        assert_eq!(money("eur", 3000), "30.00 EUR".parse().ok());
        assert_eq!(money("isk", 50_000), "500 ISK".parse().ok());
        assert_eq!([money("isk", 50_050), money("xxx", 1), money("eur", 0), money("eur", -1), money("", 1)], [None; 5]);
    }

    proptest! {
        #[test]
        fn what_is_counted_is_the_same_amount_again(count in 1..1_000_000_000_i64, currency in prop::sample::select(vec!["EUR", "JPY", "MGA", "UGX", "KWD"])) {
            if let Some(amount) = money(currency, count) && let Some(again) = of(amount) {
                prop_assert_eq!(again, i128::from(count));
            }
        }
    }
}
