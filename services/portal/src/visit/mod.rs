//! Who looks, in which language, and whether what they send is theirs to send: found out once, before any page is made.

mod establish;
mod person;
mod theme;

use std::fmt;

use axum::extract::FromRequestParts;
use http::request::Parts;

pub use establish::establish;
pub use person::{Operator, Person};
pub use theme::Theme;

use crate::{
    app::{App, Shared},
    fail::Fail,
    guard::csrf,
    text::{Language, Texts},
};

/// One request, as pages see it. Cheap enough to clone.
#[derive(Clone)]
pub struct Visit {
    /// What everything stands on.
    pub app: Shared,
    /// The language of the page.
    pub language: Language,
    /// Light, dark, or as the system is.
    pub theme: Theme,
    /// Who is signed in.
    pub standing: Standing,
    /// The path and what is behind it, to come back to.
    pub path: String,
    /// The caller's address, as attempts are counted by.
    pub address: String,
    /// What the forms are bound to.
    secret: String,
}

/// Who is signed in.
#[derive(Debug, Clone)]
pub enum Standing {
    /// Nobody.
    Nobody,
    /// Somebody.
    Member(Box<Person>),
    /// The accounts do not answer: it cannot be known.
    Unknown,
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What forms are bound to is a secret, and addresses may have tokens in them.
        f.debug_struct("Visit").field("language", &self.language).field("standing", &self.standing).finish_non_exhaustive()
    }
}

impl Visit {
    /// The texts of the language.
    pub fn texts(&self) -> Texts<'_> {
        self.app.words.of(self.language)
    }

    /// One text.
    pub fn say<'a>(&'a self, key: &'a str) -> &'a str {
        self.texts().get(key)
    }

    /// What everything stands on.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The token of the page's forms.
    pub fn csrf(&self) -> String {
        csrf::token(&self.secret)
    }

    /// What the browser is known by when it comes back from a provider.
    pub fn binding(&self) -> String {
        csrf::binding(&self.secret)
    }

    /// Whoever is signed in.
    pub fn person(&self) -> Option<&Person> {
        match &self.standing {
            Standing::Member(person) => Some(person),
            Standing::Nobody | Standing::Unknown => None,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fail> {
        // Every page is behind `establish`; a route that is not is a fault of ours.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Fail::new(http::StatusCode::INTERNAL_SERVER_ERROR))
    }
}
