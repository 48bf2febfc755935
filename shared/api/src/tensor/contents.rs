//! The data of one input, from raw bytes or from typed fields.

use super::{Datatype, bytes_elements};
use crate::inference::InferTensorContents;
use bytes::{BufMut as _, Bytes, BytesMut};

/// Checks raw bytes for `elements` elements; the error says what came and what to send.
pub fn raw(datatype: Datatype, elements: usize, data: Bytes) -> Result<Bytes, String> {
    let Some(size) = datatype.element_size() else {
        let mut found = 0_usize;
        for element in bytes_elements(&data) {
            if element.is_none() {
                return Err(format!(
                    "its raw data ends within element {found}; put the length (4 bytes, little-endian) before each element"
                ));
            }
            found += 1;
        }
        return if found == elements { Ok(data) } else { Err(format!("its raw data has {found} elements, and its shape says {elements}")) };
    };
    match elements.checked_mul(size) {
        Some(want) if want == data.len() => Ok(data),
        Some(want) => Err(format!("its raw data has {} bytes, and its shape and datatype say {want}", data.len())),
        None => Err("its shape is larger than any message".to_owned()),
    }
}

/// Turns typed contents into bytes; the error says what came and what to send.
pub fn typed(datatype: Datatype, elements: usize, contents: &InferTensorContents) -> Result<Bytes, String> {
    let c = contents;
    match datatype {
        Datatype::Bool => collect("bool_contents", elements, &c.bool_contents, |out, &value| out.put_u8(u8::from(value))),
        Datatype::Int8 => narrow("int_contents", elements, &c.int_contents, |value| Some(i8::try_from(value).ok()?.to_le_bytes())),
        Datatype::Int16 => narrow("int_contents", elements, &c.int_contents, |value| Some(i16::try_from(value).ok()?.to_le_bytes())),
        Datatype::Int32 => collect("int_contents", elements, &c.int_contents, |out, &value| out.put_i32_le(value)),
        Datatype::Int64 => collect("int64_contents", elements, &c.int64_contents, |out, &value| out.put_i64_le(value)),
        Datatype::Uint8 => narrow("uint_contents", elements, &c.uint_contents, |value| Some(u8::try_from(value).ok()?.to_le_bytes())),
        Datatype::Uint16 => narrow("uint_contents", elements, &c.uint_contents, |value| Some(u16::try_from(value).ok()?.to_le_bytes())),
        Datatype::Uint32 => collect("uint_contents", elements, &c.uint_contents, |out, &value| out.put_u32_le(value)),
        Datatype::Uint64 => collect("uint64_contents", elements, &c.uint64_contents, |out, &value| out.put_u64_le(value)),
        Datatype::Fp32 => collect("fp32_contents", elements, &c.fp32_contents, |out, &value| out.put_f32_le(value)),
        Datatype::Fp64 => collect("fp64_contents", elements, &c.fp64_contents, |out, &value| out.put_f64_le(value)),
        Datatype::Bytes => {
            if let Some(long) = c.bytes_contents.iter().position(|element| u32::try_from(element.len()).is_err()) {
                return Err(format!("element {long} is longer than 4 GiB"));
            }
            collect("bytes_contents", elements, &c.bytes_contents, |out, value| {
                out.put_u32_le(value.len() as u32);
                out.extend_from_slice(value);
            })
        }
        Datatype::Fp16 | Datatype::Bf16 => Err(format!("{datatype} has no typed field; send it in raw_input_contents")),
    }
}

fn collect<T>(field: &str, elements: usize, values: &[T], put: impl Fn(&mut BytesMut, &T)) -> Result<Bytes, String> {
    count(field, elements, values.len())?;
    let mut out = BytesMut::with_capacity(size_of_val(values));
    for value in values {
        put(&mut out, value);
    }
    Ok(out.freeze())
}

fn narrow<T: Copy + std::fmt::Display, const N: usize>(
    field: &str,
    elements: usize,
    values: &[T],
    fit: impl Fn(T) -> Option<[u8; N]>,
) -> Result<Bytes, String> {
    count(field, elements, values.len())?;
    let mut out = BytesMut::with_capacity(values.len() * N);
    for (at, &value) in values.iter().enumerate() {
        out.extend_from_slice(&fit(value).ok_or_else(|| format!("element {at} of {field} is {value}, which its datatype cannot hold"))?);
    }
    Ok(out.freeze())
}

fn count(field: &str, want: usize, have: usize) -> Result<(), String> {
    if have == want {
        Ok(())
    } else {
        Err(format!("{field} has {have} elements, and its shape says {want}; typed data goes into {field} for this datatype"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_values_become_the_same_bytes_as_raw_ones() {
        let contents = InferTensorContents {
            int_contents: vec![-1, 2],
            bytes_contents: vec![Bytes::from_static(b"ab"), Bytes::new()],
            ..Default::default()
        };
        assert_eq!(typed(Datatype::Int8, 2, &contents).unwrap(), &[0xff, 2][..]);
        assert_eq!(typed(Datatype::Int32, 2, &contents).unwrap(), &[0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0][..]);
        let words = typed(Datatype::Bytes, 2, &contents).unwrap();
        assert_eq!(words, &b"\x02\0\0\0ab\0\0\0\0"[..]);
        assert_eq!(raw(Datatype::Bytes, 2, words.clone()).unwrap(), words);
    }

    #[test]
    fn a_value_that_its_datatype_cannot_hold_is_named() {
        let contents = InferTensorContents { int_contents: vec![1, 300], ..Default::default() };
        let error = typed(Datatype::Int8, 2, &contents).unwrap_err();
        assert!(error.contains("element 1 of int_contents is 300"), "{error}");
    }

    #[test]
    fn data_in_the_wrong_field_is_told_where_to_go() {
        let contents = InferTensorContents { fp32_contents: vec![1.0], ..Default::default() };
        let error = typed(Datatype::Int64, 1, &contents).unwrap_err();
        assert!(error.contains("int64_contents has 0 elements, and its shape says 1"), "{error}");
    }

    #[test]
    fn raw_strings_whose_lengths_do_not_add_up_are_refused() {
        for (data, part) in
            [(&b"\x09\0\0\0ab"[..], "ends within element 0"), (b"\0\0\0\0", "has 1 elements, and its shape says 2"), (b"", "has 0")]
        {
            let error = raw(Datatype::Bytes, 2, Bytes::from_static(data)).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
