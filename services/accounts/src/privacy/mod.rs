//! Privacy: all that is kept about a tenant or a person, told as one document ([`export_tenant`], [`export_person`]).

mod export;
mod sections;
mod sink;

pub use export::{export_person, export_tenant};
pub use sink::{Piece, Sink};
