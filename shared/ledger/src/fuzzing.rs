//! What the fuzz target of the ledger holds this crate to (`fuzz/`); it is in no build but that and the tests'.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a broken promise is told")]

use std::{fs, path::Path};

use torchmesh_api::usage::v1::{Door, Units, UsageEvent};

use crate::{
    audit::{self, Call, Chain},
    lines::Lines,
    usage::Line,
};

/// Files that were touched: two bytes say where, one how many bytes are taken out there, one how many of those behind are put in; then what is put in, and the texts of calls with zero bytes between.
/// A usage line is one line and reads back; an audit log is whole as it was written, and not with any other byte in it; half a line is taken off; and any bytes are verified.
pub fn ledger(touched: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder for the files");
    let (any, path) = (folder.path().join("any.jsonl"), folder.path().join("audit-000000000001.jsonl"));
    fs::write(&any, touched).expect("a file for it");
    let _ = audit::verify(&[any]).expect("the file can be read");
    whole(&folder.path().join("lines"), touched);
    let Some(([high, low, out, put], rest)) = touched.split_first_chunk() else { return };
    let (put, texts) = rest.split_at(rest.len().min(usize::from(put % 4)));
    let (mut chain, mut log) = (Chain::default(), Vec::new());
    for text in texts.split(|&byte| byte == 0) {
        let event = event(&String::from_utf8_lossy(text), u64::from_be_bytes([*high, *low, *out, 1, *low, *high, 3, *out]));
        let line = Line::of(&event);
        let written = serde_json::to_string(&line).expect("texts and numbers can be written");
        assert!(!written.contains('\n') && serde_json::from_str::<Line<'_>>(&written).is_ok_and(|read| read == line), "{written}");
        log.extend_from_slice(chain.add(Call::of(&event)).as_bytes());
    }
    fs::write(&path, &log).expect("a file for it");
    let found = audit::verify(std::slice::from_ref(&path)).expect("the file can be read").expect("it is as it was written");
    assert_eq!((found.first, found.last), (1, chain));
    let at = usize::from(u16::from_be_bytes([*high, *low])) % log.len();
    let mut other = log.clone();
    other.splice(at..log.len().min(at + usize::from(out % 5)), put.iter().copied());
    if other != log {
        fs::write(&path, &other).expect("a file for it");
        let found = audit::verify(&[path]).expect("the file can be read");
        assert!(found.is_err(), "{} bytes at {at} were replaced by {put:?}, and nobody sees it", out % 5);
    }
}

fn event(text: &str, number: u64) -> UsageEvent {
    let units = Units { prompt_tokens: number, ..Units::default() };
    UsageEvent {
        id: text.bytes().take(16).collect(),
        time_unix_ms: number,
        tenant: text.to_owned(),
        credential: text.chars().rev().collect(),
        code: number as u32,
        door: Door::Rest.into(),
        units: Some(units),
        request_id: text.to_owned(),
        ..UsageEvent::default()
    }
}

/// What follows the last line's end is taken off, and no more.
fn whole(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("a file for it");
    Lines::open(path).and_then(|mut lines| lines.add(b"new\n")).expect("a line can be added");
    let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    assert_eq!(fs::read(path).expect("it is there"), [&bytes[..end], b"new\n"].concat());
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn every_seed_of_ledger_holds() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/ledger"));
        let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path()).collect();
        assert!(!seeds.is_empty());
        for seed in seeds {
            super::ledger(&fs::read(seed).unwrap());
        }
    }
}
