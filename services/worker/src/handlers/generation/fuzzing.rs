//! What the fuzz target of the gateway's doors holds this service to (`fuzz/`); it is in no build but that and the tests'.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a broken promise is told")]

use std::sync::Arc;

use torchmesh_api::text::v1::GenerationSettings;
use torchmesh_generation::sample::Sampling;

use super::settings::held;

/// More tokens than any id is.
const VOCABULARY: usize = 1 << 32;

/// Settings that the gateway has taken: a model that has every token takes them too.
pub fn asked(settings: &GenerationSettings) {
    let ends: Arc<[u32]> = [2].into();
    let wishes =
        held(settings.clone(), &Sampling::default(), &ends, VOCABULARY).unwrap_or_else(|refused| panic!("{refused}: {settings:?}"));
    assert_eq!((wishes.max_tokens, &*wishes.stopping.stop), (settings.max_tokens, &*settings.stop));
}
