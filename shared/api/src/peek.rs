//! What a proxy reads of a gRPC message without decoding it: the length, and the routing fields.
//!
//! Requests that name a model keep its name, its version and the caller's id in the first three fields, as strings (`RepositoryModelLoad`
//! and `-Unload` have the name in the second). Encoders write fields in the order of their numbers, so the routing fields are
//! nearly always in the first few bytes; one that arrives in another order is still read, by skipping over what lies before it.

/// The length of the prefix in front of every gRPC message: a compression flag and four bytes of length.
pub const PREFIX: usize = 5;

/// The routing fields, borrowed from the message. An absent field is empty, as in proto3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Routing<'a> {
    /// Field 1.
    pub name: &'a str,
    /// Field 2.
    pub version: &'a str,
}

/// What the bytes seen so far tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peek<'a> {
    /// More bytes are needed.
    More,
    /// The routing fields are known.
    Found(Routing<'a>),
    /// These bytes cannot be a message of ours; the text says why.
    Malformed(&'static str),
}

/// Reads the prefix: whether the message is compressed, and its length in bytes. `None` when fewer than [`PREFIX`] bytes are there.
pub fn prefix(bytes: &[u8]) -> Option<(bool, usize)> {
    let head = bytes.get(..PREFIX)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    Some((head[0] != 0, length as usize))
}

/// Reads the routing fields from the start of a gRPC message (its prefix included).
///
/// `complete` says that no more bytes will come. Reading stops at the first field with a number above 2, since encoders write in order;
/// a name that an unusual encoder put later is found too, as long as no name was seen before it.
pub fn routing(bytes: &[u8], complete: bool) -> Peek<'_> {
    let Some((compressed, length)) = prefix(bytes) else {
        return if complete { Peek::Malformed("the gRPC message ends within its 5-byte prefix") } else { Peek::More };
    };
    if compressed {
        return Peek::Malformed("the message is compressed; send it with grpc-encoding: identity");
    }
    let end = (PREFIX + length).min(bytes.len());
    let whole = bytes.len() >= PREFIX + length;
    if complete && !whole {
        return Peek::Malformed("the gRPC message is shorter than its prefix says");
    }
    scan(&bytes[PREFIX..end], whole)
}

fn scan(mut rest: &[u8], whole: bool) -> Peek<'_> {
    let cut = if whole { Peek::Malformed("the protobuf message ends within a field") } else { Peek::More };
    let mut found = Routing::default();
    loop {
        if rest.is_empty() {
            return if whole { Peek::Found(found) } else { Peek::More };
        }
        let Some((key, after_key)) = varint(rest) else {
            return if rest.len() >= 10 { Peek::Malformed("a protobuf field key is too long") } else { cut };
        };
        let (field, wire) = (key >> 3, key & 7);
        if field == 0 {
            return Peek::Malformed("a protobuf field has the number 0");
        }
        if field > 2 && !found.name.is_empty() {
            return Peek::Found(found);
        }
        let size = match wire {
            0 => varint(after_key).map(|(_, after)| (0, after_key.len() - after.len())),
            1 => Some((0, 8)),
            2 => varint(after_key).map(|(length, after)| (after_key.len() - after.len(), usize::try_from(length).unwrap_or(usize::MAX))),
            5 => Some((0, 4)),
            _ => return Peek::Malformed("a protobuf field has an unknown wire type"),
        };
        let Some((skip, length)) = size else { return cut };
        let Some(value) = after_key.get(skip..skip.saturating_add(length)) else { return cut };
        if wire == 2 && field <= 2 {
            let Ok(text) = std::str::from_utf8(value) else {
                return Peek::Malformed("the model name or version is not valid UTF-8");
            };
            if field == 1 {
                found.name = text;
            } else {
                found.version = text;
            }
        }
        rest = &after_key[skip + length..];
    }
}

/// A base-128 varint of at most ten bytes, and what follows it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (at, &byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::inference::ModelInferRequest;

    fn framed(body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    }

    fn request(name: &str, version: &str) -> Vec<u8> {
        framed(
            &ModelInferRequest {
                model_name: name.into(),
                model_version: version.into(),
                id: "call".into(),
                raw_input_contents: vec![vec![7; 1000].into()],
                ..Default::default()
            }
            .encode_to_vec(),
        )
    }

    #[test]
    fn the_first_bytes_are_enough() {
        let bytes = request("minilm", "3");
        assert_eq!(routing(&bytes[..40], false), Peek::Found(Routing { name: "minilm", version: "3" }));
    }

    #[test]
    fn fields_in_an_unusual_order_are_found_behind_the_tensor() {
        let mut body = vec![0x3a, 0x04, 1, 2, 3, 4];
        body.extend([0x12, 1, b'2', 0x0a, 1, b'm']);
        assert_eq!(routing(&framed(&body), true), Peek::Found(Routing { name: "m", version: "2" }));
        assert_eq!(routing(&framed(&body)[..12], false), Peek::More);
    }

    #[test]
    fn a_message_without_a_name_is_found_to_have_none() {
        assert_eq!(routing(&framed(&[]), true), Peek::Found(Routing::default()));
    }

    #[test]
    fn garbage_is_told_apart_from_a_message_still_on_its_way() {
        assert_eq!(routing(&[0, 0], false), Peek::More);
        assert!(matches!(routing(&[0, 0], true), Peek::Malformed(_)));
        assert!(matches!(routing(&framed(&[0xff; 12]), true), Peek::Malformed(_)));
        assert!(matches!(routing(&framed(&[0x0a, 2, 0xc3, 0x28]), true), Peek::Malformed(_)));
        assert!(matches!(routing(&framed(&[0x0a, 200]), true), Peek::Malformed(_)));
        assert!(matches!(routing(&[1, 0, 0, 0, 1, 0], true), Peek::Malformed(_)));
    }

    proptest! {
        #[test]
        fn every_prefix_of_a_message_asks_for_more_or_agrees_with_the_whole(name in "[a-z]{1,20}", version in "[0-9]{0,3}", cut in 0_usize..60) {
            let bytes = request(&name, &version);
            match routing(&bytes[..cut.min(bytes.len())], false) {
                Peek::More => {}
                Peek::Found(found) => prop_assert_eq!(found, Routing { name: &name, version: &version }),
                Peek::Malformed(why) => prop_assert!(false, "{}", why),
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), complete: bool) {
            let _ = routing(&bytes, complete);
        }
    }
}
