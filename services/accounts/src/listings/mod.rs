//! The marketplace: what is said of each model, by whom and to whom, and what the mesh has measured of it.
//!
//! A listing is what is shown; what may be called is a matter of grants and routes. It goes on by steps ([`Standing`]), each of which is one [`crate::store::Change`]: two who change one at once are one who
//! does and one who is told to read it again. Whoever has used a model that is deprecated or retired is told ([`fn@attend`]).

mod attend;
mod change;
mod content;
mod figures;
mod find;
mod notices;
mod state;

pub use attend::{attend, look};
pub use change::{New, change, create, delete, step};
pub use content::{Audience, Content, LANGUAGES, Text, Version};
pub use figures::{Figures, figures};
pub use find::{Filter, find, list};
pub use notices::{Notice, list as notices};
pub use state::{By, NOTICE_MS, Standing, State, Step};

/// Who provides a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of a tenant")]
pub struct Provider {
    pub id: String,
    pub name: String,
    pub display_name: String,
}

/// A listing, as it is kept, and as far as whoever asked may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `torchmesh.accounts.v1.Listing`")]
pub struct Listing {
    pub id: String,
    pub model: String,
    /// None: the platform.
    pub provider: Option<Provider>,
    pub standing: Standing,
    /// In lists, the summaries alone.
    pub content: Content,
    pub everyone: bool,
    /// The names of the tenants that it is for. Not in lists.
    pub tenants: Vec<String>,
    pub created_ms: i64,
    /// Empty where whoever asked may not see it.
    pub successor: String,
    pub revision: i64,
}

impl Listing {
    /// Whose it is, as changes have it.
    fn owner(&self) -> &str {
        self.provider.as_ref().map_or("", |provider| &provider.id)
    }
}
