//! A gRPC message on the wire: five bytes of prefix, then the message.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message;

use crate::peek;

/// Encodes a message with its prefix, uncompressed.
pub fn encode(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(peek::PREFIX + length);
    bytes.put_u8(0);
    bytes.put_u32(length as u32);
    // The buffer grows as needed, so there is always room.
    let _ = message.encode(&mut bytes);
    bytes.freeze()
}

/// Puts a prefix before a message that is encoded already.
pub fn framed(message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(peek::PREFIX + message.len());
    bytes.put_u8(0);
    bytes.put_u32(message.len() as u32);
    bytes.put_slice(message);
    bytes.freeze()
}

/// Takes the prefix off one whole message. `None` when the bytes are not exactly one uncompressed message.
pub fn message(mut bytes: Bytes) -> Option<Bytes> {
    let (compressed, length) = peek::prefix(&bytes)?;
    (!compressed && bytes.len() == peek::PREFIX + length).then(|| bytes.split_off(peek::PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::ModelReadyRequest;

    #[test]
    fn what_is_framed_comes_out_again() {
        let ready = ModelReadyRequest { name: "minilm".into(), version: "1".into() };
        let body = message(encode(&ready)).unwrap();
        assert_eq!(framed(&body), encode(&ready));
        assert_eq!(ModelReadyRequest::decode(body).unwrap(), ready);
    }

    #[test]
    fn half_a_message_is_none() {
        let whole = encode(&ModelReadyRequest { name: "minilm".into(), ..Default::default() });
        assert!(message(whole.slice(..whole.len() - 1)).is_none());
        assert!(message(whole.slice(..3)).is_none());
    }
}
