//! Models in their repositories: fetched, taken over, loaded, changed and unloaded.

mod importing;
mod lifecycle;
mod model_sources;
mod repository_chaos;
mod your_own_model;
