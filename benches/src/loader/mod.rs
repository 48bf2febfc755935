//! The load generator: pre-encoded unary calls, sent by callers in a closed loop or at a rate of their own.
//!
//! Every answer is checked (HTTP status, `grpc-status`, one whole message). A call that the server has certainly not touched
//! (a connection that is going away, a refused stream) goes once more, as gRPC clients do; nothing else is retried.

mod arrivals;
mod call;
mod connection;
mod options;
mod pace;
mod run;
mod tally;

pub use options::{Options, OptionsError};
pub use run::run;
