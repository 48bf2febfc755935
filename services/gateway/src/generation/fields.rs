//! A body's fields, taken by their names as they come. What a door does not know it passes over, as clients of such doors expect; what it
//! knows and cannot take is told with its place in the body.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::Refused;

/// What a body may hold.
///
/// Several of them can share a body, which a derived `Deserialize` allows only at the price of losing the place of a mistake.
pub(crate) trait Fields: Default {
    /// Takes the value of a field; false, and nothing taken, where there is no such field.
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error>;
}

/// The body of [`Fields::take`]: each name is a field of the same name.
macro_rules! take {
    ($self:ident, $name:ident, $map:ident, $($field:ident),+ $(,)?) => {{
        #[cfg(test)]
        $crate::generation::fields::seen::note(&[$(stringify!($field)),+]);
        match $name {
            $(stringify!($field) => { $self.$field = $map.next_value()?; Ok(true) })+
            _ => Ok(false),
        }
    }};
}
pub(crate) use take;

/// An object of JSON, read by its fields.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Fields> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

struct Entries<T>(PhantomData<T>);

impl<'de, T: Fields> Visitor<'de> for Entries<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<T>, A::Error> {
        let mut fields = T::default();
        while let Some(name) = map.next_key::<String>()? {
            if !fields.take(&name, &mut map)? {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Object(fields))
    }
}

/// Reads a body. The error names the place of what is wrong.
pub(crate) fn parse<T: Fields>(json: &[u8]) -> Result<T, Refused> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let Object(fields) = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        match (path.as_str(), error.into_inner()) {
            // What is no JSON is wrong wherever the reader happens to be.
            ("." | "?", error) => Refused::body(format!("the body cannot be read: {error}")),
            (_, error) if !error.is_data() => Refused::body(format!("the body cannot be read: {error}")),
            (path, error) => Refused::field(path, error),
        }
    })?;
    deserializer.end().map_err(|error| Refused::body(format!("the body cannot be read: {error}")))?;
    Ok(fields)
}

/// Which names [`take`] lists: what a test compares with what is written of a door's body.
#[cfg(test)]
pub(crate) mod seen {
    use std::cell::RefCell;

    thread_local! {
        static NAMES: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
    }

    /// Adds names.
    pub(crate) fn note(names: &[&'static str]) {
        NAMES.with_borrow_mut(|all| all.extend_from_slice(names));
    }

    /// Those that were added since they were last taken on this thread.
    pub(crate) fn take() -> Vec<&'static str> {
        NAMES.take()
    }
}
