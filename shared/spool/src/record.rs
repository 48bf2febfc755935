//! Records as bytes: the length, a checksum, the content.
//!
//! ```text
//! u32 length | u32 CRC-32C | content
//! ```
//!
//! Both numbers are little-endian. The checksum covers the file's number, the record's place in the file, the length and the content: a record that was moved or copied
//! to another place is none.

use crc_fast::{CrcAlgorithm, Digest};

use crate::Position;

/// The length and the checksum.
pub const HEAD: usize = 8;
/// The longest content, in bytes.
pub const LONGEST: usize = 64 << 10;

fn checksum(at: Position, content: &[u8]) -> u32 {
    let mut place = [0; 20];
    place[..8].copy_from_slice(&at.segment.to_le_bytes());
    place[8..16].copy_from_slice(&at.offset.to_le_bytes());
    place[16..].copy_from_slice(&(content.len() as u32).to_le_bytes());
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(&place);
    digest.update(content);
    digest.finalize() as u32
}

/// Adds a record that will stand at this place.
pub fn push(bytes: &mut Vec<u8>, at: Position, content: &[u8]) {
    bytes.extend_from_slice(&(content.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&checksum(at, content).to_le_bytes());
    bytes.extend_from_slice(content);
}

/// The content of the record that begins these bytes, which stand at this place; `None` where there is no whole one.
pub fn read(bytes: &[u8], at: Position) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (told, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if !(1..=LONGEST).contains(&length) {
        return None;
    }
    let content = rest.get(..length)?;
    (checksum(at, content) == u32::from_le_bytes(*told)).then_some(content)
}

/// Goes through bytes of a file, record by record; what is none is passed over.
#[derive(Debug)]
pub struct Scan<'a> {
    bytes: &'a [u8],
    segment: u64,
    /// Where the bytes begin in their file.
    from: u64,
    at: usize,
    passed_over: u64,
}

impl<'a> Scan<'a> {
    /// Bytes that begin at this place.
    pub fn new(bytes: &'a [u8], from: Position) -> Self {
        Self { bytes, segment: from.segment, from: from.offset, at: 0, passed_over: 0 }
    }

    /// Where the next record begins, as far as is known: behind the last one that was given.
    pub fn position(&self) -> Position {
        Position { segment: self.segment, offset: self.from + self.at as u64 }
    }

    /// Bytes between records that are none.
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let place = |at: usize| Position { segment: self.segment, offset: self.from + at as u64 };
        let mut found = (self.at..self.bytes.len()).find_map(|at| Some((at, read(&self.bytes[at..], place(at))?)));
        if let Some((at, content)) = &mut found {
            self.passed_over += (*at - self.at) as u64;
            self.at = *at + HEAD + content.len();
        }
        found.map(|(_, content)| content)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Position = Position { segment: 3, offset: 8 };

    fn written(contents: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for content in contents {
            let at = Position { offset: START.offset + bytes.len() as u64, ..START };
            push(&mut bytes, at, content);
        }
        bytes
    }

    fn contents() -> impl Strategy<Value = Vec<Vec<u8>>> {
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..80), 1..12)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(contents in contents()) {
            let bytes = written(&contents);
            let mut scan = Scan::new(&bytes, START);
            prop_assert_eq!(scan.by_ref().collect::<Vec<_>>(), contents);
            prop_assert_eq!((scan.passed_over(), scan.position().offset), (0, START.offset + bytes.len() as u64));
        }

        #[test]
        fn a_cut_leaves_the_records_in_front_of_it(contents in contents(), at: prop::sample::Index) {
            let bytes = written(&contents);
            let cut = at.index(bytes.len());
            let read: Vec<&[u8]> = Scan::new(&bytes[..cut], START).collect();
            let whole = (0..contents.len()).take_while(|&count| written(&contents[..=count]).len() <= cut).count();
            prop_assert_eq!(read, &contents[..whole]);
        }

        #[test]
        fn a_changed_bit_costs_one_record_and_makes_no_other(contents in contents(), at: prop::sample::Index, bit in 0_u8..8) {
            let mut bytes = written(&contents);
            let place = at.index(bytes.len());
            bytes[place] ^= 1 << bit;
            let read: Vec<Vec<u8>> = Scan::new(&bytes, START).map(<[u8]>::to_vec).collect();
            let hit = (0..contents.len()).find(|&count| written(&contents[..=count]).len() > place).unwrap();
            let mut rest = contents.clone();
            rest.remove(hit);
            prop_assert_eq!(read, rest);
        }

        #[test]
        fn records_that_changed_places_are_none(mut contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 20..21), 3..8), one: prop::sample::Index, other: prop::sample::Index) {
            for (number, content) in contents.iter_mut().enumerate() {
                content[0] = number as u8;
            }
            let mut bytes = written(&contents);
            let (one, other) = (one.index(contents.len()), other.index(contents.len()));
            prop_assume!(one != other);
            let size = HEAD + 20;
            for at in 0..size {
                bytes.swap(one * size + at, other * size + at);
            }
            let read: Vec<Vec<u8>> = Scan::new(&bytes, START).map(<[u8]>::to_vec).collect();
            let stayed = (0..contents.len()).filter(|number| ![one, other].contains(number));
            prop_assert_eq!(read, stayed.map(|number| contents[number].clone()).collect::<Vec<_>>());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Scan::new(&bytes, START).count();
        }
    }

    #[test]
    fn a_record_of_another_file_is_none() {
        let bytes = written(&[vec![1; 9]]);
        assert_eq!(Scan::new(&bytes, Position { segment: 4, ..START }).count(), 0);
    }
}
