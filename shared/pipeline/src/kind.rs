//! What a tensor is like, as far as it is known before there is one.

use std::{collections::HashMap, fmt, hash::BuildHasher};

use serde_json::Value;
use torchmesh_api::tensor::{Datatype, Tensor};

/// A length that is not known before the tensor is there.
pub const ANY: i64 = -1;

/// A datatype and a shape; a dimension of -1 is of any length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorType {
    /// How an element is read.
    pub datatype: Datatype,
    /// The length of each dimension, outermost first.
    pub shape: Vec<i64>,
}

impl TensorType {
    /// A type.
    pub fn new(datatype: Datatype, shape: impl Into<Vec<i64>>) -> Self {
        Self { datatype, shape: shape.into() }
    }

    /// The type of a tensor that is there.
    pub fn of(tensor: &Tensor) -> Self {
        Self::new(tensor.datatype, tensor.shape.clone())
    }

    /// Whether a tensor of the other type can be one of this: where a length is unknown on either side, it may.
    pub fn takes(&self, other: &Self) -> bool {
        self.datatype == other.datatype && same_shape(&self.shape, &other.shape)
    }

    /// The type of what is of either type; `None` where nothing is of both kinds.
    pub fn or(&self, other: &Self) -> Option<Self> {
        let same = self.datatype == other.datatype && self.shape.len() == other.shape.len();
        let either = |(a, b): (&i64, &i64)| if a == b { *a } else { ANY };
        same.then(|| Self::new(self.datatype, self.shape.iter().zip(&other.shape).map(either).collect::<Vec<_>>()))
    }
}

fn same_shape(a: &[i64], b: &[i64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b || *a == ANY || *b == ANY)
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.datatype, self.shape)
    }
}

/// A tensor of a model or a pipeline, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// What it is like.
    pub kind: TensorType,
}

impl Named {
    /// A named type.
    pub fn new(name: impl Into<String>, kind: TensorType) -> Self {
        Self { name: name.into(), kind }
    }
}

/// What a model or a pipeline takes and gives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signature {
    /// The inputs; all of them are needed.
    pub inputs: Vec<Named>,
    /// The outputs.
    pub outputs: Vec<Named>,
}

/// What a model takes in place of its tensors, the texts or files that they are made of, and what it then gives: as it says in the properties of its
/// description. `None`: it takes tensors alone.
pub fn content<S: BuildHasher>(properties: &HashMap<String, String, S>) -> Option<Signature> {
    let listed = |name: &str| -> Option<Vec<Named>> {
        let all: Vec<Value> = serde_json::from_str(properties.get(name)?).ok()?;
        all.iter().map(tensor).collect()
    };
    Some(Signature { inputs: listed("content_inputs")?, outputs: listed("content_outputs")? })
}

fn tensor(value: &Value) -> Option<Named> {
    let shape: Option<Vec<i64>> = value["shape"].as_array()?.iter().map(Value::as_i64).collect();
    Some(Named::new(value["name"].as_str()?, TensorType::new(value["datatype"].as_str()?.parse::<Datatype>().ok()?, shape?)))
}

/// The one of this name.
pub fn find<'a>(all: &'a [Named], name: &str) -> Option<&'a TensorType> {
    all.iter().find(|named| named.name == name).map(|named| &named.kind)
}

/// The names, for a message.
pub fn names(all: &[Named]) -> String {
    all.iter().map(|named| named.name.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_length_takes_any_and_is_taken_by_any() {
        let of = |shape: &[i64]| TensorType::new(Datatype::Fp32, shape);
        assert!(of(&[-1, 3]).takes(&of(&[2, 3])) && of(&[2, 3]).takes(&of(&[2, -1])));
        assert!(!of(&[2]).takes(&of(&[3])) && !of(&[2]).takes(&of(&[2, 1])));
        assert!(!of(&[2]).takes(&TensorType::new(Datatype::Fp64, [2])));
        assert_eq!(of(&[2, 3]).or(&of(&[2, 4])), Some(of(&[2, -1])));
        assert_eq!(of(&[2]).or(&of(&[2, 2])), None);
    }

    #[test]
    fn what_a_model_takes_in_place_of_its_tensors_is_read_from_its_properties() {
        let of = |inputs: &str| {
            let told = [("content_inputs", inputs), ("content_outputs", r#"[{"name":"score","datatype":"FP32","shape":[-1,2]}]"#)];
            content(&told.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
        };
        let text = r#"[{"name":"text","datatype":"BYTES","shape":[-1]}]"#;
        let outputs = vec![Named::new("score", TensorType::new(Datatype::Fp32, [-1, 2]))];
        assert_eq!(of(text), Some(Signature { inputs: vec![Named::new("text", TensorType::new(Datatype::Bytes, [-1]))], outputs }));
        assert_eq!((of("[{}]"), of("text"), content(&HashMap::new())), (None, None, None));
    }
}
