//! What is promised of a spool: nothing durable is lost, nothing is made up, and what was acknowledged does not come again.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use futures::block_on;
use proptest::prelude::*;
use tempfile::{TempDir, tempdir};
use torchmesh_spool::{Found, Lost, Reader, Settings, Spool, record::HEAD, segment};

/// Waits for a ticket without a runtime.
mod futures {
    use std::{
        future::Future,
        pin::pin,
        sync::Arc,
        task::{Context, Poll, Wake},
        thread::{self, Thread},
    };

    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    pub(super) fn block_on<F: Future>(future: F) -> F::Output {
        let (mut future, waker) = (pin!(future), Arc::new(Unpark(thread::current())).into());
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            thread::park();
        }
    }
}

fn settings(folder: &Path) -> Settings {
    Settings {
        folder: folder.to_owned(),
        sync_every: Duration::ZERO,
        max_bytes: 1 << 30,
        segment_bytes: 600,
        readers: vec!["one", "other"],
    }
}

fn open(folder: &TempDir) -> (Spool, Found) {
    Spool::open(settings(folder.path())).expect("the folder is good")
}

fn append(spool: &Spool, content: &[u8]) {
    block_on(spool.append(content)).expect("there is room");
}

fn append_all(spool: &Spool, records: &[Vec<u8>]) {
    for record in records {
        append(spool, record);
    }
}

fn rest(reader: &mut Reader) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let batch = reader.next(3).expect("the files are there");
        if batch.records.is_empty() {
            return all;
        }
        all.extend(batch.records);
    }
}

fn numbered(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| format!("record {number:06}").into_bytes()).collect()
}

fn files(folder: &TempDir) -> Vec<u64> {
    segment::list(folder.path()).expect("the folder is there")
}

#[test]
fn what_was_appended_is_there_after_a_restart_in_its_order() {
    let folder = tempdir().unwrap();
    let records = numbered(100);
    let (spool, found) = open(&folder);
    assert_eq!(found, Found::default());
    append_all(&spool, &records[..60]);
    drop(spool);
    let (spool, found) = open(&folder);
    assert_eq!(found, Found { records: 60, ..Found::default() });
    append_all(&spool, &records[60..]);
    assert!(files(&folder).len() > 2, "more than one file is needed for this to be a test");
    assert_eq!(rest(&mut spool.reader("one").unwrap()), records);
}

#[test]
fn room_that_a_killed_process_had_set_aside_is_no_damage() {
    let folder = tempdir().unwrap();
    let (spool, _) = open(&folder);
    append_all(&spool, &numbered(3));
    drop(spool);
    let path = segment::path(folder.path(), 1);
    let exact = fs::metadata(&path).unwrap().len();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(exact + 5000).unwrap();
    let (spool, found) = open(&folder);
    assert_eq!(found, Found { records: 3, ..Found::default() });
    assert_eq!(spool.figures().bytes, exact);
    append(&spool, b"more");
    assert_eq!(rest(&mut spool.reader("one").unwrap()), [&numbered(3)[..], &[b"more".to_vec()]].concat());
    drop(spool);
    assert_eq!(open(&folder).1, Found { records: 4, ..Found::default() });
}

#[test]
fn what_nobody_waited_for_is_written_before_the_end() {
    let folder = tempdir().unwrap();
    let (spool, _) = open(&folder);
    for record in numbered(50) {
        drop(spool.append(&record));
    }
    drop(spool);
    assert_eq!(open(&folder).1.records, 50);
}

#[test]
fn many_share_a_sync() {
    let folder = tempdir().unwrap();
    let (spool, _) =
        Spool::open(Settings { sync_every: Duration::from_millis(20), segment_bytes: 1 << 20, ..settings(folder.path()) }).unwrap();
    let tickets: Vec<_> = numbered(1000).iter().map(|record| spool.append(record)).collect();
    for ticket in tickets {
        block_on(ticket).unwrap();
    }
    let figures = spool.figures();
    assert_eq!(figures.records, 1000);
    assert!(figures.groups < 20, "{figures:?}");
}

