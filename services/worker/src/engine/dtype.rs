//! The number format that a model computes in.

use std::{fmt, str::FromStr};

/// What a model's weights are held in and multiplied as, written `auto`, `fp32`, `bf16`, `fp16`, `int8` or `int4`.
///
/// It is a model's inside: what callers send and get keeps the datatypes of the manifest.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Dtype {
    /// As the artefact stores them; the native encoder takes `fp32`. It takes `bf16` on a CPU too, with one thread a forward: the embeddings, what
    /// is added up and what is normalised stay in single precision. On a GPU it takes `bf16` and `fp16`, for all of it.
    #[default]
    Auto,
    /// Single precision.
    Fp32,
    /// The upper half of single precision: its range, 8 bits of its digits.
    Bf16,
    /// Half precision: 11 bits of digits, nothing above 65504.
    Fp16,
    /// Whole numbers from -127 to 127, with a scale for each output of a layer; what they are multiplied by stays in single precision. Language models on
    /// a CPU alone.
    Int8,
    /// Whole numbers from -8 to 7, with a scale for each 32 of an output's weights; what they are multiplied by becomes whole numbers of one byte, with a scale
    /// for each 32 as well. Embeddings, and what gives the logits, are as in `int8`. Language models on a CPU alone.
    Int4,
}

impl Dtype {
    /// Every format, by its word.
    pub const ALL: [(&'static str, Self); 6] = [
        ("auto", Self::Auto),
        ("fp32", Self::Fp32),
        ("bf16", Self::Bf16),
        ("fp16", Self::Fp16),
        ("int8", Self::Int8),
        ("int4", Self::Int4),
    ];

    /// The format's word in a manifest.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, dtype)| *dtype == self).map_or("", |(name, _)| name)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no format.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("\"{0}\" is not a dtype; use \"auto\", \"fp32\", \"bf16\", \"fp16\", \"int8\" or \"int4\"")]
pub struct UnknownDtype(pub String);

impl FromStr for Dtype {
    type Err = UnknownDtype;

    fn from_str(text: &str) -> Result<Self, UnknownDtype> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, dtype)| *dtype);
        found.ok_or_else(|| UnknownDtype(text.chars().take(32).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dtype_is_read_as_it_is_written() {
        for (name, dtype) in Dtype::ALL {
            assert_eq!((dtype.to_string().as_str(), name.parse()), (name, Ok(dtype)));
        }
        assert!("FP32".parse::<Dtype>().is_err());
    }
}
