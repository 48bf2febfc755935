//! What leaves through a gathered transport, when, and in how many writes.

use std::{
    future::{Future, poll_fn},
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use torchmesh_wire::{Gathering, gather};

/// What one write call of the transport does.
#[derive(Debug, Clone, Copy)]
enum Step {
    Take(usize),
    /// Takes nothing, and asks to be called again.
    Wait,
    /// Takes nothing from now on.
    Block,
    Fail,
}

#[derive(Debug, Default)]
struct Record {
    writes: usize,
    bytes: Vec<u8>,
    /// Where the last write's last part lay.
    last_part: usize,
    shut: bool,
}

/// A transport that does as its script says, and then takes all it is given. Reads find nothing.
struct Scripted {
    script: std::vec::IntoIter<Step>,
    record: Arc<Mutex<Record>>,
}

fn scripted(script: Vec<Step>) -> (Scripted, Arc<Mutex<Record>>) {
    let record = Arc::new(Mutex::new(Record::default()));
    (Scripted { script: script.into_iter(), record: Arc::clone(&record) }, record)
}

impl AsyncRead for Scripted {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut room = match self.script.next() {
            None => usize::MAX,
            Some(Step::Take(count)) => count,
            Some(Step::Wait) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Step::Block) => {
                self.script = vec![Step::Block].into_iter();
                return Poll::Pending;
            }
            Some(Step::Fail) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        };
        let mut record = self.record.lock().unwrap();
        record.writes += 1;
        let before = record.bytes.len();
        for part in parts {
            let count = part.len().min(room);
            record.bytes.extend_from_slice(&part[..count]);
            record.last_part = part.as_ptr() as usize;
            room -= count;
        }
        Poll::Ready(Ok(record.bytes.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.record.lock().unwrap().shut = true;
        Poll::Ready(Ok(()))
    }
}

/// Lets the task sleep once.
async fn pause() {
    let mut slept = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut slept, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn write_vectored(io: &mut Gathering<Scripted>, parts: &[&[u8]]) -> io::Result<usize> {
    let parts: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
    poll_fn(|cx| Pin::new(&mut *io).poll_write_vectored(cx, &parts)).await
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

#[test]
fn many_small_writes_leave_in_one_when_the_task_sleeps() {
    let (io, record) = scripted(vec![]);
    let (mut io, flusher) = gather(io);
    run(flusher.flushing(async {
        for _ in 0..64 {
            io.write_all(b"a message").await.unwrap();
            io.flush().await.unwrap();
        }
        assert_eq!(record.lock().unwrap().writes, 0);
        pause().await;
        assert_eq!(record.lock().unwrap().writes, 1);
    }));
    assert_eq!(record.lock().unwrap().bytes, b"a message".repeat(64));
}

#[test]
fn a_large_payload_leaves_at_once_uncopied_behind_what_was_kept() {
    let (io, record) = scripted(vec![]);
    let (mut io, flusher) = gather(io);
    let payload = vec![7; 100_000];
    run(flusher.flushing(async {
        io.write_all(b"first").await.unwrap();
        assert_eq!(write_vectored(&mut io, &[b"head", &payload]).await.unwrap(), 100_004);
        let record = record.lock().unwrap();
        assert_eq!((record.writes, record.last_part), (1, payload.as_ptr() as usize));
        assert_eq!(&record.bytes[..9], b"firsthead");
        assert_eq!(record.bytes[9..], payload);
    }));
}

#[test]
fn a_peer_that_does_not_read_holds_the_writer_back() {
    let (io, record) = scripted(vec![Step::Take(10), Step::Block]);
    let (mut io, flusher) = gather(io);
    let written = Mutex::new(0);
    let work = flusher.flushing(async {
        loop {
            *written.lock().unwrap() += io.write(&[0; 1000]).await.unwrap();
        }
    });
    let mut work = std::pin::pin!(work);
    let waits = run(poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx).is_pending())));
    assert!(waits);
    assert!(*written.lock().unwrap() <= 33_000, "kept {}", written.lock().unwrap());
    assert_eq!(record.lock().unwrap().bytes.len(), 10);
}

#[test]
fn a_write_that_failed_is_told_by_the_next_read() {
    let (io, _) = scripted(vec![Step::Fail]);
    let (mut io, flusher) = gather(io);
    run(flusher.flushing(async {
        io.write_all(b"lost").await.unwrap();
        let error = io.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }));
}

#[test]
fn a_shutdown_sends_what_was_kept_first() {
    let (io, record) = scripted(vec![Step::Take(1), Step::Wait]);
    let (mut io, flusher) = gather(io);
    run(flusher.flushing(async {
        io.write_all(b"goodbye").await.unwrap();
        io.shutdown().await.unwrap();
    }));
    let record = record.lock().unwrap();
    assert_eq!((record.bytes.as_slice(), record.shut), (b"goodbye".as_slice(), true));
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![3 => (1_usize..20_000).prop_map(Step::Take), 1 => Just(Step::Wait)]
}

proptest! {
    #[test]
    fn whatever_the_transport_takes_every_byte_arrives_once_and_in_order(
        script in prop::collection::vec(step(), 0..40),
        writes in prop::collection::vec((0_usize..60, 0_usize..12_000, any::<bool>()), 0..40),
    ) {
        let (io, record) = scripted(script);
        let (mut io, flusher) = gather(io);
        let mut expected = Vec::new();
        run(flusher.flushing(async {
            for (at, (head, body, sleeps)) in writes.into_iter().enumerate() {
                let head = vec![at as u8; head];
                let body: Vec<u8> = (0..body).map(|byte| (byte / 7) as u8).collect();
                let whole = [head.as_slice(), body.as_slice()].concat();
                expected.extend_from_slice(&whole);
                let mut written = 0;
                while written < whole.len() {
                    let rest = head.len().max(written);
                    written += write_vectored(&mut io, &[&whole[written..rest], &whole[rest..]]).await.unwrap();
                }
                if sleeps {
                    pause().await;
                }
            }
            io.shutdown().await.unwrap();
        }));
        prop_assert_eq!(&record.lock().unwrap().bytes, &expected);
    }
}
