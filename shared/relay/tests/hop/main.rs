//! Calls through one hop.

mod fake;
mod one_hop;
mod resilience;
