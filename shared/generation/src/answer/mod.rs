//! The [`Author`](crate::Author) of one answer: chooses its tokens, makes text of them, and tells both to whoever asked.

mod counts;
mod event;
mod rank;
#[cfg(test)]
mod tests;
mod writer;

pub use counts::{Counts, MAX_ANSWERS, max_new};
pub use event::{Ended, Event, Failure, Piece, Reason, Written, WrittenLikely};
pub use rank::likeliest;
pub use writer::{Answer, Plan, answer};
