//! Guessing by lookup: what followed the last tokens when they stood earlier in the sequence.

use std::{collections::HashMap, ops::Range};

use super::settings::Lookup;

const NONE: u32 = u32::MAX;

/// Earlier places that are looked at for one guess, the latest first: a bound for sequences of few different tokens.
const PLACES: usize = 32;

/// Where a sequence's tokens stand: for each place, the one before it with the same token.
#[derive(Debug, Default)]
pub(crate) struct Index {
    latest: HashMap<u32, u32>,
    earlier: Vec<u32>,
}

impl Index {
    /// The places of up to `most` tokens that may follow; none where the last tokens are new.
    pub(crate) fn find(&mut self, tokens: &[u32], lookup: Lookup, most: usize) -> Range<usize> {
        self.follow(tokens);
        let Some(last) = tokens.len().checked_sub(1) else { return 0..0 };
        let shortest = lookup.longest_match.min(2);
        let (mut best, mut from) = (0, last + 1);
        for place in self.places_before(last).take(PLACES) {
            let matched = same_behind(tokens, place, last, lookup.longest_match);
            if matched > best {
                (best, from) = (matched, place + 1);
            }
            if best == lookup.longest_match {
                break;
            }
        }
        if best < shortest.max(1) { 0..0 } else { from..(from + most).min(tokens.len()) }
    }

    fn follow(&mut self, tokens: &[u32]) {
        for &token in &tokens[self.earlier.len()..] {
            let place = self.earlier.len() as u32;
            self.earlier.push(self.latest.insert(token, place).unwrap_or(NONE));
        }
    }

    fn places_before(&self, place: usize) -> impl Iterator<Item = usize> {
        let earlier = |place: usize| Some(self.earlier[place]).filter(|&place| place != NONE).map(|place| place as usize);
        std::iter::successors(earlier(place), move |&place| earlier(place))
    }
}

/// How many tokens are the same, from two places backwards.
fn same_behind(tokens: &[u32], one: usize, other: usize, most: usize) -> usize {
    let backwards = |place: usize| tokens[..=place].iter().rev();
    backwards(one).zip(backwards(other)).take(most).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guesses(tokens: &[u32], longest_match: usize, most: usize) -> Vec<u32> {
        tokens[Index::default().find(tokens, Lookup { longest_match, most_guesses: most }, most)].to_vec()
    }

    #[test]
    fn the_longest_match_is_followed_even_where_a_shorter_one_is_later() {
        assert_eq!(guesses(&[1, 2, 3, 7, 9, 2, 3, 8, 1, 2, 3], 3, 1), [7]);
        assert_eq!(guesses(&[1, 2, 3, 7, 9, 2, 3, 8, 1, 2, 3], 2, 1), [8], "of equal ones the later");
    }

    #[test]
    fn guesses_end_where_the_tokens_end() {
        assert_eq!(guesses(&[5, 6, 5, 6], 4, 8), [5, 6]);
        assert_eq!(guesses(&[4, 4, 4], 2, 8), [4]);
    }

    #[test]
    fn where_nothing_matches_nothing_is_guessed() {
        assert!(guesses(&[], 4, 8).is_empty());
        assert!(guesses(&[1], 4, 8).is_empty());
        assert!(guesses(&[1, 2, 3], 4, 8).is_empty());
        assert!(guesses(&[2, 3, 1, 3], 4, 8).is_empty(), "one token is no match where more may be looked for");
        assert_eq!(guesses(&[2, 3, 1, 3], 1, 8), [1, 3]);
        assert!(guesses(&[5, 6, 5, 6], 0, 8).is_empty());
    }

    #[test]
    fn an_index_that_grows_finds_what_a_fresh_one_finds() {
        let mut random = fastrand::Rng::with_seed(3);
        let tokens: Vec<u32> = (0..300).map(|_| random.u32(0..4)).collect();
        let (mut grown, lookup) = (Index::default(), Lookup::default());
        for len in 1..tokens.len() {
            let fresh = Index::default().find(&tokens[..len], lookup, 8);
            assert_eq!(grown.find(&tokens[..len], lookup, 8), fresh);
        }
    }
}
