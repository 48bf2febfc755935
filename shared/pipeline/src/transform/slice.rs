//! `slice`: the part of a dimension from `begin` to before `end`.

use bytes::{Bytes, BytesMut};
use torchmesh_api::tensor::Tensor;
use torchmesh_settings::Section;

use super::{Given, Rule, axis, only, product};
use crate::{
    element::{Elements, dimension},
    kind::{ANY, TensorType},
};

/// `axis` (0), `begin` (0) and `end` (the last); all of them may be negative, and then count from the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The dimension.
    pub axis: i64,
    /// The first that is in.
    pub begin: i64,
    /// The first that is not; none: all behind `begin` are in.
    pub end: Option<i64>,
}

impl Slice {
    pub(super) fn read(s: &mut Section) -> Self {
        Self { axis: s.or("axis", 0), begin: s.or("begin", 0), end: s.optional("end") }
    }

    /// From where to where, of a dimension of this length.
    fn range(&self, length: i64) -> Result<(i64, i64), String> {
        let place = |at: i64| if at < 0 { length + at } else { at };
        let (begin, end) = (place(self.begin), self.end.map_or(length, place));
        let good = 0 <= begin && begin < end && end <= length;
        if good { Ok((begin, end)) } else { Err(format!("slices {begin} to {end} of a dimension of {length}, which is nothing of it")) }
    }
}

impl Rule for Slice {
    fn infer(&self, inputs: &[Given<TensorType>]) -> Result<Vec<TensorType>, String> {
        let mut kind = only(inputs)?.clone();
        let at = axis(self.axis, kind.shape.len())?;
        kind.shape[at] = match kind.shape[at] {
            ANY => match (self.begin, self.end) {
                // Both counted from the same side: as long as it is there, the length is known.
                (begin, Some(end)) if (begin < 0) == (end < 0) && begin < end => end - begin,
                (begin, None) if begin < 0 => begin.checked_neg().ok_or_else(|| format!("begins at {begin}, which no dimension has"))?,
                _ => ANY,
            },
            length => self.range(length).map(|(begin, end)| end - begin)?,
        };
        Ok(vec![kind])
    }

    fn apply(&self, inputs: &[Given<Tensor>]) -> Result<Vec<Tensor>, String> {
        let tensor = only(inputs)?;
        let elements = Elements::of(tensor)?;
        let at = axis(self.axis, tensor.shape.len())?;
        let (begin, end) = self.range(tensor.shape[at])?;
        let (outer, length, inner) = (product(&tensor.shape[..at]), product(&tensor.shape[at..=at]), product(&tensor.shape[at + 1..]));
        let (first, last) = (product(&[begin]), product(&[end]));
        let part = |row: usize| elements.bytes((row * length + first) * inner..(row * length + last) * inner);
        let data = if tensor.data.is_empty() {
            // There may be any number of rows without anything.
            Bytes::new()
        } else if outer == 1 {
            // One piece of what is there: no copy.
            part(0)
        } else {
            let mut out = BytesMut::with_capacity(tensor.data.len() / length.max(1) * (last - first));
            (0..outer).for_each(|row| out.extend_from_slice(&part(row)));
            out.freeze()
        };
        let mut shape = tensor.shape.clone();
        shape[at] = dimension(last - first);
        Ok(vec![Tensor { datatype: tensor.datatype, shape, data }])
    }
}
