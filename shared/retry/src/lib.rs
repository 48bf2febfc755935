//! Sending a failed call again, as the services and the client decide it alike: how many calls may be ([`RetryBudget`]), how long to wait
//! ([`Backoff`]), and what the server said about it ([`Hint`]). Nothing here knows a clock, chance or a connection: time and draws are arguments.

mod backoff;
mod budget;
mod hint;

pub use backoff::Backoff;
pub use budget::RetryBudget;
pub use hint::Hint;
