//! One data thread's connections to one endpoint: one, until that has as many calls as it is to have, and then another beside it.
//!
//! A call goes to the first that has room: what a flood has opened is idle after it, and the endpoint closes what is idle.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    clock,
    connection::{Connection, Opened},
    tls::HopTls,
};

/// Connections beside the first. Bounds what one thread of ours costs an endpoint, and the time that it takes to find one with room.
const MORE: usize = 7;
/// For so long an endpoint that took no further connection is not asked for one.
const ALONE_FOR: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(crate) struct Lane {
    first: Arc<Counted>,
    /// There when they were needed once: most endpoints never have so many calls.
    more: OnceLock<Box<[Arc<Counted>]>>,
    /// Until then, in microseconds of the process, the first is the only one.
    alone_until: AtomicU64,
    tls: Option<Arc<HopTls>>,
}

#[derive(Debug, Default)]
struct Counted {
    connection: Arc<Connection>,
    calls: AtomicUsize,
}

/// A call's place on a connection, from before it is sent until its answer has ended.
#[derive(Debug)]
pub(crate) struct OnConnection(Arc<Counted>);

impl Lane {
    /// Connections that are not open yet, over TLS where that is given.
    pub(crate) fn over(tls: Option<Arc<HopTls>>) -> Self {
        Self { first: Counted::over(Connection::over(tls.clone())), more: OnceLock::new(), alone_until: AtomicU64::new(0), tls }
    }

    /// A place on the first connection that has fewer than `full` calls, or on the one with the fewest where none has.
    pub(crate) fn place(&self, full: usize) -> OnConnection {
        if self.first.calls() < full || clock::micros(Instant::now()) < self.alone_until.load(Ordering::Relaxed) {
            return OnConnection::on(&self.first);
        }
        let more = self.more.get_or_init(|| (0..MORE).map(|_| Counted::over(Connection::proven(self.tls.clone()))).collect());
        let all = || std::iter::once(&self.first).chain(more);
        let with_room = all().find(|connection| connection.calls() < full);
        OnConnection::on(with_room.or_else(|| all().min_by_key(|connection| connection.calls())).unwrap_or(&self.first))
    }

    /// A place on the first, whatever calls it has, for a call whose connection cannot be opened, as for those after it; none if that is the first.
    pub(crate) fn back(&self, place: &OnConnection) -> Option<OnConnection> {
        if Arc::ptr_eq(&place.0, &self.first) {
            return None;
        }
        self.alone_until.store(clock::micros(Instant::now() + ALONE_FOR), Ordering::Relaxed);
        Some(OnConnection::on(&self.first))
    }
}

impl Counted {
    fn over(connection: Connection) -> Arc<Self> {
        Arc::new(Self { connection: Arc::new(connection), calls: AtomicUsize::new(0) })
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl OnConnection {
    fn on(counted: &Arc<Counted>) -> Self {
        counted.calls.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counted))
    }

    /// The open connection, or a new one.
    pub(crate) async fn get(&self, addr: SocketAddr) -> io::Result<Opened> {
        self.0.connection.get(addr).await
    }

    /// See [`Connection::forget`].
    pub(crate) fn forget(&self, opened: &Opened) {
        self.0.connection.forget(opened);
    }
}

impl Drop for OnConnection {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Lane {
        fn calls(&self) -> Vec<usize> {
            std::iter::once(&self.first).chain(self.more.get().into_iter().flatten()).map(|connection| connection.calls()).collect()
        }
    }

    #[test]
    fn there_is_one_connection_until_it_is_full_and_what_has_room_again_is_filled_first() {
        let lane = Lane::over(None);
        let mut calls: Vec<_> = (0..3).map(|_| lane.place(3)).collect();
        assert_eq!(lane.calls(), [3], "a second was made for nothing");
        calls.extend((0..2).map(|_| lane.place(3)));
        assert_eq!(lane.calls()[..3], [3, 2, 0]);
        calls.remove(0);
        calls.push(lane.place(3));
        assert_eq!(lane.calls()[..3], [3, 2, 0]);
        drop(calls);
        assert_eq!(lane.calls(), [0; 1 + MORE]);
    }

    #[test]
    fn whoever_cannot_be_given_another_connection_goes_back_to_the_first_and_so_do_those_who_come_then() {
        let lane = Lane::over(None);
        let first = lane.place(1);
        let second = lane.place(1);
        assert!(lane.back(&first).is_none());
        let back = lane.back(&second).unwrap();
        let third = lane.place(1);
        drop(second);
        assert_eq!(lane.calls()[..2], [3, 0]);
        drop((back, third));
    }

    proptest! {
        /// Never does one of them have more than it is to have while another has room, and beyond that they have the same but for one.
        #[test]
        fn no_connection_is_over_full_while_another_has_room(full in 1usize..5, steps in prop::collection::vec(prop::option::of(any::<prop::sample::Index>()), 1..200)) {
            let lane = Lane::over(None);
            let mut calls = Vec::new();
            for ends in steps {
                match ends {
                    Some(which) if !calls.is_empty() => drop(calls.swap_remove(which.index(calls.len()))),
                    _ => {
                        let before = lane.calls();
                        calls.push(lane.place(full));
                        let least = before.iter().min().copied().filter(|_| before.len() > 1).unwrap_or_default();
                        let at = lane.calls().iter().zip(before.iter().chain(std::iter::repeat(&0))).position(|(now, before)| now > before).unwrap();
                        let had = before.get(at).copied().unwrap_or_default();
                        prop_assert!(had < full || had == least, "{before:?} and then one at {at}");
                    }
                }
                prop_assert_eq!(lane.calls().iter().sum::<usize>(), calls.len());
            }
        }
    }
}
