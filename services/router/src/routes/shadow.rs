//! A version that gets copies of calls, and whose answers nobody sees.

use torchmesh_relay::balance::ring::hash;

use super::Destination;

/// Where copies go.
#[derive(Debug, Clone, PartialEq)]
pub struct Shadow {
    /// Whose answers are compared with those that callers get; it names a version.
    pub to: Destination,
    /// `percent`: how many of the route's calls are copied. Default 10.
    pub percent: f64,
    /// `compare`: when two answers agree. Default `values`.
    pub compare: Compare,
    /// `tolerance`: how far apart two numbers may be, `tolerance * (1 + the caller's)`, as numpy's `allclose` has it. Default 0.01.
    pub tolerance: f64,
}

/// When two answers agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compare {
    /// Every number is near the other's, everything else the same.
    #[default]
    Values,
    /// The largest number along the last axis is at the same place (of a typed answer: the label with the highest score is the same): for scores, which every training
    /// changes a little.
    Argmax,
}

impl Shadow {
    /// Whether a call is among the `percent`; `draw` is a random number, which may have decided other things too.
    pub fn takes(&self, draw: u64) -> bool {
        let chance = (hash(&("shadow", draw)) >> 11) as f64 / (1_u64 << 53) as f64;
        chance * 100.0 < self.percent
    }
}
