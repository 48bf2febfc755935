//! The header of a GGUF file: metadata, and where which tensor lies.

use std::{collections::BTreeMap, path::Path};

use super::{blocks::Format, metadata::Metadata, reader::Reader};
use crate::{TensorLayout, WeightsError, file::Source};

const MAGIC: [u8; 4] = *b"GGUF";
/// Where tensors lie is a multiple of this, where the file does not say otherwise.
const ALIGNMENT: usize = 32;
/// The most dimensions of a tensor.
const DIMENSIONS: u32 = 4;
/// What a description of a tensor takes at least: a name's length, one number of dimensions, a kind and a place.
const SMALLEST_TENSOR: u64 = 8 + 4 + 4 + 8;

/// A tensor as the file has it.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) format: Format,
    /// Outermost dimension first.
    pub(super) shape: Vec<usize>,
    /// From the beginning of the file, in bytes.
    pub(super) at: u64,
    /// In bytes.
    pub(super) length: u64,
}

/// A header, checked: every tensor lies inside the file, and none over another.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) metadata: Metadata,
    pub(super) tensors: BTreeMap<String, Stored>,
}

impl Header {
    pub(super) fn read(path: &Path, source: &Source) -> Result<Self, WeightsError> {
        let mut reader = Reader::open(path)?;
        if reader.bytes("the first bytes")? != MAGIC {
            return Err(reader.wrong("is not a GGUF file"));
        }
        match reader.u32("version")? {
            2 | 3 => {}
            version if version.swap_bytes() == 3 => return Err(reader.wrong("is in big-endian order, which is not read")),
            version => return Err(reader.wrong(format!("is GGUF of version {version}; versions 2 and 3 are read"))),
        }
        let (tensors, keys) = (reader.u64("number of tensors")?, reader.u64("number of keys")?);
        reader.expect("tensors", tensors, SMALLEST_TENSOR)?;
        reader.expect("keys", keys, 8 + 4 + 1)?;
        let mut metadata = Metadata::default();
        for _ in 0..keys {
            let key = reader.text("a key of metadata")?;
            let value = reader.value(&key)?;
            metadata.0.insert(key, value);
        }
        let mut stored = BTreeMap::new();
        for _ in 0..tensors {
            let name = reader.text("the name of a tensor")?;
            let tensor = tensor(&mut reader, &name)?;
            if stored.insert(name.clone(), tensor).is_some() {
                return Err(reader.wrong(format!("has two tensors {name}")));
            }
        }
        let mut header = Self { metadata, tensors: stored };
        header.place(source, reader.position())?;
        Ok(header)
    }

    /// Turns offsets into places in the file, and checks them.
    fn place(&mut self, source: &Source, end_of_header: u64) -> Result<(), WeightsError> {
        let alignment = self.metadata.count("general.alignment").unwrap_or(ALIGNMENT) as u64;
        if !alignment.is_power_of_two() || alignment > 1 << 20 {
            return Err(source.wrong(format!("general.alignment is {alignment}, which is no power of two up to 2^20")));
        }
        let data = end_of_header.next_multiple_of(alignment);
        let mut spans = Vec::with_capacity(self.tensors.len());
        for (name, tensor) in &mut self.tensors {
            if tensor.at % alignment != 0 {
                return Err(source.wrong(format!("tensor {name} begins at {}, which is no multiple of {alignment}", tensor.at)));
            }
            let end = data.checked_add(tensor.at).and_then(|at| at.checked_add(tensor.length));
            if end.is_none_or(|end| end > source.length()) {
                let problem =
                    format!("tensor {name} of {} bytes ends after the file's {}: it is cut or damaged", tensor.length, source.length());
                return Err(source.wrong(problem));
            }
            tensor.at += data;
            spans.push((tensor.at, tensor.at + tensor.length, name));
        }
        spans.sort_unstable();
        match spans.windows(2).find(|pair| pair[1].0 < pair[0].1) {
            Some(pair) => Err(source.wrong(format!("tensors {} and {} lie over each other", pair[0].2, pair[1].2))),
            None => Ok(()),
        }
    }
}

fn tensor(reader: &mut Reader, name: &str) -> Result<Stored, WeightsError> {
    let what = format!("tensor {name}");
    let dimensions = reader.u32(&what)?;
    if dimensions == 0 || dimensions > DIMENSIONS {
        return Err(reader.wrong(format!("{what} has {dimensions} dimensions; from 1 to {DIMENSIONS} are read")));
    }
    let sides = (0..dimensions).map(|_| reader.u64(&what)).collect::<Result<Vec<u64>, _>>()?;
    if sides.contains(&0) {
        return Err(reader.wrong(format!("{what} has no elements: its sides are {sides:?}")));
    }
    let kind = reader.u32(&what)?;
    let at = reader.u64(&what)?;
    let format = Format::of(kind).map_err(|known| reader.wrong(format!("{what} is quantised in the form {kind}; read are {known}")))?;
    let too_large = || reader.wrong(format!("{what} of {sides:?} elements is larger than any file"));
    let elements = sides.iter().try_fold(1, |product: u64, side| product.checked_mul(*side)).ok_or_else(too_large)?;
    if sides[0] % format.elements() as u64 != 0 {
        return Err(reader.wrong(format!(
            "{what} has rows of {} elements, not a multiple of its blocks of {}",
            sides[0],
            format.elements()
        )));
    }
    let length = (elements / format.elements() as u64).checked_mul(format.bytes() as u64).ok_or_else(too_large)?;
    elements.checked_mul(4).filter(|bytes| isize::try_from(*bytes).is_ok()).ok_or_else(too_large)?;
    let shape = sides.iter().rev().map(|side| usize::try_from(*side)).collect::<Result<_, _>>().map_err(|_| too_large())?;
    Ok(Stored { format, shape, at, length })
}

impl Stored {
    pub(super) fn layout(&self) -> TensorLayout {
        TensorLayout { element: self.format.element(), shape: self.shape.clone() }
    }

    /// Reads the elements, de-quantised.
    pub(super) fn read(&self, source: &Source) -> Result<Vec<u8>, WeightsError> {
        Ok(self.format.expand(source.read(self.at, self.length)?))
    }
}
