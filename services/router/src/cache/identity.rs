//! The caller's own id, field 3 of every message that names a model and of every answer to one: two calls that differ in nothing else ask the same.

use std::ops::Range;

/// What stands in front of an id: the field's number, and that it has a length.
const TAG: u8 = (3 << 3) | 2;

/// A message in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parted<'a> {
    /// All of it but the id, in one or more pieces.
    pub(super) rest: Vec<&'a [u8]>,
    /// The id; of several, the last one, which is the one that counts.
    pub(super) id: &'a [u8],
}

/// Takes the id out of a message; `None` where it cannot be read.
pub(super) fn part(message: &[u8]) -> Option<Parted<'_>> {
    let (mut rest, mut id, mut from, mut at) = (Vec::new(), &message[..0], 0, 0);
    while at < message.len() {
        let Field { number, wire, value, end } = field(message, at)?;
        if number == 3 && wire == 2 {
            rest.push(&message[from..at]);
            id = &message[value];
            from = end;
        }
        at = end;
    }
    rest.push(&message[from..]);
    rest.retain(|piece| !piece.is_empty());
    Some(Parted { rest, id })
}

/// Adds an id to the end of a message that has none.
pub(super) fn add(message: &mut Vec<u8>, id: &[u8]) {
    if id.is_empty() {
        return;
    }
    message.push(TAG);
    let mut length = id.len();
    while length >= 0x80 {
        message.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    message.push(length as u8);
    message.extend_from_slice(id);
}

struct Field {
    number: u64,
    wire: u64,
    value: Range<usize>,
    end: usize,
}

/// The field that begins at `at`.
fn field(message: &[u8], at: usize) -> Option<Field> {
    let (key, after) = varint(message, at)?;
    let (number, wire) = (key >> 3, key & 7);
    let (begin, length) = match wire {
        0 => (after, varint(message, after)?.1 - after),
        1 => (after, 8),
        2 => {
            let (length, begin) = varint(message, after)?;
            (begin, usize::try_from(length).ok()?)
        }
        5 => (after, 4),
        _ => return None,
    };
    let end = begin.checked_add(length).filter(|&end| end <= message.len())?;
    (number > 0).then_some(Field { number, wire, value: begin..end, end })
}

/// A base-128 varint of at most ten bytes, and where what follows it begins.
fn varint(message: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (count, &byte) in message.get(at..)?.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * count);
        if byte < 0x80 {
            return Some((value, at + count + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;
    use torchmesh_api::text::v1::{EmbedRequest, EmbedResponse};

    use super::*;

    fn request(id: &str, texts: &[String]) -> EmbedRequest {
        EmbedRequest { model: "m".into(), id: id.into(), texts: texts.to_vec(), ..Default::default() }
    }

    proptest! {
        #[test]
        fn calls_that_differ_in_their_id_alone_have_the_same_rest(one in ".{0,200}", other in "[a-z]{0,9}", texts in prop::collection::vec(".{0,20}", 0..4)) {
            let (first, second) = (request(&one, &texts).encode_to_vec(), request(&other, &texts).encode_to_vec());
            let (first, second) = (part(&first).unwrap(), part(&second).unwrap());
            prop_assert_eq!(first.rest.concat(), second.rest.concat());
            prop_assert_eq!((first.id, second.id), (one.as_bytes(), other.as_bytes()));
            prop_assert_eq!(EmbedRequest::decode(&*first.rest.concat()).unwrap(), request("", &texts));
        }

        #[test]
        fn an_answer_with_another_id_is_the_same_but_for_that(one in "[a-z]{0,9}", other in ".{0,300}", version in "[0-9]{0,3}") {
            let answer = |id: &str| EmbedResponse { id: id.into(), model_version: version.clone(), ..Default::default() };
            let bytes = answer(&one).encode_to_vec();
            let mut changed = part(&bytes).unwrap().rest.concat();
            add(&mut changed, other.as_bytes());
            prop_assert_eq!(EmbedResponse::decode(&*changed).unwrap(), answer(&other));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = part(&bytes);
        }
    }
}
