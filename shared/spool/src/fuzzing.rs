//! What the fuzz target of the spool holds this crate to (`fuzz/`); it is in no build but that and the tests'.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a broken promise is told")]

use crate::{
    Position,
    record::{HEAD, Scan, push},
    segment::BEGIN,
};

const START: Position = Position { segment: 1, offset: BEGIN };

/// What a crash leaves of a file: two bytes say where it hits, one what becomes of the byte there, and records follow with zero bytes between. Whole records are read
/// as they were written; a cut leaves those in front of it, a byte that changed costs the one that it was of, and neither makes another. Any bytes are read the same way.
pub fn spool(crash: &[u8]) {
    scanned(crash);
    let Some(([high, low, change], contents)) = crash.split_first_chunk() else { return };
    let contents: Vec<&[u8]> = contents.split(|&byte| byte == 0).filter(|content| !content.is_empty()).collect();
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for content in &contents {
        let at = Position { offset: START.offset + bytes.len() as u64, ..START };
        push(&mut bytes, at, content);
        ends.push(bytes.len());
    }
    assert_eq!(scanned(&bytes), contents, "what was written is read");
    if bytes.is_empty() {
        return;
    }
    let hit = usize::from(u16::from_be_bytes([*high, *low])) % bytes.len();
    let before = ends.iter().take_while(|&&end| end <= hit).count();
    assert_eq!(scanned(&bytes[..hit]), contents[..before], "a cut after {hit} bytes");
    bytes[hit] ^= change;
    let left: Vec<&[u8]> =
        contents.iter().enumerate().filter(|&(at, _)| *change == 0 || at != before).map(|(_, content)| *content).collect();
    assert_eq!(scanned(&bytes), left, "byte {hit} changed by {change}");
}

/// The records of a file's bytes, each of which stands where it was found as it would be written there.
fn scanned(bytes: &[u8]) -> Vec<&[u8]> {
    let mut scan = Scan::new(bytes, START);
    let (mut found, mut taken) = (Vec::new(), 0);
    while let Some(content) = scan.next() {
        let end = scan.position();
        let begin = Position { offset: end.offset - (HEAD + content.len()) as u64, ..end };
        let mut written = Vec::new();
        push(&mut written, begin, content);
        let place = usize::try_from(begin.offset - START.offset).expect("it is in memory");
        assert_eq!(bytes[place..place + written.len()], written);
        taken += written.len() as u64;
        assert_eq!(taken + scan.passed_over(), end.offset - START.offset, "every byte is a record's or none");
        found.push(content);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn every_seed_of_spool_holds() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/spool"));
        let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path()).collect();
        assert!(!seeds.is_empty());
        for seed in seeds {
            super::spool(&fs::read(seed).unwrap());
        }
    }
}
