//! What a credential may do: the scopes ([`Scopes`]) and the models ([`ModelGrants`]) that it was given.

mod grants;
mod scopes;

pub use grants::{ModelGrants, PatternError};
pub use scopes::{Scope, ScopeError, Scopes};
