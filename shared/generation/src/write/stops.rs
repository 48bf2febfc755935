//! Texts that end an answer.

use std::sync::Arc;

/// Looks for stop texts in what is written. Nothing that can be the beginning of one is passed on, so a stop text never shows in part.
///
/// The answer ends with the stop text that is complete first; of several that are complete at the same character, with the longest. So the end is the
/// same however the text is cut into pieces.
#[derive(Clone, Debug, Default)]
pub struct Stops {
    texts: Arc<[String]>,
    held: String,
}

impl Stops {
    /// A search for any of `texts`, none of which is empty.
    pub fn new(texts: Arc<[String]>) -> Self {
        Self { texts, held: String::new() }
    }

    /// Takes a piece and appends to `text` what is no part of a stop text. Gives the place of the stop text that ends the answer; nothing may be pushed
    /// after that.
    pub fn push(&mut self, piece: &str, text: &mut String) -> Option<usize> {
        if self.texts.is_empty() {
            text.push_str(piece);
            return None;
        }
        self.held.push_str(piece);
        if let Some((start, index)) = self.first() {
            text.push_str(&self.held[..start]);
            self.held.clear();
            return Some(index);
        }
        let passed = self.held.len() - self.begun();
        text.push_str(&self.held[..passed]);
        self.held.drain(..passed);
        None
    }

    /// There is no more: what was held back was no stop text.
    pub fn finish(&mut self, text: &mut String) {
        text.push_str(&self.held);
        self.held.clear();
    }

    /// Where the stop text that is complete first begins, and which it is.
    fn first(&self) -> Option<(usize, usize)> {
        let found = self.texts.iter().enumerate().filter_map(|(index, text)| Some((self.held.find(text.as_str())?, index)));
        found.min_by_key(|&(start, index)| (start + self.texts[index].len(), start))
    }

    /// The length of the longest end of what is held that a stop text begins with.
    fn begun(&self) -> usize {
        let held = self.held.as_bytes();
        let begins = |text: &String| (1..text.len().min(held.len() + 1)).rev().find(|&length| held.ends_with(&text.as_bytes()[..length]));
        self.texts.iter().filter_map(begins).max().unwrap_or_default()
    }
}
