//! One file of tensors in the form of safetensors: the length of a header in eight bytes, the header in JSON, and the elements.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use crate::{Element, TensorLayout, WeightsError, file::Source};

/// The longest header that is read, in bytes; the published implementation has the same limit.
const LONGEST_HEADER: u64 = 100_000_000;

/// What the header says of a tensor.
#[derive(Debug, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

/// A file, its header read and checked.
#[derive(Debug)]
pub(super) struct Shard {
    source: Source,
    entries: BTreeMap<String, Entry>,
    /// Where the elements begin, in bytes.
    data: u64,
}

impl Shard {
    /// Reads the header. Every tensor lies inside the file, and none over another.
    pub(super) fn open(path: &Path) -> Result<Self, WeightsError> {
        let source = Source::open(path)?;
        let length = header_length(&source)?;
        let header = source.read(8, length)?;
        let mut entries: BTreeMap<String, serde_json::Value> =
            serde_json::from_slice(&header).map_err(|error| source.wrong(format!("the header is not what it should be: {error}")))?;
        entries.remove("__metadata__");
        let read = |(name, entry)| match serde_json::from_value(entry) {
            Ok(entry) => Ok((name, entry)),
            Err(error) => Err(source.wrong(format!("tensor {name}: {error}"))),
        };
        let entries = entries.into_iter().map(read).collect::<Result<_, _>>()?;
        let shard = Self { source, entries, data: 8 + length };
        shard.check()?;
        Ok(shard)
    }

    pub(super) fn path(&self) -> &Path {
        self.source.path()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    pub(super) fn layout(&self, name: &str) -> Result<Option<TensorLayout>, WeightsError> {
        let Some(entry) = self.entries.get(name) else { return Ok(None) };
        let element = match entry.dtype.as_str() {
            "F32" => Element::F32,
            "F16" => Element::F16,
            "BF16" => Element::Bf16,
            other => {
                return Err(self.source.wrong(format!("tensor {name} has elements {other}; F32, F16 and BF16 are read")));
            }
        };
        Ok(Some(TensorLayout { element, shape: entry.shape.clone() }))
    }

    pub(super) fn bytes(&self, name: &str) -> Result<Vec<u8>, WeightsError> {
        let Some(entry) = self.entries.get(name) else { return Ok(Vec::new()) };
        let (start, end) = entry.data_offsets;
        self.source.read(self.data + start, end - start)
    }

    fn check(&self) -> Result<(), WeightsError> {
        let available = self.source.length() - self.data;
        let mut spans = Vec::with_capacity(self.entries.len());
        for (name, entry) in &self.entries {
            let (start, end) = entry.data_offsets;
            if start > end || end > available {
                return Err(self
                    .source
                    .wrong(format!("tensor {name} lies at bytes {start} to {end} of {available}: the file is cut or damaged")));
            }
            if expected_bytes(entry).is_some_and(|expected| expected != end - start) {
                let problem =
                    format!("tensor {name}: {} elements {} take other than the {} bytes it has", shape(entry), entry.dtype, end - start);
                return Err(self.source.wrong(problem));
            }
            spans.push((start, end, name));
        }
        spans.sort_unstable();
        for pair in spans.windows(2) {
            if pair[1].0 < pair[0].1 {
                return Err(self.source.wrong(format!("tensors {} and {} lie over each other", pair[0].2, pair[1].2)));
            }
        }
        Ok(())
    }
}

fn header_length(source: &Source) -> Result<u64, WeightsError> {
    let first = source.read(0, 8).map_err(|_| source.wrong("is too short to be a safetensors file"))?;
    let length = first.iter().rev().fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
    if length > LONGEST_HEADER || length > source.length() - 8 {
        return Err(
            source.wrong(format!("a header of {length} bytes in a file of {}: cut, damaged, or no safetensors file", source.length()))
        );
    }
    Ok(length)
}

/// How many bytes the elements take; `None` for kinds that are not read, which need not be judged. More than fits a number counts as too many.
fn expected_bytes(entry: &Entry) -> Option<u64> {
    let size = match entry.dtype.as_str() {
        "F32" => 4,
        "F16" | "BF16" => 2,
        _ => return None,
    };
    let product = entry.shape.iter().try_fold(size, |product: u64, side| product.checked_mul(*side as u64));
    Some(product.unwrap_or(u64::MAX))
}

fn shape(entry: &Entry) -> String {
    format!("{:?}", entry.shape)
}
