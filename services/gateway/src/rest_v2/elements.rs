//! A tensor's elements as JSON has them, to and from the bytes that the mesh has them as: little-endian, row by row.

use std::fmt;

use bytes::{BufMut as _, Bytes, BytesMut};
use half::{bf16, f16};
use serde::{
    Deserializer as _, Serialize, Serializer,
    de::{DeserializeSeed, SeqAccess, Visitor},
    ser::{Error as _, SerializeSeq as _},
};
use serde_json::value::RawValue;

use super::datatype::Datatype;

/// Reads a list, flat or nested, of as many elements as the shape says.
///
/// The error says which element is wrong and what to send. JSON numbers are exact: one that the datatype cannot hold is refused, but for
/// the rounding of floats.
pub(super) fn from_json(datatype: Datatype, elements: usize, data: &RawValue) -> Result<Bytes, String> {
    // An element takes two characters at least, itself and its comma: a large shape alone takes no memory.
    let room = match datatype.element_size() {
        Some(size) => elements.min(data.get().len() / 2 + 1) * size,
        None => data.get().len(),
    };
    let mut sink = Sink { datatype, wanted: elements, found: 0, out: BytesMut::with_capacity(room), refusal: None };
    let mut json = serde_json::Deserializer::from_str(data.get());
    match json.deserialize_seq(&mut sink) {
        Err(error) => Err(sink.refusal.unwrap_or_else(|| format!("data cannot be read: {error}"))),
        Ok(()) if sink.found != elements => Err(format!("data has {} elements, and the shape says {elements}", sink.found)),
        Ok(()) => Ok(sink.out.freeze()),
    }
}

struct Sink {
    datatype: Datatype,
    wanted: usize,
    found: usize,
    out: BytesMut,
    refusal: Option<String>,
}

impl Sink {
    /// Notes an element, which `put` has written if it could.
    fn note<E: serde::de::Error>(&mut self, fits: Option<()>, shown: impl fmt::Display) -> Result<(), E> {
        if fits.is_none() {
            let (at, name) = (self.found, self.datatype.name());
            self.refusal = Some(format!("element {at} of data is {shown}, which {name} does not hold"));
            return Err(E::custom("refused"));
        }
        self.found += 1;
        if self.found > self.wanted {
            self.refusal = Some(format!("data has more elements than the shape says, which is {}", self.wanted));
            return Err(E::custom("refused"));
        }
        Ok(())
    }

    fn put_integer(&mut self, value: i128) -> Option<()> {
        let out = &mut self.out;
        match self.datatype {
            Datatype::Bool => out.put_u8(u8::try_from(value).ok().filter(|&value| value < 2)?),
            Datatype::Uint8 => out.put_u8(value.try_into().ok()?),
            Datatype::Uint16 => out.put_u16_le(value.try_into().ok()?),
            Datatype::Uint32 => out.put_u32_le(value.try_into().ok()?),
            Datatype::Uint64 => out.put_u64_le(value.try_into().ok()?),
            Datatype::Int8 => out.put_i8(value.try_into().ok()?),
            Datatype::Int16 => out.put_i16_le(value.try_into().ok()?),
            Datatype::Int32 => out.put_i32_le(value.try_into().ok()?),
            Datatype::Int64 => out.put_i64_le(value.try_into().ok()?),
            Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64 => return self.put_float(value as f64),
            Datatype::Bytes => return None,
        }
        Some(())
    }

    fn put_float(&mut self, value: f64) -> Option<()> {
        let out = &mut self.out;
        match self.datatype {
            Datatype::Fp16 => out.put_u16_le(Some(f16::from_f64(value)).filter(|value| value.is_finite())?.to_bits()),
            Datatype::Bf16 => out.put_u16_le(Some(bf16::from_f64(value)).filter(|value| value.is_finite())?.to_bits()),
            Datatype::Fp32 => out.put_f32_le(Some(value as f32).filter(|value| value.is_finite())?),
            Datatype::Fp64 => out.put_f64_le(value),
            _ => return None,
        }
        Some(())
    }

    fn put_text(&mut self, text: &str) -> Option<()> {
        if self.datatype != Datatype::Bytes {
            return None;
        }
        self.out.put_u32_le(u32::try_from(text.len()).ok()?);
        self.out.extend_from_slice(text.as_bytes());
        Some(())
    }
}

