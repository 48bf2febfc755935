//! What messages about listings say.

use torchmesh_api::accounts::v1 as api;

use crate::{
    error::{Refusal, Result},
    listings::{Audience, Content, State, Text, Version},
};

pub(super) fn content(task: String, texts: Vec<api::ListingText>, versions: Vec<api::ListingVersion>) -> Content {
    let text = |api::ListingText { language, summary, description, terms }| Text { language, summary, description, terms };
    let version = |api::ListingVersion { version, day_unix_ms, text }| Version { version, day_ms: day_unix_ms, text };
    Content { task, texts: texts.into_iter().map(text).collect(), versions: versions.into_iter().map(version).collect() }
}

pub(super) fn audience(told: Option<api::ListingAudience>) -> Option<Audience> {
    told.map(|api::ListingAudience { everyone, tenants }| Audience { everyone, tenants })
}

/// A state, if one is said.
pub(super) fn state(told: i32) -> Result<Option<State>> {
    match api::ListingState::try_from(told) {
        Ok(api::ListingState::Unspecified) => Ok(None),
        Ok(api::ListingState::Draft) => Ok(Some(State::Draft)),
        Ok(api::ListingState::Published) => Ok(Some(State::Published)),
        Ok(api::ListingState::Deprecated) => Ok(Some(State::Deprecated)),
        Ok(api::ListingState::Retired) => Ok(Some(State::Retired)),
        Err(_) => Err(Refusal::Invalid("state: must be draft, published, deprecated or retired".to_owned())),
    }
}
