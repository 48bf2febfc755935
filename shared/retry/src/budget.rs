//! How many retries may be added to the calls that came anyway.

use std::sync::atomic::{AtomicI64, Ordering};

/// A retry budget in the manner of Finagle: each call earns a part of a retry, each retry spends a whole one, and the account holds a
/// reserve that covers the calls which one lost endpoint had in flight.
///
/// When everything fails, retries are `ratio` of the calls, not a multiple of them.
#[derive(Debug)]
pub struct RetryBudget {
    /// In thousandths of a retry.
    balance: AtomicI64,
    earn: i64,
    reserve: i64,
}

impl RetryBudget {
    /// `ratio`: retries earned a call, 0 to 1. `reserve`: the most retries that can be saved, and the balance at the start.
    pub fn new(ratio: f64, reserve: u32) -> Self {
        let reserve = i64::from(reserve) * 1000;
        Self { balance: AtomicI64::new(reserve), earn: (ratio * 1000.0) as i64, reserve }
    }

    /// A call came.
    pub fn deposit(&self) {
        // Two calls at once may each see room for one: the reserve is a measure, not a promise to the last thousandth.
        if self.balance.load(Ordering::Relaxed) < self.reserve {
            self.balance.fetch_add(self.earn, Ordering::Relaxed);
        }
    }

    /// Takes a retry out; false when there is none left.
    pub fn withdraw(&self) -> bool {
        self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| (left >= 1000).then_some(left - 1000)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_covers_a_burst_and_then_the_ratio_holds() {
        let budget = RetryBudget::new(0.2, 10);
        assert_eq!((0..50).filter(|_| budget.withdraw()).count(), 10);
        let retries = (0..1000).filter(|_| {
            budget.deposit();
            budget.withdraw()
        });
        assert_eq!(retries.count(), 200);
    }

    #[test]
    fn quiet_times_save_no_more_than_the_reserve() {
        let budget = RetryBudget::new(0.5, 4);
        (0..10_000).for_each(|_| budget.deposit());
        let saved = (0..50).filter(|_| budget.withdraw()).count();
        assert_eq!(saved, 4);
    }
}
