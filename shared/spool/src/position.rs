//! A place in the spool.

use std::{fmt, str::FromStr};

/// A file and a byte of it. Later records have greater positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// The file's number.
    pub segment: u64,
    /// The byte, from the file's beginning.
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.segment, self.offset)
    }
}

/// A text that is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPosition;

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let (segment, offset) = text.trim_end().split_once(' ').ok_or(NoPosition)?;
        Ok(Self { segment: segment.parse().map_err(|_| NoPosition)?, offset: offset.parse().map_err(|_| NoPosition)? })
    }
}
