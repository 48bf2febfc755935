//! Where a document goes, piece by piece: whoever reads slowly is waited for, so that no more of it than a few pieces is in memory.

use tokio::sync::mpsc;

use crate::error::Result;

/// The bytes of a piece, about.
const PIECE: usize = 64 << 10;

/// A piece of a document, or why there are no more.
pub type Piece = Result<Vec<u8>>;

/// See the module.
#[derive(Debug)]
pub struct Sink {
    pieces: mpsc::Sender<Piece>,
    piece: Vec<u8>,
    /// Whether somebody still reads.
    is_read: bool,
}

impl Sink {
    /// Into these pieces.
    pub fn new(pieces: mpsc::Sender<Piece>) -> Self {
        Self { pieces, piece: Vec::with_capacity(PIECE), is_read: true }
    }

    /// Whether whoever reads has gone, and the rest is for nobody.
    pub(super) fn is_closed(&self) -> bool {
        !self.is_read
    }

    /// Adds text.
    pub(super) async fn put(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(PIECE - self.piece.len()));
            self.piece.extend_from_slice(now);
            rest = later;
            if self.piece.len() == PIECE {
                self.flush().await;
            }
        }
    }

    async fn flush(&mut self) {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.is_read &= self.pieces.send(Ok(piece)).await.is_ok();
    }

    /// Ends the document: with what is left of it, or with why there is no more.
    pub async fn end(mut self, written: Result<()>) {
        match written {
            Ok(()) => self.flush().await,
            // Nobody is left to be told when nobody reads.
            Err(refusal) => _ = self.pieces.send(Err(refusal)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Refusal;

    async fn read(written: Result<()>, texts: &[&str]) -> (String, Vec<usize>, Option<Refusal>) {
        let (sender, mut pieces) = mpsc::channel(64);
        let mut sink = Sink::new(sender);
        for text in texts {
            sink.put(text).await;
        }
        sink.end(written).await;
        let (mut all, mut sizes, mut refused) = (Vec::new(), Vec::new(), None);
        while let Some(piece) = pieces.recv().await {
            match piece {
                Ok(piece) => {
                    sizes.push(piece.len());
                    all.extend(piece);
                }
                Err(refusal) => refused = Some(refusal),
            }
        }
        (String::from_utf8(all).unwrap(), sizes, refused)
    }

    #[tokio::test]
    async fn pieces_are_bounded_and_make_up_the_document() {
        let long = "é".repeat(PIECE);
        let (all, sizes, refused) = read(Ok(()), &["a", &long, "b"]).await;
        assert_eq!((all, refused), (format!("a{long}b"), None));
        assert_eq!(sizes, [PIECE, PIECE, 2]);
    }

    #[tokio::test]
    async fn a_document_that_breaks_off_says_why_and_one_that_nobody_reads_is_not_written() {
        let (_, sizes, refused) = read(Err(Refusal::Away), &["half of it"]).await;
        assert_eq!((sizes, refused), (vec![], Some(Refusal::Away)));
        let (sender, pieces) = mpsc::channel(1);
        drop(pieces);
        let mut sink = Sink::new(sender);
        sink.put(&"x".repeat(PIECE)).await;
        assert!(sink.is_closed());
    }
}