impl<'de> DeserializeSeed<'de> for &mut Sink {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Sink {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of {} elements", self.datatype.name())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(&mut *self)?.is_some() {}
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        let fits = (self.datatype == Datatype::Bool).then(|| self.out.put_u8(u8::from(value)));
        self.note(fits, value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        let fits = self.put_integer(value.into());
        self.note(fits, value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        let fits = self.put_integer(value.into());
        self.note(fits, value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        let fits = self.put_float(value);
        self.note(fits, value)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let fits = self.put_text(text);
        self.note(fits, "a text")
    }
}

/// Elements as a flat JSON list. A float that is no number becomes `null`, which is all that JSON has for it.
///
/// Serialising fails when BYTES are no UTF-8, or are not of the form that the protocol gives them.
pub(super) struct AsJson<'a>(pub(super) Datatype, pub(super) &'a [u8]);

impl Serialize for AsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(datatype, bytes) = *self;
        match datatype {
            Datatype::Bool => serializer.collect_seq(bytes.iter().map(|&byte| byte != 0)),
            Datatype::Uint8 => serializer.collect_seq(bytes),
            Datatype::Int8 => serializer.collect_seq(bytes.iter().map(|&byte| byte.cast_signed())),
            Datatype::Uint16 => serializer.collect_seq(chunks(bytes, u16::from_le_bytes)),
            Datatype::Int16 => serializer.collect_seq(chunks(bytes, i16::from_le_bytes)),
            Datatype::Uint32 => serializer.collect_seq(chunks(bytes, u32::from_le_bytes)),
            Datatype::Int32 => serializer.collect_seq(chunks(bytes, i32::from_le_bytes)),
            Datatype::Uint64 => serializer.collect_seq(chunks(bytes, u64::from_le_bytes)),
            Datatype::Int64 => serializer.collect_seq(chunks(bytes, i64::from_le_bytes)),
            Datatype::Fp16 => serializer.collect_seq(chunks(bytes, |half| f16::from_le_bytes(half).to_f32())),
            Datatype::Bf16 => serializer.collect_seq(chunks(bytes, |half| bf16::from_le_bytes(half).to_f32())),
            Datatype::Fp32 => serializer.collect_seq(chunks(bytes, f32::from_le_bytes)),
            Datatype::Fp64 => serializer.collect_seq(chunks(bytes, f64::from_le_bytes)),
            Datatype::Bytes => texts(bytes, serializer),
        }
    }
}

fn chunks<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> impl Iterator<Item = T> {
    bytes.as_chunks().0.iter().map(move |chunk| read(*chunk))
}