#[test]
fn threads_get_a_place_each_and_all_of_it_is_read() {
    let folder = tempdir().unwrap();
    let (spool, _) = open(&folder);
    let write = |thread: usize| {
        let spool = spool.clone();
        move || (0..200).for_each(|number| append(&spool, format!("{thread} {number:03}").as_bytes()))
    };
    let threads: Vec<_> = (0..4).map(|thread| std::thread::spawn(write(thread))).collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let mut read = rest(&mut spool.reader("one").unwrap());
    let of_one: Vec<_> = read.iter().filter(|record| record.starts_with(b"2 ")).cloned().collect();
    assert!(of_one.is_sorted(), "the records of a thread keep their order");
    read.sort();
    read.dedup();
    assert_eq!(read.len(), 800);
}

#[test]
fn what_was_acknowledged_does_not_come_again_and_the_rest_does() {
    let folder = tempdir().unwrap();
    let records = numbered(40);
    let (spool, _) = open(&folder);
    append_all(&spool, &records);
    let mut reader = spool.reader("one").unwrap();
    let first = reader.next(10).unwrap();
    reader.acknowledge(first.end).unwrap();
    assert_eq!(reader.next(5).unwrap().records, &records[10..15], "read and not acknowledged");
    drop((spool, reader));
    let (spool, _) = open(&folder);
    assert_eq!(rest(&mut spool.reader("one").unwrap()), &records[10..]);
    assert_eq!(rest(&mut spool.reader("other").unwrap()), records, "each reader has its own place");
}

#[test]
fn a_file_goes_when_the_last_reader_has_passed_it() {
    let folder = tempdir().unwrap();
    let (spool, _) = open(&folder);
    append_all(&spool, &numbered(100));
    let (before, bytes) = (files(&folder), spool.figures().bytes);
    let [mut one, mut other] = ["one", "other"].map(|name| spool.reader(name).unwrap());
    rest(&mut one);
    let end = *spool.reached().borrow();
    one.acknowledge(end).unwrap();
    assert_eq!(files(&folder), before, "the other one has not read it");
    rest(&mut other);
    other.acknowledge(end).unwrap();
    assert_eq!(files(&folder), [*before.last().unwrap()]);
    assert!(spool.figures().bytes < bytes);
    append(&spool, b"more");
    assert_eq!(rest(&mut one), [b"more"]);
}

#[test]
fn a_spool_that_is_full_says_so_and_takes_records_again_when_they_were_read() {
    let folder = tempdir().unwrap();
    // More than a full spool wants free before it goes on.
    let most = 100_000;
    let (spool, _) = Spool::open(Settings { max_bytes: most, readers: vec!["one"], ..settings(folder.path()) }).unwrap();
    let record = [7; 300];
    let mut written = 0;
    while block_on(spool.append(&record)).is_ok() {
        written += 1;
    }
    assert!(spool.is_full());
    assert!(spool.figures().bytes <= most && written > most / 400, "{:?}", spool.figures());
    assert_eq!(spool.figures().lost, 1);
    let mut reader = spool.reader("one").unwrap();
    assert_eq!(rest(&mut reader).len() as u64, written, "what was lost is not there");
    let end = *spool.reached().borrow();
    reader.acknowledge(end).unwrap();
    let began = Instant::now();
    while spool.is_full() {
        assert!(began.elapsed() < Duration::from_secs(10), "it stays full");
        std::thread::yield_now();
    }
    append(&spool, b"again");
    assert_eq!(rest(&mut reader), [b"again"]);
}

#[test]
fn a_record_that_is_too_long_or_empty_is_lost_and_the_spool_goes_on() {
    let folder = tempdir().unwrap();
    let (spool, _) = open(&folder);
    for wrong in [&[][..], &vec![0; torchmesh_spool::record::LONGEST + 1]] {
        assert_eq!(block_on(spool.append(wrong)), Err(Lost));
    }
    append(&spool, b"good");
    assert!(!spool.is_full());
}

