use proptest::prelude::*;

use super::*;

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

fn tiers(of: &[(Option<u64>, &str)]) -> Vec<Tier> {
    of.iter().map(|(up_to, price)| Tier { up_to: *up_to, price: money(price) }).collect()
}

fn amounts(rate: &Rate, quantity: u64) -> Vec<(u64, String)> {
    rate.pieces(0, quantity, quantity)
        .into_iter()
        .map(|piece| (piece.quantity, piece.price.of(piece.quantity).unwrap().to_string()))
        .collect()
}

#[test]
fn graduated_tiers_price_their_own_units() {
    // 0.10 a piece up to 100, 0.05 from the 101st on.
    let rate = Rate::new(1, Scheme::Graduated(tiers(&[(Some(100), "0.10 EUR"), (None, "0.05 EUR")]))).unwrap();
    let said = |of: &[(u64, &str)]| of.iter().map(|(count, text)| (*count, (*text).to_owned())).collect::<Vec<_>>();
    assert_eq!(amounts(&rate, 99), said(&[(99, "9.90 EUR")]));
    assert_eq!(amounts(&rate, 100), said(&[(100, "10.00 EUR")]));
    assert_eq!(amounts(&rate, 101), said(&[(100, "10.00 EUR"), (1, "0.05 EUR")]));
    assert_eq!(amounts(&rate, 0), []);
}

#[test]
fn volume_tiers_price_all_units_as_the_reached_tier_does() {
    let rate = Rate::new(1, Scheme::Volume(tiers(&[(Some(100), "0.10 EUR"), (None, "0.05 EUR")]))).unwrap();
    assert_eq!(amounts(&rate, 100), [(100, "10.00 EUR".to_owned())]);
    assert_eq!(amounts(&rate, 101), [(101, "5.05 EUR".to_owned())]);
}

#[test]
fn a_new_price_goes_on_counting_where_the_old_one_was() {
    let rate = Rate::new(1, Scheme::Graduated(tiers(&[(Some(100), "0.10 EUR"), (None, "0.05 EUR")]))).unwrap();
    let pieces = rate.pieces(90, 20, 110);
    assert_eq!(pieces.iter().map(|piece| piece.quantity).collect::<Vec<_>>(), [10, 10]);
}

#[test]
fn a_price_that_contradicts_itself_is_refused() {
    for scheme in [
        Scheme::Graduated(vec![]),
        Scheme::Graduated(tiers(&[(Some(1), "1 EUR")])),
        Scheme::Volume(tiers(&[(None, "1 EUR"), (None, "1 EUR")])),
        Scheme::Volume(tiers(&[(Some(5), "1 EUR"), (Some(5), "1 EUR"), (None, "1 EUR")])),
        Scheme::Volume(tiers(&[(Some(0), "1 EUR"), (None, "1 EUR")])),
        Scheme::Flat(money("-1 EUR")),
        Scheme::Graduated(tiers(&[(Some(5), "1 EUR"), (None, "1 USD")])),
    ] {
        assert!(Rate::new(1, scheme.clone()).is_err(), "{scheme:?}");
    }
    assert!(Rate::flat(money("1 EUR"), 0).is_err());
}

fn any_rate() -> impl Strategy<Value = Rate> {
    let prices = prop::collection::vec((1_u64..1000, 0_i128..10_i128.pow(13)), 1..5);
    (prices, 0..3_u8, 1_u64..2_000_000).prop_map(|(steps, kind, per)| {
        let mut above = 0;
        let price = |pico| Money::from_pico("EUR".parse().unwrap(), pico).unwrap();
        let mut tiers: Vec<_> = steps
            .iter()
            .map(|(step, pico)| {
                above += step;
                Tier { up_to: Some(above), price: price(*pico) }
            })
            .collect();
        tiers.last_mut().unwrap().up_to = None;
        let scheme = match kind {
            0 => Scheme::Flat(price(steps[0].1)),
            1 => Scheme::Graduated(tiers),
            _ => Scheme::Volume(tiers),
        };
        Rate::new(per, scheme).unwrap()
    })
}

/// What pieces cost before any rounding, in pico a `per`.
fn exact(pieces: &[Piece]) -> i128 {
    pieces.iter().map(|piece| piece.price.price.pico() * i128::from(piece.quantity)).sum()
}

#[test]
fn a_share_is_the_same_price_for_as_few_units_as_can_be() {
    let shared = |price: &str, per: u64, share: &str| {
        let of = Rate::flat(money(price), per).unwrap().shared(share.parse().unwrap()).unwrap();
        (of.first().price.to_string(), of.per())
    };
    assert_eq!(shared("0.15 EUR", 1_000_000, "50%"), ("0.075 EUR".to_owned(), 1_000_000));
    assert_eq!(shared("0.000000000003 EUR", 7, "50%"), ("0.000000000003 EUR".to_owned(), 14));
    assert_eq!(shared("0.000000000002 EUR", 7, "33.3333%"), ("0.000000333333 EUR".to_owned(), 3_500_000));
    assert_eq!(shared("0.15 EUR", 1000, "0%"), ("0.00 EUR".to_owned(), 1000));
    assert_eq!(shared("0.15 EUR", 1000, "100%"), ("0.15 EUR".to_owned(), 1000));
}

#[test]
fn a_share_that_no_number_is_large_enough_for_is_refused() {
    let share = |percent: &str| Rate::flat(money("0.000000000001 EUR"), u64::MAX).unwrap().shared(percent.parse().unwrap());
    assert_eq!(share("0.0001%"), Err(BillingError::TooLarge));
    assert_eq!(share("100%"), Rate::flat(money("0.000000000001 EUR"), u64::MAX));
}

proptest! {
    #[test]
    fn a_share_of_a_price_is_exact(rate in any_rate(), millionths in 0..=1_000_000_u32) {
        let shared = rate.shared(Share::from_millionths(millionths).unwrap()).unwrap();
        prop_assert_eq!(shared.per() % rate.per(), 0);
        for (whole, part) in rate.tiers().iter().zip(shared.tiers()) {
            prop_assert_eq!(whole.up_to, part.up_to);
            // One price is to its units as the share of the other is to its own.
            let exact = whole.price.pico() * i128::from(millionths) * i128::from(shared.per());
            prop_assert_eq!(part.price.pico() * i128::from(rate.per()) * 1_000_000, exact);
        }
        prop_assert_eq!(std::mem::discriminant(rate.scheme()), std::mem::discriminant(shared.scheme()));
        prop_assert_eq!(rate.tiers().len(), shared.tiers().len());
    }

    #[test]
    fn the_pieces_are_the_quantity(rate in any_rate(), before in any::<u32>(), quantity in any::<u32>(), after in any::<u32>()) {
        let (before, quantity) = (u64::from(before), u64::from(quantity));
        let pieces = rate.pieces(before, quantity, before + quantity + u64::from(after));
        prop_assert_eq!(pieces.iter().map(|piece| piece.quantity).sum::<u64>(), quantity);
    }

    #[test]
    fn two_batches_cost_what_one_costs(rate in any_rate(), a in 0_u64..5000, b in 0_u64..5000) {
        let total = a + b;
        let apart = exact(&rate.pieces(0, a, total)) + exact(&rate.pieces(a, b, total));
        prop_assert_eq!(apart, exact(&rate.pieces(0, total, total)));
    }

    #[test]
    fn any_quantity_is_rated(rate in any_rate(), before in any::<u64>(), quantity in any::<u64>(), total in any::<u64>()) {
        for piece in rate.pieces(before, quantity, total) {
            let _ = piece.price.of(piece.quantity);
        }
    }
}