fn texts<S: Serializer>(mut bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(None)?;
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk().ok_or_else(|| S::Error::custom("its elements do not end where they say"))?;
        let (text, rest) = rest
            .split_at_checked(u32::from_le_bytes(*length) as usize)
            .ok_or_else(|| S::Error::custom("its elements do not end where they say"))?;
        let text =
            str::from_utf8(text).map_err(|_| S::Error::custom("it has bytes that are no UTF-8 text; ask for it with binary_data: true"))?;
        list.serialize_element(text)?;
        bytes = rest;
    }
    list.end()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(datatype: Datatype, elements: usize, json: &str) -> Result<Bytes, String> {
        from_json(datatype, elements, &RawValue::from_string(json.to_owned()).map_err(|error| error.to_string())?)
    }

    #[test]
    fn nested_lists_are_read_as_flat_ones() {
        let flat = parse(Datatype::Int16, 4, "[1, -2, 3, 4]").unwrap();
        assert_eq!(flat, &[1, 0, 0xfe, 0xff, 3, 0, 4, 0][..]);
        assert_eq!(parse(Datatype::Int16, 4, "[[1, -2], [3, 4]]").unwrap(), flat);
        assert_eq!(parse(Datatype::Int16, 4, "[[[1], [-2]], [[3], [4]]]").unwrap(), flat);
        assert_eq!(parse(Datatype::Int16, 0, "[]").unwrap(), "");
    }

    #[test]
    fn an_element_that_the_datatype_does_not_hold_is_named() {
        for (datatype, json, part) in [
            (Datatype::Uint8, "[1, 256]", "element 1 of data is 256, which UINT8"),
            (Datatype::Int32, "[[1], [2.5]]", "element 1 of data is 2.5"),
            (Datatype::Int64, "[0, \"x\"]", "element 1 of data is a text"),
            (Datatype::Bytes, "[\"a\", 7]", "element 1 of data is 7"),
            (Datatype::Bool, "[true, 2]", "element 1 of data is 2"),
            (Datatype::Fp16, "[0, 65536]", "element 1 of data is 65536"),
            (Datatype::Fp32, "[0, 1e39]", "element 1 of data"),
            (Datatype::Fp32, "[0, null]", "null"),
            (Datatype::Fp32, "{}", "a list of FP32"),
        ] {
            let refused = parse(datatype, 2, json).unwrap_err();
            assert!(refused.contains(part), "{json}: {refused}");
        }
    }

    #[test]
    fn as_many_elements_as_the_shape_says_are_taken_and_no_others() {
        assert!(parse(Datatype::Fp32, 3, "[1, 2]").unwrap_err().contains("has 2 elements, and the shape says 3"));
        assert!(parse(Datatype::Fp32, 1, "[1, 2]").unwrap_err().contains("more elements than the shape says"));
        // A shape that says more than there can be takes no memory for it.
        assert!(parse(Datatype::Fp64, usize::MAX, "[1]").is_err());
    }

    #[test]
    fn a_number_that_json_has_not_is_null() {
        let bytes = [f32::NAN.to_le_bytes(), 1.5_f32.to_le_bytes()].concat();
        assert_eq!(serde_json::to_string(&AsJson(Datatype::Fp32, &bytes)).unwrap(), "[null,1.5]");
    }

    #[test]
    fn bytes_that_are_no_text_or_do_not_end_are_refused() {
        for (bytes, part) in [(&b"\x01\0\0\0\xff"[..], "binary_data"), (b"\x05\0\0\0ab", "do not end"), (b"\x05\0", "do not end")] {
            let refused = serde_json::to_string(&AsJson(Datatype::Bytes, bytes)).unwrap_err().to_string();
            assert!(refused.contains(part), "{refused}");
        }
    }

    /// Any elements that JSON can carry: every bit pattern, but for floats that are no numbers.
    fn any_elements() -> impl Strategy<Value = (Datatype, usize, Vec<u8>)> {
        let one = (0..Datatype::ALL.len(), proptest::collection::vec((any::<[u8; 8]>(), ".{0,12}"), 0..40));
        one.prop_map(|(at, elements)| {
            let datatype = Datatype::ALL[at];
            let bytes: Vec<u8> = elements.iter().flat_map(|(bits, text)| element(datatype, *bits, text)).collect();
            (datatype, elements.len(), bytes)
        })
    }

    fn element(datatype: Datatype, bits: [u8; 8], text: &str) -> Vec<u8> {
        let [a, b, c, d, ..] = bits;
        match datatype {
            Datatype::Bool => vec![a % 2],
            Datatype::Bytes => [&u32::try_from(text.len()).unwrap().to_le_bytes()[..], text.as_bytes()].concat(),
            Datatype::Fp16 if !f16::from_le_bytes([a, b]).is_finite() => vec![0; 2],
            Datatype::Bf16 if !bf16::from_le_bytes([a, b]).is_finite() => vec![0; 2],
            Datatype::Fp32 if !f32::from_le_bytes([a, b, c, d]).is_finite() => vec![0; 4],
            Datatype::Fp64 if !f64::from_le_bytes(bits).is_finite() => vec![0; 8],
            sized => bits[..sized.element_size().unwrap()].to_vec(),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_bit_for_bit((datatype, count, bytes) in any_elements()) {
            let json = serde_json::to_string(&AsJson(datatype, &bytes)).unwrap();
            prop_assert_eq!(parse(datatype, count, &json).unwrap(), &bytes[..]);
        }

        #[test]
        fn no_text_makes_it_panic(at in 0..Datatype::ALL.len(), count in 0_usize..6, json in r#"[\[\]{}",0-9a-z.eE+\\ -]{0,40}"#) {
            let _ = parse(Datatype::ALL[at], count, &json);
        }
    }
}
