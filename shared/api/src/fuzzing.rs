//! What the fuzz targets hold this crate to (`fuzz/`); it is in no build but theirs and the tests'.
//!
//! Each function takes any bytes, and panics where a promise is broken.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a broken promise is told")]

use prost::{
    Message as _,
    bytes::Buf as _,
    encoding::{DecodeContext, WireType, decode_key, skip_field, string},
};

use crate::{
    frame,
    inference::ModelInferRequest,
    peek::{self, Peek, Routing},
    timeout,
    trace::TraceContext,
};

/// A message: what is peeked is what a decoder reads, whole or cut.
pub fn routing(message: &[u8]) {
    let mut framed = vec![0];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.extend(message);
    let whole = peek::routing(&framed, true);
    if let Some((name, version)) = decoded(message) {
        assert_eq!(whole, Peek::Found(Routing { name: &name, version: &version }), "a decoder reads another");
    }
    for cut in 0..framed.len().min(256) {
        let found = peek::routing(&framed[..cut], false);
        assert!(found == Peek::More || found == whole || both_malformed(&found, &whole), "{found:?} after {cut} bytes, then {whole:?}");
        assert!(matches!(peek::routing(&framed[..cut], true), Peek::Malformed(_)), "{cut} bytes of {} are whole", framed.len());
    }
    if let Ok(request) = ModelInferRequest::decode(message) {
        let found = Peek::Found(Routing { name: &request.model_name, version: &request.model_version });
        assert_eq!(peek::routing(&frame::encode(&request), true), found, "what an encoder wrote");
    }
}

fn both_malformed(one: &Peek<'_>, other: &Peek<'_>) -> bool {
    matches!((one, other), (Peek::Malformed(_), Peek::Malformed(_)))
}

/// The routing fields as prost reads them, up to the first other field behind a name; `None` where it refuses, or meets a group, which no message of
/// ours has.
fn decoded(mut message: &[u8]) -> Option<(String, String)> {
    let (mut name, mut version) = (String::new(), String::new());
    while message.has_remaining() {
        let (field, wire) = decode_key(&mut message).ok()?;
        match field {
            1 => string::merge(wire, &mut name, &mut message, DecodeContext::default()).ok()?,
            2 => string::merge(wire, &mut version, &mut message, DecodeContext::default()).ok()?,
            _ if !name.is_empty() => break,
            _ if matches!(wire, WireType::StartGroup | WireType::EndGroup) => return None,
            _ => skip_field(wire, field, &mut message, DecodeContext::default()).ok()?,
        }
    }
    Some((name, version))
}

/// The value of a header: what is read, written again, is the same or no more.
pub fn headers(value: &[u8]) {
    if let Some(left) = timeout::parse(value) {
        let again = timeout::parse(timeout::format(left).as_bytes()).expect("what was written can be read");
        assert!(
            again <= left && left.saturating_sub(again) <= std::time::Duration::from_micros(1).max(left / 20_000),
            "{left:?} became {again:?}"
        );
    }
    if let Some(context) = TraceContext::parse(value) {
        let written = context.format();
        assert_eq!(TraceContext::parse(written.as_bytes()), Some(context));
        assert_eq!(&written.as_bytes()[3..53], &value[3..53], "both ids as they came");
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    fn each_seed(target: &str, run: fn(&[u8])) {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds")).join(target);
        let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path()).collect();
        assert!(!seeds.is_empty(), "there is no seed for {target}");
        for seed in seeds {
            run(&fs::read(seed).unwrap());
        }
    }

    #[test]
    fn every_seed_of_routing_holds() {
        each_seed("routing", super::routing);
    }

    #[test]
    fn every_seed_of_headers_holds() {
        each_seed("headers", super::headers);
    }
}
