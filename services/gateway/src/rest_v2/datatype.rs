//! The protocol's datatypes, as JSON has them.

use serde::{Deserialize as _, Deserializer, de::Error as _};

pub(crate) use torchmesh_api::tensor::Datatype;

/// Reads a name, for a field that has one.
pub(super) fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Datatype, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map_err(|_| {
        let (shown, all) = (name.chars().take(32).collect::<String>(), Datatype::ALL.map(Datatype::name).join(", "));
        D::Error::custom(format!("datatype is {shown:?}; send one of {all}"))
    })
}
