//! Tensors as JSON, lists in lists, and back.

use bytes::BytesMut;
use serde_json::Value;
use torchmesh_api::tensor::{Datatype, Tensor};
use torchmesh_pipeline::element::{Elements, Number, number, put, put_bytes};

/// What is in a file, as the one element of an input of BYTES.
pub(super) fn file(bytes: &[u8], wanted: &[i64]) -> Tensor {
    let mut data = BytesMut::with_capacity(bytes.len() + 4);
    put_bytes(&mut data, bytes);
    Tensor { datatype: Datatype::Bytes, shape: vec![1; wanted.len()], data: data.freeze() }
}

/// Reads a value for an input of this datatype and shape; the error says what to write.
pub(super) fn read(text: &str, datatype: Datatype, wanted: &[i64]) -> Result<Tensor, String> {
    let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    let (mut shape, mut data) = (Vec::new(), BytesMut::new());
    collect(&value, 0, &mut shape, datatype, &mut data)?;
    // A single value for a tensor of one element, whatever its dimensions.
    if shape.is_empty() {
        shape = vec![1; wanted.len()];
    }
    Ok(Tensor { datatype, shape, data: data.freeze() })
}

fn collect(value: &Value, depth: usize, shape: &mut Vec<i64>, datatype: Datatype, data: &mut BytesMut) -> Result<(), String> {
    let Value::Array(values) = value else {
        return if depth == shape.len() { element(value, datatype, data) } else { Err("has lists and values side by side".to_owned()) };
    };
    let length = i64::try_from(values.len()).map_err(|error| error.to_string())?;
    match shape.get(depth) {
        None if data.is_empty() => shape.push(length),
        Some(known) if *known == length => {}
        _ => return Err("has lists of different lengths side by side".to_owned()),
    }
    values.iter().try_for_each(|value| collect(value, depth + 1, shape, datatype, data))
}

fn element(value: &Value, datatype: Datatype, data: &mut BytesMut) -> Result<(), String> {
    match (datatype, value) {
        (Datatype::Bytes, Value::String(text)) => put_bytes(data, text.as_bytes()),
        (Datatype::Bytes, other) => put_bytes(data, other.to_string().as_bytes()),
        (_, Value::Bool(flag)) if datatype == Datatype::Bool => put(data, datatype, Number::Whole((*flag).into())),
        (_, Value::Number(given)) if datatype != Datatype::Bool => {
            let whole = given.as_i64().map(i128::from).or_else(|| given.as_u64().map(i128::from));
            put(data, datatype, whole.map_or_else(|| Number::Real(given.as_f64().unwrap_or(f64::NAN)), Number::Whole));
        }
        _ => return Err(format!("{value} is no {datatype}")),
    }
    Ok(())
}

/// A tensor as JSON.
pub(super) fn write(tensor: &Tensor) -> Result<Value, String> {
    let elements = Elements::of(tensor)?;
    let values = (0..elements.len()).map(|at| match number(tensor.datatype, &elements.one(at)) {
        None => Value::String(elements.text(at)),
        Some(Number::Whole(value)) if tensor.datatype == Datatype::Bool => Value::Bool(value != 0),
        // As short as its own datatype allows; JSON has no number that is none.
        Some(_) => serde_json::from_str(&elements.text(at)).unwrap_or(Value::Null),
    });
    let mut values: Vec<Value> = values.collect();
    for dim in tensor.shape.iter().skip(1).rev() {
        let length = usize::try_from(*dim).unwrap_or(1).max(1);
        values = values.chunks(length).map(|part| Value::Array(part.to_vec())).collect();
    }
    Ok(if tensor.shape.is_empty() { values.pop().unwrap_or(Value::Null) } else { Value::Array(values) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_written_with_their_dimensions() {
        for (text, datatype, shape) in [("[[1,2],[3,4]]", "INT64", vec![2, 2]), ("[0.1,2]", "FP32", vec![2]), ("[true]", "BOOL", vec![1])] {
            let tensor = read(text, datatype.parse().unwrap(), &[-1]).unwrap();
            assert_eq!(tensor.shape, shape);
            assert_eq!(write(&tensor).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_text_needs_no_quotes_and_a_single_value_no_brackets() {
        let tensor = read("You have won!", Datatype::Bytes, &[-1]).unwrap();
        assert_eq!((tensor.shape.clone(), write(&tensor).unwrap().to_string()), (vec![1], "[\"You have won!\"]".to_owned()));
        assert_eq!(read("7", Datatype::Int64, &[-1, 1]).unwrap(), Tensor::from_i64s([1, 1], &[7]));
    }

    #[test]
    fn a_file_is_one_element_whatever_is_in_it() {
        let tensor = file(b"\x89PNG", &[-1, 1]);
        assert_eq!((tensor.datatype, tensor.shape, &tensor.data[..]), (Datatype::Bytes, vec![1, 1], &b"\x04\0\0\0\x89PNG"[..]));
    }

    #[test]
    fn what_is_no_tensor_is_refused() {
        for (text, datatype) in [("[[1],[2,3]]", "INT64"), ("[1,[2]]", "INT64"), ("[[1],2]", "INT64"), ("[\"a\"]", "FP32"), ("[1]", "BOOL")]
        {
            assert!(read(text, datatype.parse().unwrap(), &[-1]).is_err(), "{text}");
        }
    }
}
