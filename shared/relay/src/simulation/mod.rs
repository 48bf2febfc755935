//! What policies do to callers: simulations of queues, without sockets and clocks.

mod prefix;
mod reported;
mod slow;
mod zones;

use std::{net::SocketAddr, sync::Arc};

use torchmesh_api::ids::InstanceId;

use crate::{Endpoint, Group, Groups, Place, RelayMetrics, RelaySettings, balance::BalanceSettings};

fn group(balance: BalanceSettings, count: usize) -> Arc<Group> {
    group_at(balance, &vec![Place::default(); count])
}

fn group_at(balance: BalanceSettings, places: &[Place]) -> Arc<Group> {
    let endpoint = |(at, place): (usize, &Place)| {
        let id = InstanceId::parse(&format!("worker-{at}")).unwrap();
        Arc::new(Endpoint::new(id, SocketAddr::from(([127, 0, 0, 1], 1)), 0).at(place.clone()))
    };
    let endpoints: Vec<_> = places.iter().enumerate().map(endpoint).collect();
    Groups::new(RelaySettings { balance, ..Default::default() }, RelayMetrics::default()).update("group", &endpoints)
}

fn exponential(random: &mut fastrand::Rng, mean: f64) -> u64 {
    (-mean * (1.0 - random.f64()).ln()) as u64
}
