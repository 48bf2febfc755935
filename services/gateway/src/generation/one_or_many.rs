//! A text, or a list of texts: how many fields of these doors may be sent.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor, value::SeqAccessDeserializer},
};

use crate::bounded::AtMost;

/// At most `N` texts.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct OneOrMany<const N: usize>(pub(crate) Vec<String>);

impl<'de, const N: usize> Deserialize<'de> for OneOrMany<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Texts)
    }
}

struct Texts<const N: usize>;

impl<'de, const N: usize> Visitor<'de> for Texts<N> {
    type Value = OneOrMany<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E>(self, text: &str) -> Result<OneOrMany<N>, E> {
        Ok(OneOrMany(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, texts: A) -> Result<OneOrMany<N>, A::Error> {
        AtMost::<String, N>::deserialize(SeqAccessDeserializer::new(texts)).map(|texts| OneOrMany(texts.0))
    }
}
