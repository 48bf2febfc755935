//! Pages for everybody.

pub mod home;
pub mod models;
pub(super) mod offer;
