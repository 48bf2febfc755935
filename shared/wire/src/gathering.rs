//! The buffer between a connection and its transport.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is at most copied into the buffer in one write: larger payloads leave at once, uncopied.
const COPIED: usize = 4 << 10;
/// What is kept at most; a peer that does not read holds its connection back once this is reached.
const KEPT: usize = 32 << 10;
/// Parts of one vectored write: those of `h2` (a head and a payload) and what was kept before them.
const PARTS: usize = 8;

/// The connection's side of a gathered transport: reads go through, writes are kept.
#[derive(Debug)]
pub struct Gathering<T> {
    held: Arc<Mutex<Held<T>>>,
}

impl<T> Gathering<T> {
    pub(crate) fn new(held: Arc<Mutex<Held<T>>>) -> Self {
        Self { held }
    }
}

/// The transport, and what it is still to be given.
#[derive(Debug)]
pub(crate) struct Held<T> {
    io: T,
    kept: Vec<u8>,
    sent: usize,
    failed: Option<io::Error>,
}

impl<T> Held<T> {
    pub(crate) fn new(io: T) -> Self {
        Self { io, kept: Vec::new(), sent: 0, failed: None }
    }

    fn unsent(&self) -> usize {
        self.kept.len() - self.sent
    }

    fn failure(&mut self) -> io::Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }

    /// An idle connection keeps no memory: the buffer goes back once it is empty.
    fn advance(&mut self, count: usize) {
        self.sent += count;
        if self.sent == self.kept.len() {
            self.kept = Vec::new();
            self.sent = 0;
        }
    }

    fn keep(&mut self, parts: &[IoSlice<'_>]) {
        if self.kept.capacity() == 0 {
            self.kept.reserve_exact(KEPT);
        }
        self.kept.drain(..self.sent);
        self.sent = 0;
        for part in parts {
            self.kept.extend_from_slice(part);
        }
    }
}

impl<T: AsyncWrite + Unpin> Held<T> {
    /// Sends what can be sent now; `true` when that failed and the owner has to be told.
    pub(crate) fn send_or_remember(&mut self, cx: &mut Context<'_>) -> bool {
        let Poll::Ready(Err(error)) = self.poll_send(cx) else { return false };
        self.failed = Some(error);
        true
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unsent() == 0 {
            return Poll::Ready(Ok(()));
        }
        while self.unsent() > 0 {
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, &self.kept[self.sent..]))?;
            if count == 0 {
                self.advance(self.unsent());
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(count);
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.failure()?;
        let total = parts.iter().map(|part| part.len()).sum();
        if total > COPIED {
            return self.poll_write_through(cx, parts);
        }
        if self.unsent() + total > KEPT {
            ready!(self.poll_send(cx))?;
        }
        self.keep(parts);
        Poll::Ready(Ok(total))
    }

    /// What was kept and then `parts`, in one write where the transport takes it; ready with how much of `parts` went.
    fn poll_write_through(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            let unsent = self.unsent();
            let mut all = [IoSlice::new(&[]); PARTS];
            all[0] = IoSlice::new(&self.kept[self.sent..]);
            let taken = parts.len().min(PARTS - 1);
            all[1..=taken].copy_from_slice(&parts[..taken]);
            let all = if unsent == 0 { &all[1..=taken] } else { &all[..=taken] };
            let count = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, all))?;
            self.advance(count.min(unsent));
            if count > unsent || count == 0 {
                return Poll::Ready(Ok(count.saturating_sub(unsent)));
            }
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Gathering<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut held = self.held.lock();
        held.failure()?;
        Pin::new(&mut held.io).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Gathering<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.held.lock().poll_write(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.held.lock().poll_write(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: the [`Flusher`](crate::Flusher) sends.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut held = self.held.lock();
        held.failure()?;
        ready!(held.poll_send(cx))?;
        Pin::new(&mut held.io).poll_shutdown(cx)
    }
}
