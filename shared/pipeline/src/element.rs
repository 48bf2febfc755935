//! The elements of a tensor: where each is, which number it is, and how it reads.

use std::{borrow::Cow, ops::Range};

use bytes::{BufMut as _, Bytes, BytesMut};
use half::{bf16, f16};
use torchmesh_api::tensor::{Datatype, Tensor, bytes_elements};

use Number::{Real, Whole};

/// A number of any datatype but BYTES.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// Of a datatype of whole numbers, or BOOL.
    Whole(i128),
    /// Of a datatype of floating-point numbers.
    Real(f64),
}

impl Number {
    /// The nearest number with a fraction.
    pub fn real(self) -> f64 {
        match self {
            Whole(value) => value as f64,
            Real(value) => value,
        }
    }
}

/// Where the elements of a tensor are.
#[derive(Debug)]
pub struct Elements<'a> {
    tensor: &'a Tensor,
    /// Of BYTES: where each begins, and behind the last one the end.
    offsets: Option<Vec<usize>>,
    count: usize,
}

impl<'a> Elements<'a> {
    /// Looks at a tensor. The error says that it is not whole.
    pub fn of(tensor: &'a Tensor) -> Result<Self, String> {
        let count = tensor.elements().ok_or("a tensor has an impossible shape")?;
        if tensor.datatype.element_size().is_some() {
            return if tensor.is_consistent() { Ok(Self { tensor, offsets: None, count }) } else { Err(unfit(tensor)) };
        }
        let mut offsets = vec![0];
        for element in bytes_elements(&tensor.data) {
            let length = element.ok_or_else(|| unfit(tensor))?.len() + 4;
            offsets.push(offsets[offsets.len() - 1] + length);
        }
        if offsets.len() == count + 1 { Ok(Self { tensor, offsets: Some(offsets), count }) } else { Err(unfit(tensor)) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bytes of some elements, those of their lengths among them. The range is within the tensor.
    pub fn bytes(&self, range: Range<usize>) -> Bytes {
        let at = |element: usize| match &self.offsets {
            Some(offsets) => offsets[element],
            None => element * self.tensor.datatype.element_size().unwrap_or(0),
        };
        self.tensor.data.slice(at(range.start)..at(range.end))
    }

    /// The bytes of one element, without that of its length.
    pub fn one(&self, at: usize) -> Bytes {
        let whole = self.bytes(at..at + 1);
        if self.offsets.is_some() { whole.slice(4..) } else { whole }
    }

    /// An element as a person reads it.
    pub fn text(&self, at: usize) -> String {
        let bytes = self.one(at);
        match number(self.tensor.datatype, &bytes) {
            None => String::from_utf8_lossy(&bytes).into_owned(),
            Some(Whole(value)) if self.tensor.datatype == Datatype::Bool => (value != 0).to_string(),
            Some(Whole(value)) => value.to_string(),
            // As short as its own datatype allows: 0.1 and not 0.10000000149.
            Some(Real(value)) if self.tensor.datatype == Datatype::Fp64 => value.to_string(),
            Some(Real(value)) => (value as f32).to_string(),
        }
    }
}

fn unfit(tensor: &Tensor) -> String {
    format!("a tensor's data has not the length that {} {:?} says", tensor.datatype, tensor.shape)
}

/// An element's number; `None` of BYTES.
pub fn number(datatype: Datatype, bytes: &[u8]) -> Option<Number> {
    fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
        bytes.first_chunk().copied().unwrap_or([0; N])
    }
    Some(match datatype {
        Datatype::Bool | Datatype::Uint8 => Whole(u8::from_le_bytes(fixed(bytes)).into()),
        Datatype::Uint16 => Whole(u16::from_le_bytes(fixed(bytes)).into()),
        Datatype::Uint32 => Whole(u32::from_le_bytes(fixed(bytes)).into()),
        Datatype::Uint64 => Whole(u64::from_le_bytes(fixed(bytes)).into()),
        Datatype::Int8 => Whole(i8::from_le_bytes(fixed(bytes)).into()),
        Datatype::Int16 => Whole(i16::from_le_bytes(fixed(bytes)).into()),
        Datatype::Int32 => Whole(i32::from_le_bytes(fixed(bytes)).into()),
        Datatype::Int64 => Whole(i64::from_le_bytes(fixed(bytes)).into()),
        Datatype::Fp16 => Real(f16::from_le_bytes(fixed(bytes)).into()),
        Datatype::Bf16 => Real(bf16::from_le_bytes(fixed(bytes)).into()),
        Datatype::Fp32 => Real(f32::from_le_bytes(fixed(bytes)).into()),
        Datatype::Fp64 => Real(f64::from_le_bytes(fixed(bytes))),
        Datatype::Bytes => return None,
    })
}

/// All numbers of a tensor. The error says that it has none, or is not whole.
pub fn numbers(tensor: &Tensor) -> Result<Vec<Number>, String> {
    Elements::of(tensor)?;
    let size = tensor.datatype.element_size().ok_or("BYTES has no numbers")?;
    Ok(tensor.data.chunks_exact(size).filter_map(|bytes| number(tensor.datatype, bytes)).collect())
}

/// Writes a number as one of a datatype: the nearest that it has, a fraction cut off where it has none. BYTES gets its text.
pub fn put(out: &mut BytesMut, datatype: Datatype, number: Number) {
    fn whole<T: TryFrom<i128>>(number: Number, least: T, most: T) -> T {
        let value = match number {
            Whole(value) => value,
            Real(value) => value as i128,
        };
        T::try_from(value).unwrap_or(if value < 0 { least } else { most })
    }
    match datatype {
        Datatype::Bool => out.put_u8(u8::from(number.real() != 0.0)),
        Datatype::Uint8 => out.put_u8(whole(number, u8::MIN, u8::MAX)),
        Datatype::Uint16 => out.put_u16_le(whole(number, u16::MIN, u16::MAX)),
        Datatype::Uint32 => out.put_u32_le(whole(number, u32::MIN, u32::MAX)),
        Datatype::Uint64 => out.put_u64_le(whole(number, u64::MIN, u64::MAX)),
        Datatype::Int8 => out.put_i8(whole(number, i8::MIN, i8::MAX)),
        Datatype::Int16 => out.put_i16_le(whole(number, i16::MIN, i16::MAX)),
        Datatype::Int32 => out.put_i32_le(whole(number, i32::MIN, i32::MAX)),
        Datatype::Int64 => out.put_i64_le(whole(number, i64::MIN, i64::MAX)),
        Datatype::Fp16 => out.put_u16_le(f16::from_f64(number.real()).to_bits()),
        Datatype::Bf16 => out.put_u16_le(bf16::from_f64(number.real()).to_bits()),
        Datatype::Fp32 => out.put_f32_le(number.real() as f32),
        Datatype::Fp64 => out.put_f64_le(number.real()),
        Datatype::Bytes => match number {
            Whole(value) => put_bytes(out, value.to_string().as_bytes()),
            Real(value) => put_bytes(out, value.to_string().as_bytes()),
        },
    }
}

/// Writes an element of BYTES.
pub fn put_bytes(out: &mut BytesMut, element: &[u8]) {
    out.put_u32_le(u32::try_from(element.len()).unwrap_or(u32::MAX));
    out.put_slice(element);
}

/// A BYTES tensor of texts.
pub fn texts<'a>(shape: impl Into<Vec<i64>>, texts: impl IntoIterator<Item = Cow<'a, str>>) -> Tensor {
    let mut data = BytesMut::new();
    texts.into_iter().for_each(|text| put_bytes(&mut data, text.as_bytes()));
    Tensor { datatype: Datatype::Bytes, shape: shape.into(), data: data.freeze() }
}

