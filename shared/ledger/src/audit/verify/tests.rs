use std::io::Write as _;

use proptest::prelude::*;
use tempfile::TempDir;
use torchmesh_api::usage::v1::UsageEvent;

use super::*;
use crate::audit::{Call, Log};

fn event(number: u8) -> UsageEvent {
    UsageEvent { id: vec![number; 16], tenant: format!("tenant-{number}"), request_id: "say \"hash\"".into(), ..Default::default() }
}

fn log(count: u8, rotate_bytes: u64) -> (TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::open(folder.path(), rotate_bytes).unwrap();
    for number in 0..count {
        log.add([Call::of(&event(number))].into_iter()).unwrap();
    }
    let files = files(&folder);
    (folder, files)
}

fn files(folder: &TempDir) -> Vec<PathBuf> {
    let places = Places::of(folder.path());
    places.files().unwrap().into_iter().map(|first| places.file(first)).collect()
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().split_inclusive('\n').map(str::to_owned).collect()
}

/// What is found after `change` has had the lines of a log of ten.
fn after(change: impl FnOnce(&mut Vec<String>)) -> Result<Whole, Broken> {
    let (_folder, files) = log(10, 1 << 20);
    let mut all = lines(&files[0]);
    change(&mut all);
    fs::write(&files[0], all.concat()).unwrap();
    verify(&files).unwrap()
}

#[test]
fn a_log_that_nobody_touched_is_whole_over_all_its_files() {
    let (_folder, files) = log(10, 900);
    assert!(files.len() > 2, "more than one file is needed for this to be a test");
    let whole = verify(&files).unwrap().unwrap();
    assert_eq!((whole.first, whole.last.number, whole.end_is_known), (1, 10, true));
    let middle = verify(&files[1..2]).unwrap().unwrap();
    assert!(middle.first > 1 && middle.end_is_known, "{middle:?}");
}

#[test]
fn what_was_done_to_it_is_told_with_the_first_record_that_it_was_done_to() {
    let broken = |change: fn(&mut Vec<String>)| after(change).unwrap_err();
    for (found, number, why) in [
        (broken(|lines| lines[3] = lines[3].replace("tenant-3", "tenant-9")), 4, "it was changed"),
        (broken(|lines| drop(lines.remove(4))), 5, "record 6 stands in its place"),
        (broken(|lines| lines.swap(2, 7)), 3, "record 8 stands in its place"),
        (broken(|lines| lines.insert(5, lines[1].clone())), 6, "moved or put in"),
        (broken(|lines| lines.truncate(8)), 9, "all to record 10: the end was cut off"),
        (broken(|lines| lines[9].truncate(40)), 10, "cut within it"),
        (broken(|lines| lines[6] = "{}\n".into()), 7, "cannot be read"),
        (broken(|lines| drop(lines.remove(0))), 1, "record 2 stands in its place"),
    ] {
        assert_eq!((found.number, found.line), (number, usize::try_from(number).unwrap()), "{found}");
        assert!(found.why.contains(why), "{found}");
    }
}

#[test]
fn a_log_that_was_written_anew_differs_from_its_head() {
    let (_folder, files) = log(3, 1 << 20);
    let (_other, others) = {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::open(folder.path(), 1 << 20).unwrap();
        log.add([7, 8, 9].map(event).iter().map(Call::of)).unwrap();
        let files = self::files(&folder);
        (folder, files)
    };
    fs::copy(&others[0], &files[0]).unwrap();
    assert!(verify(&files).unwrap().unwrap_err().why.contains("written anew"));
}

#[test]
fn a_log_goes_on_after_a_restart_and_leaves_out_what_comes_again() {
    let (folder, files) = log(4, 1 << 20);
    // As a process leaves it that is killed while it writes.
    fs::OpenOptions::new().append(true).open(&files[0]).unwrap().write_all(b"{\"number\":5,").unwrap();
    let mut log = Log::open(folder.path(), 1 << 20).unwrap();
    log.add([2, 3, 4].map(event).iter().map(Call::of)).unwrap();
    let whole = verify(&files).unwrap().unwrap();
    assert_eq!((whole.last.number, whole.last), (5, log.chain()));
    assert!(lines(&files[0])[4].contains("tenant-4"));
}

#[test]
fn a_head_that_a_killed_process_left_behind_is_written_at_the_next_start() {
    let (folder, files) = log(4, 1 << 20);
    fs::remove_file(folder.path().join("audit.head")).unwrap();
    assert!(!verify(&files).unwrap().unwrap().end_is_known);
    Log::open(folder.path(), 1 << 20).unwrap();
    assert!(verify(&files).unwrap().unwrap().end_is_known);
}

#[test]
fn what_was_cut_off_while_nobody_wrote_is_found_after_more_was_written() {
    let (folder, files) = log(6, 1 << 20);
    fs::write(&files[0], lines(&files[0])[..4].concat()).unwrap();
    Log::open(folder.path(), 1 << 20).unwrap().add([Call::of(&event(9))].into_iter()).unwrap();
    let broken = verify(&files).unwrap().unwrap_err();
    assert_eq!(broken.number, 5);
    assert!(broken.why.contains("record 7 stands in its place"), "{broken}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_byte_that_is_changed_is_found(at: prop::sample::Index, bit in 0_u8..8) {
        let (_folder, files) = log(5, 1 << 20);
        let mut bytes = fs::read(&files[0]).unwrap();
        let place = at.index(bytes.len());
        bytes[place] ^= 1 << bit;
        fs::write(&files[0], bytes).unwrap();
        prop_assert!(verify(&files).unwrap().is_err());
    }
}

#[test]
fn a_byte_that_is_no_text_is_not_taken_for_the_character_that_stands_for_such() {
    let folder = tempfile::tempdir().unwrap();
    let tenant = UsageEvent { tenant: "caf\u{fffd}".into(), ..event(1) };
    Log::open(folder.path(), 1 << 20).unwrap().add([Call::of(&tenant)].into_iter()).unwrap();
    let files = files(&folder);
    let bytes = fs::read(&files[0]).unwrap();
    let at = bytes.windows(3).position(|part| part == "\u{fffd}".as_bytes()).unwrap();
    fs::write(&files[0], [&bytes[..at], &[0xff], &bytes[at + 3..]].concat()).unwrap();
    let broken = verify(&files).unwrap().unwrap_err();
    assert!(broken.number == 1 && broken.why.contains("cannot be read"), "{broken}");
}

#[test]
fn a_record_of_the_last_number_there_is_is_refused() {
    let (_folder, files) = log(2, 1 << 20);
    let last = |line: String| line.replacen("\"number\":1,", &format!("\"number\":{},", u64::MAX), 1);
    let all: String = lines(&files[0]).into_iter().map(last).collect();
    let other = files[0].with_file_name("copy.jsonl");
    fs::write(&other, all).unwrap();
    assert!(verify(&[other]).unwrap().unwrap_err().why.contains(&u64::MAX.to_string()));
}
