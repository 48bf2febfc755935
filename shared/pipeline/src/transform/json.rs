//! `json`: a field of each of some JSON texts.

use bytes::BytesMut;
use serde_json::Value;
use torchmesh_api::tensor::{Datatype, Tensor};
use torchmesh_settings::Section;

use super::{Given, Rule, datatype, only};
use crate::{
    element::{Elements, Number, put, put_bytes},
    kind::TensorType,
};

/// `pick` (a JSON pointer such as `/answer/score`), `to` (a datatype; objects become BYTES with their JSON) and `default` (a JSON text, for texts without the field).
#[derive(Debug, Clone, PartialEq)]
pub struct Json {
    /// The pointer of RFC 6901.
    pub pick: String,
    /// The datatype.
    pub to: Datatype,
    /// What a text has that does not have the field, or is no JSON.
    pub default: Option<Value>,
}

impl Json {
    pub(super) fn read(s: &mut Section) -> Option<Self> {
        let pick = s.required::<String>("pick");
        let good = pick.as_ref().is_none_or(|pick| pick.is_empty() || pick.starts_with('/'));
        s.check(good, "pick", "must be a JSON pointer, such as /answer/score");
        let to = datatype(s, "to");
        let default = s.optional::<String>("default").and_then(|text| match serde_json::from_str(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                s.problem("default", format!("must be a JSON text, such as '0' or '\"none\"': {error}"));
                None
            }
        });
        let (pick, to) = (pick?, to?);
        let fits = default.as_ref().is_none_or(|value| written(&mut BytesMut::new(), to, value).is_some());
        s.check(fits, "default", format!("is no {to}"));
        Some(Self { pick, to, default })
    }
}

/// `None` where a value is not of the datatype.
fn written(out: &mut BytesMut, to: Datatype, value: &Value) -> Option<()> {
    match (to, value) {
        (Datatype::Bytes, Value::String(text)) => put_bytes(out, text.as_bytes()),
        (Datatype::Bytes, other) => put_bytes(out, other.to_string().as_bytes()),
        (Datatype::Bool, Value::Bool(flag)) => put(out, to, Number::Whole((*flag).into())),
        (Datatype::Bool, _) => return None,
        (_, Value::Number(number)) => {
            let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
            put(out, to, whole.map_or_else(|| number.as_f64().map(Number::Real), |whole| Some(Number::Whole(whole)))?);
        }
        _ => return None,
    }
    Some(())
}

impl Rule for Json {
    fn infer(&self, inputs: &[Given<TensorType>]) -> Result<Vec<TensorType>, String> {
        let kind = only(inputs)?;
        if kind.datatype != Datatype::Bytes {
            return Err(format!("takes BYTES with JSON texts, not {}", kind.datatype));
        }
        Ok(vec![TensorType::new(self.to, kind.shape.clone())])
    }

    fn apply(&self, inputs: &[Given<Tensor>]) -> Result<Vec<Tensor>, String> {
        let tensor = only(inputs)?;
        let elements = Elements::of(tensor)?;
        let mut out = BytesMut::new();
        for at in 0..elements.len() {
            let text: Option<Value> = serde_json::from_slice(&elements.one(at)).ok();
            let found = text.as_ref().and_then(|text| text.pointer(&self.pick));
            let good = found.and_then(|value| written(&mut out, self.to, value));
            let good = good.or_else(|| written(&mut out, self.to, self.default.as_ref()?));
            good.ok_or_else(|| format!("text {at} has no {} at \"{}\"", self.to, self.pick))?;
        }
        Ok(vec![Tensor { datatype: self.to, shape: tensor.shape.clone(), data: out.freeze() }])
    }
}
