//! Pages for everybody.

pub mod home;
pub mod models;
mod offer;
