//! How many calls there may be, and whose.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::HeaderValue;
use torchmesh_api::priority::Priority;

use crate::fair::{self, Tenants};

/// The share of all places up to which calls of priority `normal` are let in, where priorities matter: what is left is for those of priority `high`.
pub const NORMAL_SHARE: f64 = 0.95;

/// The calls of a whole process, over all its data threads.
#[derive(Debug, Clone)]
pub struct Capacity {
    used: Arc<AtomicUsize>,
    max: usize,
    /// The places up to which calls of the priorities `normal` and `low` are let in.
    normal: usize,
    low: usize,
    tenants: Option<Arc<Tenants>>,
}

impl Capacity {
    /// Room for `max` calls at once.
    pub fn new(max: usize) -> Self {
        Self { used: Arc::default(), max, normal: max, low: max, tenants: None }
    }

    /// Calls that can wait are refused before those that cannot: of priority `low` once this share of the places is taken, of `normal` at [`NORMAL_SHARE`]. Shares are
    /// rounded up, so that there is a place for everybody while none is taken.
    #[must_use]
    pub fn by_priority(self, low_share: f64) -> Self {
        let share = |of: f64| (self.max as f64 * of).ceil() as usize;
        Self { normal: share(NORMAL_SHARE), low: share(low_share), ..self }
    }

    /// When all places that a call may have are taken, tenants who have fewer than their fair share are still let in, and only the others refused. No more than twice
    /// as many calls as there are places can come of it.
    #[must_use]
    pub fn shared_fairly(self) -> Self {
        Self { tenants: Some(Arc::default()), ..self }
    }

    /// How many calls there are.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The places up to which calls of this priority are let in.
    fn room(&self, priority: Priority) -> usize {
        match priority {
            Priority::High => self.max,
            Priority::Normal => self.normal,
            Priority::Low => self.low,
        }
    }

    pub(super) fn enter(&self, tenant: Option<&HeaderValue>, priority: Priority) -> Option<Place> {
        let tenant = self.tenants.as_ref().map(|tenants| Tenants::enter(tenants, tenant));
        let used = self.used.fetch_add(1, Ordering::Relaxed);
        // Made before it is known whether it may be kept: what is dropped counts no more.
        let place = Place { used: Arc::clone(&self.used), tenant };
        let room = self.room(priority);
        let fits = match &place.tenant {
            Some(entered) => fair::lets_in(used, room, entered.others(), entered.tenants()),
            None => used < room,
        };
        fits.then_some(place)
    }
}

/// One call's place; dropping it makes room.
#[derive(Debug)]
pub(super) struct Place {
    used: Arc<AtomicUsize>,
    tenant: Option<fair::Entered>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.used.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_priority() -> impl Strategy<Value = Priority> {
        prop::sample::select(&Priority::ALL[..])
    }

    #[test]
    fn what_can_wait_is_refused_first_and_one_place_is_for_everybody() {
        let fits = |max| {
            let capacity = Capacity::new(max).by_priority(0.8);
            let mut held = Vec::new();
            [Priority::Low, Priority::Normal, Priority::High].map(|priority| {
                held.extend(std::iter::from_fn(|| capacity.enter(None, priority)));
                held.len()
            })
        };
        assert_eq!([fits(100), fits(20), fits(10), fits(1), fits(0)], [[80, 95, 100], [16, 19, 20], [8, 10, 10], [1, 1, 1], [0, 0, 0]]);
        let plain = Capacity::new(10);
        let held: Vec<_> = std::iter::from_fn(|| plain.enter(None, Priority::Low)).collect();
        assert_eq!(held.len(), 10, "where priorities do not matter");
    }

    proptest! {
        #[test]
        fn calls_are_let_in_while_their_class_has_room_and_no_more_of_them(
            max in 1_usize..60, share in 0.01..0.95, moves in prop::collection::vec((any_priority(), prop::bool::weighted(0.8)), 0..300),
        ) {
            let capacity = Capacity::new(max).by_priority(share);
            let mut held = Vec::new();
            for (priority, comes) in moves {
                let used = capacity.used();
                prop_assert_eq!(used, held.len());
                if !comes {
                    held.pop();
                } else if let Some(place) = capacity.enter(None, priority) {
                    prop_assert!(used < capacity.room(priority));
                    held.push(place);
                } else {
                    prop_assert!(used >= capacity.room(priority) && capacity.used() == used, "a refused call takes no place");
                }
            }
            prop_assert!(held.len() <= max);
        }

        #[test]
        fn whoever_asks_more_urgently_is_let_in_where_one_who_can_wait_is(
            max in 1_usize..60, share in 0.01..0.95, used in 0_usize..60, others in 0_usize..60,
        ) {
            let capacity = Capacity::new(max).by_priority(share).shared_fairly();
            let (a, b) = (HeaderValue::from_static("a"), HeaderValue::from_static("b"));
            let _held: Vec<_> = (0..used).filter_map(|_| capacity.enter(Some(&a), Priority::High)).collect();
            let _others: Vec<_> = (0..others).filter_map(|_| capacity.enter(Some(&b), Priority::High)).collect();
            let lets_in = |priority| capacity.enter(Some(&b), priority).is_some();
            let let_in = [Priority::Low, Priority::Normal, Priority::High].map(lets_in);
            prop_assert!(let_in.is_sorted(), "{:?}", let_in);
        }
    }
}
