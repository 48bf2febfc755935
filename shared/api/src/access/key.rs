//! The form of API keys and client secrets: `tm_<id>_<secret><checksum>`.
//!
//! The prefix lets scanners find one that was published by mistake, and the checksum lets a typo be told from a key that was revoked without asking
//! anybody. The id is no secret: it says which entry of the keys file a key is. Keys of other forms are as good, only less easily found.

use std::io;

/// What every key begins with.
pub const PREFIX: &str = "tm_";
/// The letters of id, secret and checksum.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 43 characters of 62 are 256 bits.
const SECRET: usize = 43;
/// 6 characters of 62 hold 32 bits.
const CHECKSUM: usize = 6;
/// As long as an id is that is drawn. One that somebody chose has up to [`LONGEST_ID`].
const ID: usize = 8;
const LONGEST_ID: usize = 16;

/// Whether what was sent is spelt as a key of this form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// The checksum fits.
    Right,
    /// It does not: a typo.
    Wrong,
    /// It has another form.
    Other,
}

/// A new key.
#[derive(Clone, PartialEq, Eq)]
pub struct NewKey {
    /// What tells it from others in lists; no secret.
    pub id: String,
    /// The whole key, which nobody keeps.
    pub key: String,
}

/// Draws a key; `draw` gives random bytes. Without an id, that is drawn too.
pub fn draw(id: Option<&str>, draw: &mut dyn FnMut() -> io::Result<u8>) -> io::Result<NewKey> {
    let id = match id {
        Some(id) => id.to_owned(),
        None => letters(ID, draw)?,
    };
    let body = format!("{PREFIX}{id}_{}", letters(SECRET, draw)?);
    let checksum = checksum(body.as_bytes()).map(char::from);
    Ok(NewKey { key: body + &String::from_iter(checksum), id })
}

/// Tells a typo without knowing any key.
pub fn spelling(key: &[u8]) -> Spelling {
    let Some(rest) = key.strip_prefix(PREFIX.as_bytes()) else { return Spelling::Other };
    let id = rest.iter().position(|&byte| byte == b'_').unwrap_or(0);
    let tail = rest.get(id + 1..).unwrap_or_default();
    if !(1..=LONGEST_ID).contains(&id) || tail.len() != SECRET + CHECKSUM {
        return Spelling::Other;
    }
    let (body, told) = key.split_at(key.len() - CHECKSUM);
    if checksum(body) == *told { Spelling::Right } else { Spelling::Wrong }
}

fn letters(count: usize, draw: &mut dyn FnMut() -> io::Result<u8>) -> io::Result<String> {
    let mut text = String::with_capacity(count);
    while text.len() < count {
        let byte = usize::from(draw()?);
        // 248 is the last multiple of 62 in a byte; taking the rest too would favour the first letters.
        if byte < 248 {
            text.push(char::from(ALPHABET[byte % 62]));
        }
    }
    Ok(text)
}

/// CRC-32 in base 62, the highest digit first.
fn checksum(body: &[u8]) -> [u8; CHECKSUM] {
    let mut rest = crc32fast::hash(body);
    let mut digits = [0; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn drawn(seed: u64) -> NewKey {
        let mut state = seed.wrapping_mul(2).wrapping_add(1);
        super::draw(None, &mut || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Ok((state >> 56) as u8)
        })
        .unwrap()
    }

    #[test]
    fn the_form_is_the_one_that_scanners_look_for() {
        let NewKey { id, key } = drawn(7);
        assert!(key.starts_with(&format!("tm_{id}_")) && id.len() == ID && key.len() == 3 + ID + 1 + SECRET + CHECKSUM, "{key}");
        assert_eq!(spelling(key.as_bytes()), Spelling::Right);
        assert_eq!(spelling(b"tm_dev_0123456789012345678901234567890123456789012"), Spelling::Other, "the form before this one");
    }

    #[test]
    fn every_letter_is_as_likely_as_any_other() {
        let mut next = 0_u8;
        let mut draw = || {
            next = next.wrapping_add(1);
            Ok(next)
        };
        let mut seen = BTreeMap::new();
        for letter in (0..1000).flat_map(|_| letters(SECRET, &mut draw).unwrap().chars().collect::<Vec<_>>()) {
            *seen.entry(letter).or_insert(0) += 1;
        }
        let (least, most) = (seen.values().min().unwrap(), seen.values().max().unwrap());
        assert!(seen.len() == 62 && most - least <= 8, "{least} to {most} over {} letters", seen.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn one_wrong_letter_is_always_noticed(seed: u64, at in 12_usize..61, letter in 0_usize..62) {
            let mut key = drawn(seed).key.into_bytes();
            prop_assume!(key[at] != ALPHABET[letter]);
            key[at] = ALPHABET[letter];
            prop_assert_eq!(spelling(&key), Spelling::Wrong);
        }

        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_ne!(spelling(&bytes), Spelling::Right);
            let _ = spelling(&[b"tm_", &bytes[..]].concat());
        }
    }
}
