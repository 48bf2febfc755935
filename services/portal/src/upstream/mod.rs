//! Who is asked: the accounts, the gateway, a router.

mod accounts;
mod bearer;
mod gateway;
mod router;

pub use accounts::{Accounts, As, Billing, Listings, Privacy, SignIn, Used, Webhooks};
pub use bearer::{WithToken, token_in};
pub(crate) use gateway::unreachable;
pub use gateway::{Described, Gateway, Listed, Tensor};
pub use router::Router;

use std::time::Duration;

use tonic::{Request, transport::Channel};
use torchmesh_relay::channel::{Lazy, Peer};
use torchmesh_runtime::process::StartError;

/// A connection that is made when it is needed, and again when it is lost.
fn channel(peer: &Peer) -> Result<Channel, StartError> {
    Ok(Lazy::to(peer)?.channel())
}

/// A request that has to be answered within a time.
fn within<T>(timeout: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}
