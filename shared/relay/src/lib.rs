//! One hop of the mesh: a gRPC call goes on to an endpoint as the bytes that arrived.
//!
//! The crate drives `h2` directly: no message is decoded, frames are handed from one connection to the other by reference, and each
//! data thread has its own connection to each endpoint, so that nothing on the way takes a contended lock. Around that stand the
//! choice of the endpoint ([`groups`], [`group`], [`balance`], [`breaker`]), the retry within a budget ([`send`]), the second endpoint for
//! a call that takes too long ([`hedge`]), and what may be replayed ([`source`]). What services ask each other beside that goes over tonic's channels ([`channel`]).

pub mod answer;
pub mod balance;
pub mod body;
pub mod breaker;
pub mod channel;
pub mod endpoint;
pub mod group;
pub mod groups;
pub mod hedge;
pub mod latencies;
pub mod messages;
pub mod metrics;
pub mod outgoing;
pub mod send;
pub mod settings;
pub mod source;

mod attempt;
mod clock;
mod connection;
mod lane;
mod pump;
mod record;
mod shot;
#[cfg(test)]
mod simulation;
mod standing;
mod ticket;
pub mod tls;
mod transport;
mod unary;

/// Any error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub use answer::Answer;
pub use balance::{Affinity, Steering};
pub use body::RelayBody;
pub use breaker::Blame;
pub use endpoint::{Endpoint, Endpoints, Place};
pub use group::Group;
pub use groups::Groups;
pub use hedge::HedgeSettings;
pub use messages::Messages;
pub use metrics::RelayMetrics;
pub use send::{Call, Relay};
pub use settings::{RelaySettings, RetrySettings};
pub use source::{Copied, Source};
pub use unary::Reply;
