//! The models of this worker: found in the repository, loaded, and looked up by name and version.

mod load;
mod model;
mod registry;
mod repository;

pub use load::LoadContext;
pub use model::{Model, Serving, State, TextModel};
pub(crate) use registry::shown;
pub use registry::{IndexEntry, Registry};
pub use repository::{Found, FoundVersion, scan};
