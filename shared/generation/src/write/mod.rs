//! Tokens turned into text, piece by piece.
//!
//! A text is what the bytes of its tokens are in UTF-8; bytes that are none become U+FFFD, as [`String::from_utf8_lossy`] has it. [`Words`] knows the
//! bytes of each token, [`Text`] makes whole characters of them, [`Stops`] holds back what may be the beginning of a stop text.

mod decoder;
mod stopping;
mod stops;
#[cfg(test)]
pub(crate) mod tests;
mod text;
mod words;

pub use stopping::{MAX_STOP_BYTES, MAX_STOP_TOKENS, MAX_STOPS, Stopping};
pub use stops::Stops;
pub use text::Text;
pub use words::{Words, WordsError};
