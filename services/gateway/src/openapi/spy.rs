//! What a reader of JSON takes, asked of the reader itself: it is given a body that has the one field whose inside is wanted, and what it then asks for is
//! noted.

use std::cell::RefCell;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor, value::Error},
    forward_to_deserialize_any,
};

use crate::generation::fields::seen;

/// A step into a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A field of an object.
    Field(String),
    /// An entry of a list.
    Entry,
}

/// What a reader asks for at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// An object with these fields.
    Fields(Vec<String>),
    /// One of these words.
    Words(Vec<String>),
    /// Text.
    Text,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// A list.
    List,
    /// An object with any names.
    Map,
    /// Several kinds are taken, and which is decided by what comes.
    Any,
}

/// What `T` asks for at the place, and whether null is taken there as well; `None` where it never looks.
pub(super) fn asked<'de, T: Deserialize<'de>>(place: &'de [Step]) -> Option<(Asked, bool)> {
    let found = RefCell::new(None);
    seen::take();
    // It is stopped as soon as it has asked.
    let _ = T::deserialize(Spy { place, nullable: false, found: &found });
    found.into_inner()
}

#[derive(Clone, Copy)]
struct Spy<'de, 'f> {
    place: &'de [Step],
    nullable: bool,
    found: &'f RefCell<Option<(Asked, bool)>>,
}

impl<'de> Spy<'de, '_> {
    /// Notes what is asked for here and stops; goes on where the place is further inside.
    fn here(&self, asked: Asked) -> Result<(), Error> {
        if self.place.is_empty() {
            self.found.replace(Some((asked, self.nullable)));
            return Err(Error::custom("asked"));
        }
        Ok(())
    }

    fn inside<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.place {
            [Step::Field(name), rest @ ..] => {
                visitor.visit_map(One { key: Some(name), value: Spy { place: rest, nullable: false, ..self } })
            }
            [Step::Entry, rest @ ..] => visitor.visit_seq(Only(Some(Spy { place: rest, nullable: false, ..self }))),
            [] => Err(Error::custom("nothing is there")),
        }
    }
}

macro_rules! leaves {
    ($($method:ident => $asked:expr),+ $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.here($asked)?;
            self.inside(visitor)
        })+
    };
}

impl<'de> Deserializer<'de> for Spy<'de, '_> {
    type Error = Error;

    leaves! {
        deserialize_any => Asked::Any, deserialize_bool => Asked::Flag,
        deserialize_u8 => Asked::Whole, deserialize_u16 => Asked::Whole, deserialize_u32 => Asked::Whole, deserialize_u64 => Asked::Whole,
        deserialize_i64 => Asked::Whole, deserialize_i32 => Asked::Whole, deserialize_f32 => Asked::Number, deserialize_f64 => Asked::Number,
        deserialize_str => Asked::Text, deserialize_string => Asked::Text, deserialize_seq => Asked::List,
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(Self { nullable: true, ..self })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        self.here(Asked::Any)?;
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(self, _: &'static str, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.here(Asked::Fields(fields.iter().map(|&name| name.to_owned()).collect()))?;
        self.inside(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, words: &'static [&'static str], _: V) -> Result<V::Value, Error> {
        self.here(Asked::Words(words.iter().map(|&word| word.to_owned()).collect()))?;
        Err(Error::custom("a word has nothing inside"))
    }

    /// A map's names are any; those of a body that is read by its fields are those that it lists while it looks for one.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if !self.place.is_empty() {
            return self.inside(visitor);
        }
        let nowhere = RefCell::new(None);
        seen::take();
        let _ = visitor.visit_map(One { key: Some("\u{0}"), value: Spy { place: &[], nullable: false, found: &nowhere } });
        let names = seen::take();
        self.here(if names.is_empty() { Asked::Map } else { Asked::Fields(names.into_iter().map(str::to_owned).collect()) })?;
        Err(Error::custom("asked"))
    }

    forward_to_deserialize_any! { i8 i16 i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any }
}

/// An object of one field.
struct One<'de, 'f> {
    key: Option<&'de str>,
    value: Spy<'de, 'f>,
}

impl<'de> MapAccess<'de> for One<'de, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(key) = self.key.take() else { return Ok(None) };
        seed.deserialize(serde::de::value::BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(self.value)
    }
}

/// A list of one entry.
struct Only<'de, 'f>(Option<Spy<'de, 'f>>);

impl<'de> SeqAccess<'de> for Only<'de, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.take().map(|spy| seed.deserialize(spy)).transpose()
    }
}
