//! One hop of the mesh: a gRPC call goes on to an endpoint as the bytes that arrived.
//!
//! The crate drives `h2` directly: no message is decoded, frames are handed from one connection to the other by reference, and each
//! data thread has its own connection to each endpoint, so that nothing on the way takes a contended lock. Around that stand the
//! choice of the endpoint ([`pick`]), the retry within a budget ([`budget`], [`send`]) and what may be replayed ([`source`]).

pub mod answer;
pub mod body;
pub mod budget;
pub mod endpoint;
pub mod outgoing;
pub mod pick;
pub mod send;
pub mod source;

mod attempt;
mod connection;
mod pump;
mod unary;

/// Any error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub use answer::Answer;
pub use body::RelayBody;
pub use endpoint::{Endpoint, Endpoints};
pub use send::{Call, Relay, RetrySettings};
pub use source::Source;
pub use unary::Reply;
