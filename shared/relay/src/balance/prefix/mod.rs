//! Who has read the beginning of a prompt before, as far as can be told by what was sent where.
//!
//! A language model keeps what it has read, and reads a prompt from where it differs from that. So a prompt is cut into blocks ([`blocks`]), and it is
//! remembered for each of them which endpoints were last sent a prompt that begins so ([`index`]). That is a guess: an endpoint may have let go of it since. A wrong one costs what a call
//! by any other policy costs.

pub mod blocks;
pub mod index;

pub use blocks::{Prefix, Reading};
pub use index::{PrefixIndex, Seat};
