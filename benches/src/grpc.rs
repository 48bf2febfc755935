//! The little of gRPC over HTTP/2 that a unary call needs: the frame around a message, and the codes' names.

use bytes::{BufMut as _, Bytes, BytesMut};

/// Bytes before each message: a compression flag and the length, big-endian.
pub const FRAME_HEADER: usize = 5;

/// The code of a call that succeeded.
pub const OK: u32 = 0;
/// The code that a deadline leaves behind.
pub const DEADLINE_EXCEEDED: u32 = 4;

const CODE_NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The name that gRPC gives a status code; `INVALID_CODE` for a number that it does not define.
pub fn code_name(code: u32) -> &'static str {
    CODE_NAMES.get(code as usize).copied().unwrap_or("INVALID_CODE")
}

/// One uncompressed message in its frame.
pub fn frame(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(FRAME_HEADER + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_a_flag_a_big_endian_length_and_the_message() {
        assert_eq!(frame(b"abc").as_ref(), b"\x00\x00\x00\x00\x03abc");
        assert_eq!(frame(&[7; 300])[..FRAME_HEADER], [0, 0, 0, 1, 44]);
    }

    #[test]
    fn codes_have_their_published_names_and_unknown_ones_are_told_apart() {
        assert_eq!(code_name(OK), "OK");
        assert_eq!(code_name(DEADLINE_EXCEEDED), "DEADLINE_EXCEEDED");
        assert_eq!(code_name(14), "UNAVAILABLE");
        assert_eq!(code_name(16), "UNAUTHENTICATED");
        assert_eq!(code_name(17), "INVALID_CODE");
    }
}
