//! The text, as the finders look at it.

/// The bytes of a text, from the end of the last value that was found: a placeholder will stand in front of that.
#[derive(Debug)]
pub(super) struct Text<'t> {
    bytes: &'t [u8],
    floor: usize,
    end: usize,
    #[cfg(test)]
    looks: std::cell::Cell<usize>,
}

impl<'t> Text<'t> {
    pub(super) fn new(bytes: &'t [u8]) -> Self {
        Self {
            bytes,
            floor: 0,
            end: bytes.len(),
            #[cfg(test)]
            looks: Default::default(),
        }
    }

    /// The byte at a place; `None` from the end on.
    pub(super) fn get(&self, at: usize) -> Option<u8> {
        #[cfg(test)]
        self.looks.set(self.looks.get() + 1);
        if at < self.end { self.bytes.get(at).copied() } else { None }
    }

    /// The same; 0, which is part of nothing, from the end on.
    pub(super) fn at(&self, at: usize) -> u8 {
        self.get(at).unwrap_or_default()
    }

    /// The byte so many before a place; 0 in front of the beginning, and the end of a placeholder where a value was found already.
    pub(super) fn before(&self, at: usize, count: usize) -> u8 {
        match at.checked_sub(count) {
            Some(at) if at >= self.floor => self.at(at),
            _ if self.floor > 0 => b']',
            _ => 0,
        }
    }

    /// The bytes between two places; empty where they are not there.
    pub(super) fn slice(&self, from: usize, to: usize) -> &'t [u8] {
        self.bytes.get(from..to).unwrap_or_default()
    }

    pub(super) fn is_digit(&self, at: usize) -> bool {
        self.at(at).is_ascii_digit()
    }

    /// A value ends here.
    pub(super) fn done(&mut self, end: usize) {
        self.floor = end;
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Has the text end where another value begins, or where it does.
    pub(super) fn ends_at(&mut self, end: usize) {
        self.end = end;
    }

    /// Whether a number may begin here: not within a word or a longer number, such as `v1`, `0x4f`, `1.5` and `2024-01`.
    pub(super) fn begins_a_number(&self, at: usize) -> bool {
        let before = self.before(at, 1);
        let goes_on = matches!(before, b'-' | b'.') && self.before(at, 2).is_ascii_digit();
        !is_word(before) && !goes_on
    }

    /// Whether a number may end here: neither in a word nor in front of another part of the same number. What stands before an `@` is part of an address.
    pub(super) fn ends_a_number(&self, end: usize) -> bool {
        let next = self.at(end);
        let goes_on = matches!(next, b'-' | b'.') && self.is_digit(end + 1) && self.before(end, 1).is_ascii_digit();
        !is_word(next) && next != b'@' && !goes_on
    }

    #[cfg(test)]
    pub(super) fn looks(&self) -> usize {
        self.looks.get()
    }
}

/// Whether a byte is part of a word in a program's sense.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
