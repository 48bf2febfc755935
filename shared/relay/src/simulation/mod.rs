//! What policies do to callers: simulations of queues, without sockets and clocks.

mod prefix;
mod reported;
mod slow;

use std::{net::SocketAddr, sync::Arc};

use torchmesh_api::ids::InstanceId;

use crate::{Endpoint, Group, Groups, RelayMetrics, RelaySettings, balance::BalanceSettings};

fn group(balance: BalanceSettings, count: usize) -> Arc<Group> {
    let endpoint = |at: usize| {
        let id = InstanceId::parse(&format!("worker-{at}")).unwrap();
        Arc::new(Endpoint::new(id, SocketAddr::from(([127, 0, 0, 1], 1)), 0))
    };
    let endpoints: Vec<_> = (0..count).map(endpoint).collect();
    Groups::new(RelaySettings { balance, ..Default::default() }, RelayMetrics::default()).update("group", &endpoints)
}

fn exponential(random: &mut fastrand::Rng, mean: f64) -> u64 {
    (-mean * (1.0 - random.f64()).ln()) as u64
}
