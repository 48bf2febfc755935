//! What the fuzz target of the cache holds it to (`fuzz/`); it is in no build but that and the tests'.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a broken promise is told")]

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use torchmesh_api::{
    inference::{ModelInferRequest, ModelInferResponse},
    text::v1::{ChatRequest, EmbedRequest},
};

use super::{
    Kept,
    identity::{add, part},
};

/// Now, as far as the target knows: milliseconds since 1970.
const NOW: u64 = 1_700_000_000_000;
const A_WHILE: Duration = Duration::from_secs(60);

/// Bytes of an answer that is kept outside: they can be read or not, and what can says the same when it is written and read again.
///
/// A message: taken apart into its id and the rest, and put together again with this or another id, it says the same as before but for that. What a decoder reads can be
/// taken apart, unless it has a group, which no message of ours has.
pub fn cached(message: &[u8]) {
    // Time goes on: what is about to end may have ended when it is read again.
    if let Some(kept) = Kept::read(Bytes::copy_from_slice(message), NOW).filter(|kept| kept.since().elapsed() + A_WHILE < kept.ttl()) {
        let again = Kept::read(kept.write(NOW), NOW).expect("what was written can be read");
        assert_eq!((again.headers(), again.messages(), again.trailers()), (kept.headers(), kept.messages(), kept.trailers()));
        assert_eq!((again.load(), again.ttl()), (kept.load(), kept.ttl()));
    }
    let Some(parted) = part(message) else { return };
    let rest = parted.rest.concat();
    assert!(rest.len() + parted.id.len() <= message.len());
    let again = part(&rest).expect("the rest is whole fields");
    assert!(again.id.is_empty() && again.rest.concat() == rest, "the rest has an id");
    let [mut same, mut other] = [rest.clone(), rest];
    add(&mut same, parted.id);
    add(&mut other, b"another");
    put::<ModelInferRequest>(message, &same, &other, |message| &mut message.id);
    put::<ModelInferResponse>(message, &same, &other, |message| &mut message.id);
    put::<EmbedRequest>(message, &same, &other, |message| &mut message.id);
    put::<ChatRequest>(message, &same, &other, |message| &mut message.id);
}

fn put<M: Message + Default + PartialEq + std::fmt::Debug>(message: &[u8], same: &[u8], other: &[u8], id: fn(&mut M) -> &mut String) {
    let Ok(mut decoded) = M::decode(message) else { return };
    assert_eq!(M::decode(same).as_ref(), Ok(&decoded), "another came back");
    "another".clone_into(id(&mut decoded));
    assert_eq!(M::decode(other).as_ref(), Ok(&decoded), "with another id it is another message");
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn every_seed_of_cached_holds() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/cached"));
        let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path()).collect();
        assert!(!seeds.is_empty());
        for seed in seeds {
            super::cached(&fs::read(seed).unwrap());
        }
    }
}
