//! The worker: runs models.

pub mod engine;
pub mod tensor;
