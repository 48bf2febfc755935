//! What a GGUF file says of the model, key by key.

use std::collections::BTreeMap;

/// A value of metadata. Numbers of all widths are one kind.
#[derive(Debug)]
pub(super) enum Value {
    Integer(i64),
    Float(f32),
    Bool(bool),
    Text(String),
    List(List),
}

impl Value {
    /// An integer, or a truth value as one.
    pub(super) fn integer(self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(number),
            Self::Bool(truth) => Some(truth.into()),
            _ => None,
        }
    }
}

/// The elements of a list. Texts need not be UTF-8: a token of a vocabulary may be a part of a character.
#[derive(Debug)]
pub(super) enum List {
    Integers(Vec<i64>),
    Floats(Vec<f32>),
    Texts(Vec<Box<[u8]>>),
}

/// All keys of a file.
#[derive(Debug, Default)]
pub(super) struct Metadata(pub(super) BTreeMap<String, Value>);

impl Metadata {
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        if let Some(Value::Text(text)) = self.0.get(key) { Some(text) } else { None }
    }

    /// A number that counts something, or names a token. A list whose elements are all the same counts as one number: some files say it for each layer.
    pub(super) fn count(&self, key: &str) -> Option<usize> {
        let number = match self.0.get(key)? {
            Value::Integer(number) => *number,
            Value::List(List::Integers(list)) if list.windows(2).all(|pair| pair[0] == pair[1]) => *list.first()?,
            _ => return None,
        };
        usize::try_from(number).ok()
    }

    pub(super) fn token(&self, key: &str) -> Option<u32> {
        self.count(key).and_then(|id| u32::try_from(id).ok())
    }

    /// A fraction, as the decimal number that its 32 bits are the nearest to: 1e-5, not 9.999999747378752e-6.
    pub(super) fn fraction(&self, key: &str) -> Option<f64> {
        let Value::Float(number) = self.0.get(key)? else { return None };
        number.to_string().parse().ok()
    }

    pub(super) fn truth(&self, key: &str) -> Option<bool> {
        if let Some(Value::Bool(truth)) = self.0.get(key) { Some(*truth) } else { None }
    }

    pub(super) fn texts(&self, key: &str) -> Option<&[Box<[u8]>]> {
        if let Some(Value::List(List::Texts(list))) = self.0.get(key) { Some(list) } else { None }
    }

    pub(super) fn integers(&self, key: &str) -> Option<&[i64]> {
        if let Some(Value::List(List::Integers(list))) = self.0.get(key) { Some(list) } else { None }
    }

    pub(super) fn floats(&self, key: &str) -> Option<&[f32]> {
        if let Some(Value::List(List::Floats(list))) = self.0.get(key) { Some(list) } else { None }
    }
}
