//! A tensor as it is passed around: the bytes that arrived, and how to read them.

pub mod contents;

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

/// The element types of the Open Inference Protocol.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Datatype {
    /// One byte an element, 0 or 1.
    Bool,
    /// Unsigned, 8 bits.
    Uint8,
    /// Unsigned, 16 bits.
    Uint16,
    /// Unsigned, 32 bits.
    Uint32,
    /// Unsigned, 64 bits.
    Uint64,
    /// Signed, 8 bits.
    Int8,
    /// Signed, 16 bits.
    Int16,
    /// Signed, 32 bits.
    Int32,
    /// Signed, 64 bits.
    Int64,
    /// IEEE half precision.
    Fp16,
    /// bfloat16.
    Bf16,
    /// IEEE single precision.
    Fp32,
    /// IEEE double precision.
    Fp64,
    /// Strings of bytes, each prefixed with its length (4 bytes, little-endian).
    Bytes,
}

impl Datatype {
    /// Every type, in the order of the protocol's table.
    pub const ALL: [Self; 14] = [
        Self::Bool,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Fp16,
        Self::Bf16,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    /// The protocol's name, for example `INT64`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp16 => "FP16",
            Self::Bf16 => "BF16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// Bytes an element; `None` for `BYTES`, whose elements differ in length.
    pub const fn element_size(self) -> Option<usize> {
        match self {
            Self::Bool | Self::Uint8 | Self::Int8 => Some(1),
            Self::Uint16 | Self::Int16 | Self::Fp16 | Self::Bf16 => Some(2),
            Self::Uint32 | Self::Int32 | Self::Fp32 => Some(4),
            Self::Uint64 | Self::Int64 | Self::Fp64 => Some(8),
            Self::Bytes => None,
        }
    }
}

impl fmt::Display for Datatype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The protocol has no element type of this name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("\"{0}\" is not a datatype; use one of BOOL, UINT8 to UINT64, INT8 to INT64, FP16, BF16, FP32, FP64, BYTES")]
pub struct UnknownDatatype(pub String);

impl FromStr for Datatype {
    type Err = UnknownDatatype;

    fn from_str(name: &str) -> Result<Self, UnknownDatatype> {
        Self::ALL.into_iter().find(|datatype| datatype.name() == name).ok_or_else(|| UnknownDatatype(name.chars().take(32).collect()))
    }
}

/// A dense tensor. The fields are open: whoever builds one by hand answers for [`Tensor::is_consistent`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tensor {
    /// How to read an element.
    pub datatype: Datatype,
    /// The length of each dimension, outermost first; empty for a scalar.
    pub shape: Vec<i64>,
    /// The elements, little-endian, row-major.
    pub data: Bytes,
}

impl Tensor {
    /// An `INT64` tensor of `values`.
    pub fn from_i64s(shape: impl Into<Vec<i64>>, values: &[i64]) -> Self {
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { datatype: Datatype::Int64, shape: shape.into(), data }
    }

    /// An `FP32` tensor of `values`.
    pub fn from_f32s(shape: impl Into<Vec<i64>>, values: &[f32]) -> Self {
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { datatype: Datatype::Fp32, shape: shape.into(), data }
    }

    /// The elements as `f32`; `None` unless the datatype is `FP32`.
    pub fn to_f32s(&self) -> Option<Vec<f32>> {
        let read = |chunk: &[u8; 4]| f32::from_le_bytes(*chunk);
        (self.datatype == Datatype::Fp32).then(|| self.data.as_chunks().0.iter().map(read).collect())
    }

    /// Whether no element is NaN or infinite; true for datatypes that have neither.
    pub fn is_finite(&self) -> bool {
        // The exponent's bits are all set in what is not a number, and in infinity.
        match self.datatype {
            Datatype::Fp32 => self.data.as_chunks().0.iter().all(|chunk| f32::from_le_bytes(*chunk).is_finite()),
            Datatype::Fp64 => self.data.as_chunks().0.iter().all(|chunk| f64::from_le_bytes(*chunk).is_finite()),
            Datatype::Fp16 => self.data.as_chunks().0.iter().all(|chunk| u16::from_le_bytes(*chunk) & 0x7c00 != 0x7c00),
            Datatype::Bf16 => self.data.as_chunks().0.iter().all(|chunk| u16::from_le_bytes(*chunk) & 0x7f80 != 0x7f80),
            _ => true,
        }
    }

    /// The elements as `i64`; `None` unless the datatype is `INT64`.
    pub fn to_i64s(&self) -> Option<Vec<i64>> {
        let read = |chunk: &[u8; 8]| i64::from_le_bytes(*chunk);
        (self.datatype == Datatype::Int64).then(|| self.data.as_chunks().0.iter().map(read).collect())
    }

