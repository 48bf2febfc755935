//! W3C trace context: the `traceparent` header, version 00.

/// The trace that a call belongs to, and the span that is its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// 16 bytes, not all zero.
    pub trace_id: [u8; 16],
    /// 8 bytes, not all zero.
    pub span_id: [u8; 8],
    /// Whether the caller records this trace.
    pub sampled: bool,
}

impl TraceContext {
    /// Reads a `traceparent` value; `None` when the specification says to ignore it and to start a new trace.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (version, rest) = (text.get(..2)?, text.get(2..55)?);
        // A later version may have more fields behind the flags; 00 may not.
        let ends = text.len() == 55 || (version != b"00" && text[55] == b'-');
        if !ends || version == b"ff" || rest[0] != b'-' || rest[33] != b'-' || rest[50] != b'-' {
            return None;
        }
        hex::<1>(version)?;
        let trace_id = hex::<16>(&rest[1..33])?;
        let span_id = hex::<8>(&rest[34..50])?;
        let flags = hex::<1>(&rest[51..53])?;
        (trace_id != [0; 16] && span_id != [0; 8]).then_some(Self { trace_id, span_id, sampled: flags[0] & 1 == 1 })
    }

    /// Writes the `traceparent` value, version 00.
    pub fn format(&self) -> String {
        let mut text = String::with_capacity(55);
        text.push_str("00-");
        push_hex(&mut text, &self.trace_id);
        text.push('-');
        push_hex(&mut text, &self.span_id);
        text.push_str(if self.sampled { "-01" } else { "-00" });
        text
    }

    /// The trace id as 32 hexadecimal digits.
    pub fn trace_id_hex(&self) -> String {
        let mut text = String::with_capacity(32);
        push_hex(&mut text, &self.trace_id);
        text
    }
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    // Written for every call: `write!` with its padding took a fortieth of a hop.
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_good_traceparent_reads_and_writes_back_the_same() {
        let context = TraceContext::parse(GOOD.as_bytes()).unwrap();
        assert!(context.sampled);
        assert_eq!(context.format(), GOOD);
        assert_eq!(context.trace_id_hex(), &GOOD[3..35]);
    }

    #[test]
    fn what_the_specification_forbids_starts_a_new_trace() {
        let zero_trace = GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let zero_span = GOOD.replace("00f067aa0ba902b7", &"0".repeat(16));
        let longer = format!("{GOOD}-extra");
        let upper = GOOD.to_uppercase();
        let version_ff = format!("ff{}", &GOOD[2..]);
        for bad in ["", "00", &GOOD[..54], &zero_trace, &zero_span, &longer, &upper, &version_ff] {
            assert_eq!(TraceContext::parse(bad.as_bytes()), None, "{bad:?} was taken");
        }
    }

    #[test]
    fn a_later_version_may_carry_more_fields() {
        let later = format!("01{}-more", &GOOD[2..]);
        assert!(TraceContext::parse(later.as_bytes()).is_some());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = TraceContext::parse(&bytes);
        }
    }
}
