//! The models of this worker: found in the repository, loaded, kept up with it, and looked up by name and version.

pub(crate) mod artefact;
mod fetch;
mod keeper;
mod load;
mod model;
mod plan;
mod registry;
mod repository;
mod table;
mod watch;

pub use fetch::{Fetcher, fetcher};
pub use load::LoadContext;
pub(crate) use load::{engine_spec, load_task};
pub use model::{Artefact, Intake, Model, Serving, State, TextModel};
pub use registry::Registry;
pub(crate) use repository::version_of;
pub use table::IndexEntry;
pub(crate) use table::shown;
pub use watch::watch;
