//! Bytes made into whole characters.

use std::str;

/// Takes bytes as they come and gives the characters that are complete. All together it gives what [`String::from_utf8_lossy`] makes of all bytes.
#[derive(Clone, Debug, Default)]
pub struct Text {
    /// The beginning of a character: at most 3 bytes.
    held: Vec<u8>,
}

impl Text {
    /// Takes `bytes` and appends what is complete to `text`.
    pub fn push(&mut self, bytes: &[u8], text: &mut String) {
        if self.held.is_empty() {
            let held = complete(bytes, text);
            self.held.extend_from_slice(held);
            return;
        }
        self.held.extend_from_slice(bytes);
        let held = complete(&self.held, text).len();
        self.held.drain(..self.held.len() - held);
    }

    /// There are no more bytes: what is incomplete is broken.
    pub fn finish(&mut self, text: &mut String) {
        text.push_str(&String::from_utf8_lossy(&self.held));
        self.held.clear();
    }
}

/// Appends the characters that are complete, or broken, and gives the rest: the beginning of one.
fn complete<'a>(mut bytes: &'a [u8], text: &mut String) -> &'a [u8] {
    loop {
        let error = match str::from_utf8(bytes) {
            Ok(whole) => {
                text.push_str(whole);
                return &[];
            }
            Err(error) => error,
        };
        let (valid, rest) = bytes.split_at(error.valid_up_to());
        text.push_str(str::from_utf8(valid).unwrap_or_default());
        match error.error_len() {
            None => return rest,
            Some(broken) => {
                text.push(char::REPLACEMENT_CHARACTER);
                bytes = &rest[broken..];
            }
        }
    }
}
