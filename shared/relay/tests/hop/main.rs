//! Calls through one hop.

mod connections;
mod fake;
mod messages;
mod one_hop;
mod resilience;
