//! What a credential may do: the scopes ([`Scopes`]) and the models ([`ModelGrants`]) that it was given, and the form of API keys ([`key`]).

mod grants;
pub mod key;
mod scopes;

pub use grants::{ModelGrants, PatternError};
pub use scopes::{Scope, ScopeError, Scopes};
