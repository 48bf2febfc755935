//! Fair shares: who is let in when all places are taken.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::HeaderValue;
use parking_lot::Mutex;

/// So many parts that threads seldom meet.
const SHARDS: usize = 16;

/// Whether one more call is let in: there are `used` of `max` places taken, `mine` of them by the tenant that asks, and `tenants` have calls or
/// ask for one.
///
/// While there is room everybody is let in. After that only those are who have fewer than their share of the places, which is the same for everybody.
pub fn lets_in(used: usize, max: usize, mine: usize, tenants: usize) -> bool {
    used < max || mine < max / tenants.max(1)
}

/// How many calls each tenant has.
#[derive(Debug, Default)]
pub struct Tenants {
    shards: [Mutex<HashMap<HeaderValue, usize>>; SHARDS],
    hasher: RandomState,
    count: AtomicUsize,
}

/// One call of a tenant; dropping it ends it.
#[derive(Debug)]
pub struct Entered {
    tenants: Arc<Tenants>,
    tenant: HeaderValue,
    others: usize,
}

impl Tenants {
    /// Counts one more call of a tenant. Calls of nobody count as those of one tenant.
    pub fn enter(tenants: &Arc<Self>, tenant: Option<&HeaderValue>) -> Entered {
        let tenant = tenant.cloned().unwrap_or_else(|| HeaderValue::from_static(""));
        let mut shard = tenants.shard(&tenant).lock();
        let calls = shard.entry(tenant.clone()).or_default();
        let others = *calls;
        *calls += 1;
        if others == 0 {
            tenants.count.fetch_add(1, Ordering::Relaxed);
        }
        drop(shard);
        Entered { tenants: Arc::clone(tenants), tenant, others }
    }

    fn shard(&self, tenant: &HeaderValue) -> &Mutex<HashMap<HeaderValue, usize>> {
        &self.shards[self.hasher.hash_one(tenant) as usize % SHARDS]
    }
}

impl Entered {
    /// How many calls the tenant had before this one.
    pub fn others(&self) -> usize {
        self.others
    }

    /// How many tenants have calls.
    pub fn tenants(&self) -> usize {
        self.tenants.count.load(Ordering::Relaxed)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut shard = self.tenants.shard(&self.tenant).lock();
        if let Some(calls) = shard.get_mut(&self.tenant) {
            *calls -= 1;
            if *calls == 0 {
                // Whoever has none is forgotten: tenants come and go.
                shard.remove(&self.tenant);
                self.tenants.count.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Plays calls that come (`true`) and end, each a tenant's; gives how many each has.
    fn play(max: usize, moves: &[(usize, bool)]) -> HashMap<usize, usize> {
        let mut calls: HashMap<usize, usize> = HashMap::new();
        for (tenant, comes) in moves {
            let mine = calls.get(tenant).copied().unwrap_or_default();
            let used = calls.values().sum();
            let tenants = calls.values().filter(|calls| **calls > 0).count() + usize::from(mine == 0);
            if *comes && lets_in(used, max, mine, tenants) {
                *calls.entry(*tenant).or_default() += 1;
            } else if !comes && mine > 0 {
                *calls.entry(*tenant).or_default() -= 1;
            }
        }
        calls
    }

    proptest! {
        #[test]
        fn while_there_is_room_everybody_is_let_in(used in 0_usize..100, mine in 0_usize..100, tenants in 1_usize..50) {
            prop_assert!(lets_in(used, 100, mine, tenants));
        }

        #[test]
        fn when_all_places_are_taken_only_those_below_their_share_are_let_in(over in 0_usize..100, mine in 0_usize..200, tenants in 1_usize..50) {
            prop_assert_eq!(lets_in(100 + over, 100, mine, tenants), mine < 100 / tenants);
        }

        #[test]
        fn whoever_has_fewer_calls_is_not_refused_where_one_with_more_is_let_in(used in 0_usize..300, a in 0_usize..100, b in 0_usize..100, tenants in 1_usize..50) {
            let (fewer, more) = (a.min(b), a.max(b));
            prop_assert!(!lets_in(used, 100, more, tenants) || lets_in(used, 100, fewer, tenants));
        }

        #[test]
        fn there_are_never_twice_as_many_calls_as_places(max in 1_usize..40, moves in proptest::collection::vec((0_usize..12, proptest::bool::weighted(0.8)), 0..400)) {
            prop_assert!(play(max, &moves).values().sum::<usize>() < 2 * max);
        }
    }

    #[test]
    fn one_who_takes_all_places_does_not_keep_another_out() {
        let greedy: Vec<_> = std::iter::repeat_n((0, true), 50).chain(std::iter::repeat_n((1, true), 50)).collect();
        let calls = play(10, &greedy);
        assert_eq!((calls[&0], calls[&1]), (10, 5));
    }

    #[test]
    fn tenants_without_calls_are_forgotten() {
        let tenants = Arc::<Tenants>::default();
        let of = |tenant| Tenants::enter(&tenants, Some(&HeaderValue::from_static(tenant)));
        let (first, second, other) = (of("a"), of("a"), of("b"));
        assert_eq!((first.others(), second.others(), other.others(), other.tenants()), (0, 1, 0, 2));
        drop((first, other));
        assert_eq!(second.tenants(), 1);
        drop(second);
        assert!(tenants.shards.iter().all(|shard| shard.lock().is_empty()));
    }
}
