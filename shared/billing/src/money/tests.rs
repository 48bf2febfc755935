use proptest::prelude::*;

use super::*;

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

#[test]
fn an_amount_has_the_digits_of_its_currency_and_more_where_it_needs_them() {
    for (text, printed) in [
        ("0.15 EUR", "0.15 EUR"),
        ("1 EUR", "1.00 EUR"),
        ("150 JPY", "150 JPY"),
        ("0.5 JPY", "0.5 JPY"),
        ("1.5 KWD", "1.500 KWD"),
        ("-0.000000000001 EUR", "-0.000000000001 EUR"),
        ("-3.10 EUR", "-3.10 EUR"),
    ] {
        assert_eq!(money(text).to_string(), printed);
    }
}

#[test]
fn what_is_no_amount_is_refused() {
    for bad in [
        "",
        " ",
        "EUR",
        "1",
        "1 ",
        "1. EUR",
        ".5 EUR",
        "1,5 EUR",
        "1e3 EUR",
        "+1 EUR",
        "--1 EUR",
        "0.0000000000001 EUR",
        "1  EUR",
        "1 EUR EUR",
        "٣ EUR",
        "1 eur",
        "99999999999999999 EUR",
        "1000000000000001 EUR",
    ] {
        assert!(bad.parse::<Money>().is_err(), "{bad:?}");
    }
}

#[test]
fn halves_are_rounded_to_the_even_cent() {
    for (exact, rounded) in [
        ("0.005 EUR", "0.00 EUR"),
        ("0.015 EUR", "0.02 EUR"),
        ("0.025 EUR", "0.02 EUR"),
        ("0.025000000001 EUR", "0.03 EUR"),
        ("-0.015 EUR", "-0.02 EUR"),
        ("-0.025 EUR", "-0.02 EUR"),
        ("0.5 JPY", "0 JPY"),
        ("1.5 JPY", "2 JPY"),
    ] {
        assert_eq!(money(exact).rounded().unwrap(), money(rounded), "{exact}");
    }
}

#[test]
fn a_split_gives_what_is_left_to_those_that_lost_the_most() {
    // 10.00 by 1:1:1 is 3.33 each with one cent over: the first gets it.
    assert_eq!(money("10.00 EUR").split(&[1, 1, 1]).unwrap(), ["3.34 EUR", "3.33 EUR", "3.33 EUR"].map(money));
    // 1.00 by 1:5 is 16.67 and 83.33 cents: 16 and 83 are down, the lost .67 is the larger.
    assert_eq!(money("1.00 EUR").split(&[1, 5]).unwrap(), ["0.17 EUR", "0.83 EUR"].map(money));
    assert_eq!(money("-1.00 EUR").split(&[1, 5]).unwrap(), ["-0.17 EUR", "-0.83 EUR"].map(money));
    assert_eq!(money("1.00 EUR").split(&[0, 0]), Err(BillingError::NoWeights));
    assert!(money("0.001 EUR").split(&[1]).is_err());
}

#[test]
fn currencies_are_never_added_up() {
    let both = money("1 EUR").plus(money("1 USD"));
    assert!(matches!(both, Err(BillingError::Currencies { .. })));
}

#[test]
fn a_price_for_a_million_is_exact_for_one() {
    // 0.15 for 1,000,000: 66,667 cost 0.01000005, which is a cent; 33,333 cost 0.00499995, which is none.
    let price = money("0.15 EUR");
    assert_eq!(price.priced(66_667, 1_000_000).unwrap(), money("0.01 EUR"));
    assert_eq!(price.priced(33_333, 1_000_000).unwrap(), money("0.00 EUR"));
    assert_eq!(price.priced(1, 0), Err(BillingError::NoWeights));
}

proptest! {
    #[test]
    fn an_amount_is_read_as_it_is_printed(pico in -MOST..=MOST, code in prop::sample::select(vec!["EUR", "JPY", "KWD", "CLF"])) {
        let amount = Money::from_pico(code.parse().unwrap(), pico).unwrap();
        prop_assert_eq!(amount.to_string().parse::<Money>().unwrap(), amount);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}", digits in "-?[0-9.]{0,40} ?[A-Z]{0,4}") {
        let _ = (text.parse::<Money>(), digits.parse::<Money>());
    }

    #[test]
    fn the_parts_of_a_split_are_the_whole(minor in -10_i128.pow(17)..10_i128.pow(17), weights in prop::collection::vec(any::<u64>(), 1..20)) {
        let whole = Money::from_minor("EUR".parse().unwrap(), minor).unwrap();
        if let Ok(parts) = whole.split(&weights) {
            prop_assert_eq!(Money::sum(whole.currency(), parts.clone()).unwrap(), whole);
            for (part, weight) in parts.iter().zip(&weights) {
                prop_assert!(*weight > 0 || part.is_zero());
            }
        }
    }

    #[test]
    fn rounding_is_never_off_by_more_than_half(number in -10_i128.pow(30)..10_i128.pow(30), divisor in 1..10_i128.pow(20)) {
        let rounded = round_div(number, divisor).unwrap();
        prop_assert!((rounded * divisor - number).abs() * 2 <= divisor);
    }

    #[test]
    fn arithmetic_answers_or_says_why_not(a in any::<i128>(), b in any::<i128>(), count in any::<u64>(), per in any::<u64>()) {
        let eur = "EUR".parse().unwrap();
        if let (Ok(a), Ok(b)) = (Money::from_pico(eur, a), Money::from_pico(eur, b >> 30)) {
            let _ = (a.plus(b), a.minus(b), a.times(count), a.priced(count, per), a.rounded(), a.split(&[count, per]));
        }
        let _ = Money::from_minor(eur, a);
    }
}
