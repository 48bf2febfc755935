//! Answers that are held to a form: JSON of a schema, a regular expression, a grammar.
//!
//! The work is done by `llguidance`: it walks a grammar and the tree of all tokens at once and says which tokens may come next.

mod form;
mod grammar;
mod matcher;
#[cfg(test)]
mod tests;

pub(crate) use form::bound_blanks;
pub use form::{Form, MAX_CHOICES, MAX_FORM_BYTES, MAX_REGEX_BYTES};
pub use grammar::{Grammar, Grammars, GrammarsError};
pub use matcher::{Broken, Mask, Matcher};