    /// The number of elements that the shape promises; `None` when a dimension is negative or the product overflows.
    pub fn elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1_usize, |product, &dim| product.checked_mul(usize::try_from(dim).ok()?))
    }

    /// Cuts a consistent tensor before row `rows` (of the first dimension) without copying; both halves share its bytes.
    pub fn split_rows(&self, rows: usize) -> (Self, Self) {
        let total = self.shape.first().map_or(0, |&dim| usize::try_from(dim).unwrap_or(0));
        let at = match self.datatype.element_size() {
            Some(_) if total > 0 => self.data.len() / total * rows.min(total),
            Some(_) => 0,
            None => self.bytes_offset(self.elements().unwrap_or(0).checked_div(total).unwrap_or(0) * rows.min(total)),
        };
        let part = |rows: usize, data| {
            let mut shape = self.shape.clone();
            if let Some(first) = shape.first_mut() {
                *first = i64::try_from(rows).unwrap_or(i64::MAX);
            }
            Self { datatype: self.datatype, shape, data }
        };
        (part(rows.min(total), self.data.slice(..at)), part(total.saturating_sub(rows), self.data.slice(at..)))
    }

    /// Where element `index` of a `BYTES` tensor begins.
    fn bytes_offset(&self, index: usize) -> usize {
        bytes_elements(&self.data).take(index).map_while(|element| Some(element?.len() + 4)).sum()
    }

    /// Whether the data is exactly as long as shape and datatype say. Always false for `BYTES`, whose length only a walk
    /// through the elements can tell.
    pub fn is_consistent(&self) -> bool {
        let expected = self.elements().zip(self.datatype.element_size()).and_then(|(count, size)| count.checked_mul(size));
        expected == Some(self.data.len())
    }
}

/// The elements of a `BYTES` tensor; `None` in place of one that the data ends in.
pub fn bytes_elements(data: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = data;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let element = rest.split_first_chunk::<4>().and_then(|(length, after)| {
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            Some((after.get(..length)?, after.get(length..)?))
        });
        rest = element.map_or(&[], |(_, after)| after);
        Some(element.map(|(found, _)| found))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_datatype_is_found_again_by_its_name() {
        for datatype in Datatype::ALL {
            assert_eq!(datatype.name().parse(), Ok(datatype));
        }
        assert!("int64".parse::<Datatype>().is_err(), "names are upper case in the protocol");
    }

    #[test]
    fn a_shape_that_does_not_fit_the_data_is_seen() {
        let mut tensor = Tensor::from_f32s([2, 3], &[0.0; 6]);
        assert!(tensor.is_consistent());
        for shape in [vec![2, 2], vec![-2, -3], vec![i64::MAX, i64::MAX], vec![]] {
            tensor.shape = shape;
            assert!(!tensor.is_consistent(), "{:?}", tensor.shape);
        }
    }

    #[test]
    fn values_survive_the_bytes() {
        let values = [1.5, -0.0, f32::MAX];
        assert_eq!(Tensor::from_f32s([3], &values).to_f32s(), Some(values.to_vec()));
        assert_eq!(Tensor::from_i64s([2], &[-1, i64::MAX]).to_i64s(), Some(vec![-1, i64::MAX]));
        assert_eq!(Tensor::from_i64s([1], &[1]).to_f32s(), None);
    }

    #[test]
    fn what_is_no_number_is_seen_in_every_datatype_that_has_it() {
        let of = |datatype, data: &[u8]| Tensor { datatype, shape: vec![], data: Bytes::copy_from_slice(data) }.is_finite();
        assert!(Tensor::from_f32s([2], &[0.0, f32::MAX]).is_finite() && Tensor::from_i64s([1], &[-1]).is_finite());
        assert!(!Tensor::from_f32s([2], &[0.0, f32::NAN]).is_finite() && !Tensor::from_f32s([1], &[f32::NEG_INFINITY]).is_finite());
        assert!(!of(Datatype::Fp64, &f64::NAN.to_le_bytes()) && of(Datatype::Fp64, &1e300_f64.to_le_bytes()));
        assert!(!of(Datatype::Fp16, &[0x00, 0x7c]) && of(Datatype::Fp16, &[0xff, 0x7b]));
        assert!(!of(Datatype::Bf16, &[0xc0, 0xff]) && of(Datatype::Bf16, &[0x7f, 0x7f]));
    }

    #[test]
    fn a_tensor_is_cut_between_rows() {
        let (front, back) = Tensor::from_i64s([3, 2], &[1, 2, 3, 4, 5, 6]).split_rows(1);
        assert_eq!((front, back), (Tensor::from_i64s([1, 2], &[1, 2]), Tensor::from_i64s([2, 2], &[3, 4, 5, 6])));
        let words = Bytes::from_static(b"\x01\0\0\0a\x03\0\0\0bcd\0\0\0\0");
        let (front, back) = Tensor { datatype: Datatype::Bytes, shape: vec![3], data: words }.split_rows(2);
        assert_eq!((front.data.len(), back.data.len(), back.shape[0]), (12, 4, 1));
        let (whole, nothing) = front.split_rows(usize::MAX);
        assert_eq!((whole, nothing.shape[0], nothing.data.len()), (front, 0, 0));
    }

    #[test]
    fn a_bytes_tensor_that_ends_in_an_element_is_seen() {
        let elements = |data: &'static [u8]| bytes_elements(data).collect::<Vec<_>>();
        assert_eq!(elements(b"\x01\0\0\0a\0\0\0\0"), [Some(&b"a"[..]), Some(b"")]);
        assert_eq!(elements(b"\x05\0\0\0a"), [None]);
        assert_eq!(elements(b"\x01\0"), [None]);
    }
}
