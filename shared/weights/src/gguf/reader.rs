//! Reading a GGUF header value after value, never further than the file goes.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use super::metadata::{List, Value};
use crate::WeightsError;

/// The longest header that is read, in bytes. A vocabulary of a quarter million tokens takes some 10 MB.
const LONGEST_HEADER: u64 = 1 << 28;
/// The most elements of one list.
const LONGEST_LIST: u64 = 1 << 24;

/// A GGUF header, read from its beginning on.
pub(super) struct Reader {
    path: PathBuf,
    input: BufReader<File>,
    position: u64,
    end: u64,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, WeightsError> {
        let file = File::open(path).map_err(|source| WeightsError::file(path, source))?;
        let length = file.metadata().map_err(|source| WeightsError::file(path, source))?.len();
        Ok(Self { path: path.to_owned(), input: BufReader::new(file), position: 0, end: length.min(LONGEST_HEADER) })
    }

    pub(super) fn wrong(&self, problem: impl Into<String>) -> WeightsError {
        WeightsError::form(&self.path, problem)
    }

    /// How many bytes were read so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Refuses a count of things of at least `size` bytes each for which the rest of the file has no room.
    pub(super) fn expect(&self, what: &str, count: u64, size: u64) -> Result<usize, WeightsError> {
        let left = self.end - self.position;
        match usize::try_from(count) {
            Ok(number) if count.checked_mul(size).is_some_and(|bytes| bytes <= left) => Ok(number),
            _ => Err(self.wrong(format!("{what}: {count} are said to follow, and {left} bytes do"))),
        }
    }

    pub(super) fn bytes<const N: usize>(&mut self, what: &str) -> Result<[u8; N], WeightsError> {
        self.expect(what, 1, N as u64)?;
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(|source| WeightsError::file(&self.path, source))?;
        self.position += N as u64;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, WeightsError> {
        Ok(u32::from_le_bytes(self.bytes(what)?))
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, WeightsError> {
        Ok(u64::from_le_bytes(self.bytes(what)?))
    }

    /// A text: its length in eight bytes, then UTF-8.
    pub(super) fn text(&mut self, what: &str) -> Result<String, WeightsError> {
        let bytes = self.text_bytes(what)?;
        String::from_utf8(bytes).map_err(|_| self.wrong(format!("{what} is not UTF-8")))
    }

    /// A value of metadata: its kind, then the value.
    pub(super) fn value(&mut self, key: &str) -> Result<Value, WeightsError> {
        match self.u32(key)? {
            9 => self.list(key).map(Value::List),
            8 => self.text(key).map(Value::Text),
            kind => self.number(key, kind),
        }
    }

    fn text_bytes(&mut self, what: &str) -> Result<Vec<u8>, WeightsError> {
        let length = self.u64(what)?;
        let mut bytes = vec![0; self.expect(what, length, 1)?];
        self.input.read_exact(&mut bytes).map_err(|source| WeightsError::file(&self.path, source))?;
        self.position += length;
        Ok(bytes)
    }

    fn number(&mut self, key: &str, kind: u32) -> Result<Value, WeightsError> {
        Ok(match kind {
            0 => Value::Integer(u8::from_le_bytes(self.bytes(key)?).into()),
            1 => Value::Integer(i8::from_le_bytes(self.bytes(key)?).into()),
            2 => Value::Integer(u16::from_le_bytes(self.bytes(key)?).into()),
            3 => Value::Integer(i16::from_le_bytes(self.bytes(key)?).into()),
            4 => Value::Integer(u32::from_le_bytes(self.bytes(key)?).into()),
            5 => Value::Integer(i32::from_le_bytes(self.bytes(key)?).into()),
            6 => Value::Float(f32::from_le_bytes(self.bytes(key)?)),
            7 => Value::Bool(self.bytes::<1>(key)? != [0]),
            10 => Value::Integer(i64::try_from(self.u64(key)?).map_err(|_| self.wrong(format!("{key} is too large")))?),
            11 => Value::Integer(i64::from_le_bytes(self.bytes(key)?)),
            12 => Value::Float(f64::from_le_bytes(self.bytes(key)?) as f32),
            other => return Err(self.wrong(format!("{key} is of kind {other}, which is unknown"))),
        })
    }

    /// A list: the kind of its elements, their number, the elements. What is read of one is bounded by the file, and what it takes in memory by that.
    fn list(&mut self, key: &str) -> Result<List, WeightsError> {
        let kind = self.u32(key)?;
        let count = self.u64(key)?;
        if count > LONGEST_LIST {
            return Err(self.wrong(format!("{key} has {count} elements; the most that is read is {LONGEST_LIST}")));
        }
        match kind {
            8 => {
                let count = self.expect(key, count, 8)?;
                (0..count).map(|_| self.text_bytes(key).map(Vec::into_boxed_slice)).collect::<Result<_, _>>().map(List::Texts)
            }
            6 | 12 => {
                self.numbers(key, kind, count, |value| if let Value::Float(number) = value { Some(number) } else { None }).map(List::Floats)
            }
            9 => Err(self.wrong(format!("{key} is a list of lists, which no known key is"))),
            _ => self.numbers(key, kind, count, Value::integer).map(List::Integers),
        }
    }

    fn numbers<T>(&mut self, key: &str, kind: u32, count: u64, of: fn(Value) -> Option<T>) -> Result<Vec<T>, WeightsError> {
        let count = self.expect(key, count, 1)?;
        let mut list = Vec::new();
        for _ in 0..count {
            let number = self.number(key, kind)?;
            list.push(of(number).ok_or_else(|| self.wrong(format!("{key} has elements of two kinds")))?);
        }
        Ok(list)
    }
}
