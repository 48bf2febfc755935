//! How much a caller may use: rate limits, quotas and budgets (see [`torchmesh_limits`]), applied to every call.
//!
//! A call carries a [`Ticket`]. What is known to be used up is refused at once ([`layer`]), before anything is read. Everything else is decided where a
//! call leaves for a router, whichever door it came by: there the model and the size of the question are known, and one question to the fleet
//! is enough. A call that never leaves for a router is charged when it is answered. When the answer's body ends or is dropped, the ticket
//! is settled by what was measured.

pub mod address;
pub mod body;
pub mod estimate;
pub mod headers;
pub mod lanes;
pub mod layer;
mod metrics;
pub mod refused;
pub mod settings;
pub mod ticket;
pub mod told;

pub use lanes::{Lanes, Limits};
pub use layer::Limit;
pub use settings::LimitsSettings;
pub use ticket::Ticket;
pub use told::Telling;
