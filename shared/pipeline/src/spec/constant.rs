//! A tensor that is written in the file: `{ datatype = "FP32", shape = [2], data = [0.5, 1] }`.

use bytes::BytesMut;
use toml::{Table, Value};
use torchmesh_api::tensor::{Datatype, Tensor};

use crate::element::{Number, put, put_bytes};

/// The longest constant, in elements: larger ones are a model's or a caller's to give.
const MOST: usize = 65_536;

/// Reads one; the error says what to write.
pub(super) fn read(table: &Table) -> Result<Tensor, String> {
    let form = "a constant has datatype, shape and data, such as { datatype = \"FP32\", shape = [2], data = [0.5, 1] }";
    if let Some(other) = table.keys().find(|key| !["datatype", "shape", "data"].contains(&key.as_str())) {
        return Err(format!("has {other}; {form}"));
    }
    let datatype: Datatype = table.get("datatype").and_then(Value::as_str).ok_or(form)?.parse().map_err(|error| format!("{error}"))?;
    let shape: Option<Vec<i64>> =
        table.get("shape").and_then(Value::as_array).and_then(|dims| dims.iter().map(Value::as_integer).collect());
    let (shape, data) = (shape.ok_or(form)?, table.get("data").and_then(Value::as_array).ok_or(form)?);
    let tensor = Tensor { datatype, shape, data: bytes::Bytes::new() };
    if tensor.elements() != Some(data.len()) || data.len() > MOST {
        return Err(format!("its data has {} elements, at most {MOST} of which are good, and its shape is {:?}", data.len(), tensor.shape));
    }
    let mut out = BytesMut::new();
    for (at, value) in data.iter().enumerate() {
        element(&mut out, datatype, value).ok_or_else(|| format!("element {at} of its data is {value}, which is no {datatype}"))?;
    }
    Ok(Tensor { data: out.freeze(), ..tensor })
}

fn element(out: &mut BytesMut, datatype: Datatype, value: &Value) -> Option<()> {
    let number = match (datatype, value) {
        (Datatype::Bytes, Value::String(text)) => {
            put_bytes(out, text.as_bytes());
            return Some(());
        }
        (Datatype::Bool, Value::Boolean(flag)) => Number::Whole((*flag).into()),
        (Datatype::Bytes | Datatype::Bool, _) => return None,
        (_, Value::Integer(value)) => Number::Whole((*value).into()),
        (Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64, Value::Float(value)) => Number::Real(*value),
        _ => return None,
    };
    put(out, datatype, number);
    Some(())
}
