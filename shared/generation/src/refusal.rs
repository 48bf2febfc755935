//! What a caller asked for and cannot have.

/// A setting that is refused. Its message begins with the setting's name and says what would be taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct Refusal {
    /// The setting, by the name that callers know it by.
    pub field: &'static str,
    /// What is wrong with it, and what would not be.
    pub why: String,
}

impl Refusal {
    /// A refusal of `field`.
    pub fn new(field: &'static str, why: impl Into<String>) -> Self {
        Self { field, why: why.into() }
    }
}
