//! Places in a text in characters, from places in bytes.

/// Counts a text's characters once, so that each place is looked up.
#[derive(Debug)]
pub(crate) struct Characters {
    /// For each byte, how many characters begin before it; empty where every character is one byte.
    before: Vec<u32>,
}

impl Characters {
    /// Reads a text.
    pub(crate) fn of(text: &str) -> Self {
        if text.is_ascii() {
            return Self { before: Vec::new() };
        }
        let mut count = 0;
        let mut step = |at: usize| {
            let now = count;
            count += u32::from(text.is_char_boundary(at));
            now
        };
        Self { before: (0..=text.len()).map(&mut step).collect() }
    }

    /// How many characters begin before the byte `at`; of a place behind the text, all.
    pub(crate) fn before(&self, at: usize) -> usize {
        match self.before.last() {
            None => at,
            Some(&all) => self.before.get(at).copied().unwrap_or(all) as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_place_in_characters_is_what_counting_finds(text in "[a-zéÀ東🙂 ]{0,20}") {
            let characters = Characters::of(&text);
            for (count, (at, _)) in text.char_indices().enumerate() {
                prop_assert_eq!(characters.before(at), count);
            }
            prop_assert_eq!(characters.before(text.len()), text.chars().count());
        }
    }
}
