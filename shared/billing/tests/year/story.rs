//! What may happen, as numbers that proptest draws.

use proptest::prelude::*;

/// Something that happens within a month.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    /// Another plan: which, and whether at the period's end.
    Plan(usize, bool),
    Seats(u32),
    Cancel(bool),
    /// The subscription begins again, where it has ended: by which plan, with so many days of trial.
    Start(usize, u64),
    Coupon(usize),
    /// So many cents, for so many days, bought or not.
    Credit(u32, Option<u64>, bool),
    /// So much of a model, by a batch or not.
    Use(usize, [u32; 3], bool),
}

/// A month: deeds, each with the millisecond at which it happens; and what comes after the month's invoice.
#[derive(Debug, Clone)]
pub(crate) struct Month {
    pub(crate) deeds: Vec<(u64, Deed)>,
    /// How many percent of what is due is paid.
    pub(crate) paid: u8,
    /// Of which line how many percent are given back.
    pub(crate) given_back: Option<(usize, u8)>,
    /// Which price was wrong, and what it should have been, in millionths.
    pub(crate) corrected: Option<(usize, u32)>,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        2 => (0..7_usize, any::<bool>()).prop_map(|(plan, end)| Deed::Plan(plan, end)),
        2 => (0..20_u32).prop_map(Deed::Seats),
        1 => any::<bool>().prop_map(Deed::Cancel),
        1 => (0..7_usize, 0..40_u64).prop_map(|(plan, trial)| Deed::Start(plan, trial)),
        1 => (0..4_usize).prop_map(Deed::Coupon),
        1 => (1..10_000_u32, prop::option::of(1..200_u64), any::<bool>()).prop_map(|(cents, days, bought)| Deed::Credit(cents, days, bought)),
        6 => (0..5_usize, 0..5_000_000_u32, 0..2_000_000_u32, 0..3000_u32, any::<bool>()).prop_map(|(model, prompt, completion, items, batch)| Deed::Use(model, [prompt, completion, items], batch)),
    ]
}

/// Twelve months.
pub(crate) fn months() -> impl Strategy<Value = Vec<Month>> {
    let month = (
        prop::collection::vec((0..2_419_200_000_u64, deed()), 0..8),
        0..=100_u8,
        prop::option::of((any::<prop::sample::Index>(), 1..=100_u8)),
        prop::option::weighted(0.2, (0..4_usize, 0..5_000_000_u32)),
    );
    let month = month.prop_map(|(deeds, paid, back, corrected)| {
        let given_back = back.map(|(line, percent)| (line.index(64), percent));
        Month { deeds, paid, given_back, corrected }
    });
    prop::collection::vec(month, 12)
}

/// In another order: by a hash of the seed and the place.
pub(crate) fn shuffled<T: Clone>(all: &[T], seed: u64) -> Vec<T> {
    let mixed = |at: u64| (at ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mut order: Vec<_> = (0..).zip(all).map(|(at, one)| (mixed(at), at, one)).collect();
    order.sort_by_key(|(mixed, at, _)| (*mixed, *at));
    order.into_iter().map(|(_, _, one)| one.clone()).collect()
}
