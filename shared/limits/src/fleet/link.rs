//! A connection to the server that has answered.

use std::time::Duration;

use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, RedisError, aio::MultiplexedConnection};

use super::{
    Fleet,
    ask::{self, Correction},
};
use crate::{
    cell::Now,
    charge::{Charge, Charges},
};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(1);
/// How long an answer is waited for that no call waits for any more.
const LATE: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Clone)]
pub struct Link {
    connection: MultiplexedConnection,
    admit: String,
    settle: String,
    alive: String,
    /// As the server knows this lane, for as long as the link lives.
    lane: String,
    lanes: String,
    gateways: String,
    gateway: String,
    /// Which link of this process it is, from 1.
    pub number: u32,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("lane", &self.lane).finish_non_exhaustive()
    }
}

impl Link {
    /// Connects, and teaches the server the scripts.
    pub(super) async fn open(fleet: &Fleet, number: u32) -> Result<Self, RedisError> {
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(LATE));
        let mut connection = fleet.client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut hashes = [const { String::new() }; 3];
        for (hash, script) in hashes.iter_mut().zip([include_str!("admit.lua"), include_str!("settle.lua"), include_str!("alive.lua")]) {
            *hash = redis::cmd("SCRIPT").arg("LOAD").arg(script).query_async(&mut connection).await?;
        }
        let [admit, settle, alive] = hashes;
        let (lane, gateway) = (format!("{}-{number}", fleet.name), fleet.name.clone());
        let (lanes, gateways) = (format!("{}:lanes", fleet.prefix), format!("{}:gateways", fleet.prefix));
        Ok(Self { connection, admit, settle, alive, lane, lanes, gateways, gateway, number })
    }

    /// Says that this lane is alive; gives how many gateways there are.
    pub(super) async fn beat(&self) -> Result<u32, RedisError> {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.alive).arg(2).arg(&self.lanes).arg(&self.gateways).arg(&self.lane).arg(&self.gateway);
        self.send(command).await
    }

    /// What to send to have a call decided.
    pub(super) fn question(&self, charges: &[Charge], now: &Now, epoch: u32) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.admit).arg(charges.len() + 1).arg(&self.lanes);
        for charge in charges {
            command.arg(ask::key(charge, now));
        }
        command.arg(&self.lane);
        for charge in charges {
            ask::write(charge, now, epoch, &mut command);
        }
        command
    }

    /// Sends it.
    pub(super) async fn send<A: FromRedisValue>(&self, command: Cmd) -> Result<A, RedisError> {
        command.query_async(&mut self.connection.clone()).await
    }

    /// Corrects counts.
    pub(super) async fn correct(&self, corrections: &[Correction]) -> Result<(), RedisError> {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.settle).arg(corrections.len());
        for correction in corrections {
            command.arg(&correction.key);
        }
        command.arg(&self.lane);
        for correction in corrections {
            correction.write(&mut command);
        }
        self.send(command).await.map(|_: i64| ())
    }

    /// Takes back what was charged to a call that did not wait for it.
    pub(super) async fn undo(&self, charges: &Charges, now: &Now) -> Result<(), RedisError> {
        self.correct(&ask::undo(charges, now)).await
    }
}
