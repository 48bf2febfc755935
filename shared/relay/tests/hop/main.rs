//! Calls through one hop.

mod fake;
mod messages;
mod one_hop;
mod resilience;