#[test]
fn a_folder_is_one_processes() {
    let folder = tempdir().unwrap();
    let (_spool, _) = open(&folder);
    let refused = Spool::open(settings(folder.path())).unwrap_err();
    assert!(refused.to_string().contains("in use"), "{refused}");
}

#[test]
fn a_place_that_cannot_be_read_is_told_and_not_guessed() {
    let folder = tempdir().unwrap();
    drop(open(&folder));
    fs::write(folder.path().join("one.cursor"), "somewhere").unwrap();
    let refused = Spool::open(settings(folder.path())).unwrap_err();
    assert!(refused.to_string().contains("one.cursor"), "{refused}");
}

#[test]
fn a_file_under_the_name_of_another_is_no_record() {
    let folder = tempdir().unwrap();
    let records = numbered(60);
    let (spool, _) = open(&folder);
    append_all(&spool, &records);
    drop(spool);
    let per_file = (600_usize - 8).div_ceil(HEAD + records[0].len());
    let [first, second, aside] = ["00000000000000000001.seg", "00000000000000000002.seg", "aside"].map(|name| folder.path().join(name));
    fs::rename(&first, &aside).unwrap();
    fs::rename(&second, &first).unwrap();
    fs::rename(&aside, &second).unwrap();
    let (spool, _) = open(&folder);
    assert_eq!(rest(&mut spool.reader("one").unwrap()), &records[2 * per_file..]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_tail_cut_anywhere_costs_only_what_was_cut(lengths in proptest::collection::vec(1_usize..90, 1..30), cut: prop::sample::Index, more in 0_usize..5) {
        let folder = tempdir().unwrap();
        let records: Vec<Vec<u8>> = lengths.iter().enumerate().map(|(number, &length)| vec![number as u8; length]).collect();
        let (spool, _) = open(&folder);
        append_all(&spool, &records);
        drop(spool);
        let last = *files(&folder).last().unwrap();
        let path = segment::path(folder.path(), last);
        let bytes = fs::read(&path).unwrap();
        let cut = cut.index(bytes.len() + 1);
        fs::write(&path, &bytes[..cut]).unwrap();
        // Those of the last file that do not lie in front of the cut.
        let (mut end, mut gone) = (bytes.len(), 0);
        for record in records.iter().rev() {
            if end <= cut || end <= 8 {
                break;
            }
            end -= HEAD + record.len();
            gone += 1;
        }
        let (spool, found) = open(&folder);
        prop_assert_eq!(found.records as usize, records.len() - gone);
        prop_assert_eq!(found.damaged_bytes, 0);
        let later: Vec<Vec<u8>> = (0..more).map(|number| vec![200 + number as u8; 40]).collect();
        append_all(&spool, &later);
        let expected: Vec<_> = records[..records.len() - gone].iter().chain(&later).cloned().collect();
        prop_assert_eq!(rest(&mut spool.reader("one").unwrap()), expected);
    }

    #[test]
    fn a_changed_bit_anywhere_costs_one_record_at_most(at: prop::sample::Index, bit in 0_u8..8) {
        let folder = tempdir().unwrap();
        let records = numbered(60);
        let (spool, _) = open(&folder);
        append_all(&spool, &records);
        drop(spool);
        let paths: Vec<_> = files(&folder).into_iter().map(|number| segment::path(folder.path(), number)).collect();
        let mut place = at.index(paths.iter().map(|path| fs::metadata(path).unwrap().len() as usize).sum());
        for path in &paths {
            let mut bytes = fs::read(path).unwrap();
            if place < bytes.len() {
                bytes[place] ^= 1 << bit;
                fs::write(path, bytes).unwrap();
                break;
            }
            place -= bytes.len();
        }
        let (spool, _) = open(&folder);
        append(&spool, b"later");
        let mut read = rest(&mut spool.reader("one").unwrap());
        prop_assert_eq!(read.pop().unwrap(), b"later");
        prop_assert!(read.iter().all(|record| records.contains(record)) && read.is_sorted());
        prop_assert!(read.len() >= records.len() - 1, "{} of {}", read.len(), records.len());
    }
}