/// A length as a dimension.
pub fn dimension(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_becomes_the_nearest_one_of_its_datatype() {
        let written = |datatype, number| {
            let mut out = BytesMut::new();
            put(&mut out, datatype, number);
            super::number(datatype, &out)
        };
        assert_eq!(written(Datatype::Int8, Whole(300)), Some(Whole(127)));
        assert_eq!(written(Datatype::Uint8, Real(-4.0)), Some(Whole(0)));
        assert_eq!(written(Datatype::Int64, Real(2.9)), Some(Whole(2)));
        assert_eq!(written(Datatype::Int64, Real(f64::NAN)), Some(Whole(0)));
        assert_eq!(written(Datatype::Uint64, Whole(u64::MAX.into())), Some(Whole(u64::MAX.into())));
        assert_eq!(written(Datatype::Bool, Real(0.5)), Some(Whole(1)));
        assert_eq!(written(Datatype::Fp16, Whole(3)), Some(Real(3.0)));
    }

    #[test]
    fn an_element_reads_as_a_person_writes_it() {
        let floats = Tensor::from_f32s([2], &[0.1, 2.0]);
        let elements = Elements::of(&floats).unwrap();
        assert_eq!((elements.text(0), elements.text(1)), ("0.1".to_owned(), "2".to_owned()));
        let words = texts([2], ["spam".into(), "".into()]);
        assert_eq!(Elements::of(&words).unwrap().text(0), "spam");
        let flag = Tensor { datatype: Datatype::Bool, shape: vec![1], data: Bytes::from_static(&[1]) };
        assert_eq!(Elements::of(&flag).unwrap().text(0), "true");
    }

    #[test]
    fn a_tensor_that_is_not_whole_is_refused() {
        let mut tensor = Tensor::from_i64s([2], &[1, 2]);
        tensor.shape = vec![3];
        assert!(Elements::of(&tensor).is_err());
        let mut words = texts([2], ["a".into(), "b".into()]);
        words.data.truncate(7);
        assert!(Elements::of(&words).is_err());
    }
}
