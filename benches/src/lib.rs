//! What the standing measurements (`benches/run.py`) are made with.
//!
//! Two programs, both on the bare `h2` crate and one thread, so that they cost as little as possible beside what they measure:
//! `torchmesh-loader` ([`loader`]) sends pre-encoded unary gRPC calls over and over and checks every answer;
//! `torchmesh-echo` ([`echo`]) answers any unary call with the same small `ModelInferResponse`.

pub mod body;
pub mod echo;
pub mod grpc;
pub mod histogram;
pub mod loader;
pub mod procstat;
