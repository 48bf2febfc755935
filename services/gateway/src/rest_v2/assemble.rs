//! A request as one gRPC message, in pieces: the tensors are the memory that they arrived in.

use std::collections::VecDeque;

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len},
};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    inference::ModelInferRequest,
    peek::PREFIX,
};

use crate::body::Segments;

/// The number of `raw_input_contents` in the proto.
const RAW_INPUT_CONTENTS: u32 = 7;

/// Frames `message`, with `tensors` as its `raw_input_contents`; the message itself has none.
///
/// Error: more bytes than a gRPC message can have.
pub(super) fn frame(message: &ModelInferRequest, tensors: Vec<Segments>) -> Result<VecDeque<Bytes>, ApiError> {
    let field = |tensor: &Segments| key_len(RAW_INPUT_CONTENTS) + encoded_len_varint(tensor.len() as u64) + tensor.len();
    let length = message.encoded_len() + tensors.iter().map(field).sum::<usize>();
    let announced = u32::try_from(length)
        .map_err(|_| ApiError::new(ErrorKind::TooLarge, format!("the request has {length} bytes; send it in parts of less than 4 GiB")))?;
    let mut head = BytesMut::with_capacity(PREFIX + message.encoded_len() + 16);
    head.put_u8(0);
    head.put_u32(announced);
    // The buffer grows as needed, so there is always room.
    let _ = message.encode(&mut head);
    let mut pieces = Segments::default();
    for tensor in tensors {
        encode_key(RAW_INPUT_CONTENTS, WireType::LengthDelimited, &mut head);
        encode_varint(tensor.len() as u64, &mut head);
        pieces.push(head.split().freeze());
        pieces.append(tensor);
    }
    pieces.push(head.freeze());
    Ok(pieces.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use torchmesh_api::frame;

    use super::*;

    #[test]
    fn a_tensor_leaves_as_the_memory_it_came_in() {
        let tensor = Bytes::from(vec![7; 16 << 20]);
        let pieces = super::frame(&ModelInferRequest::default(), vec![tensor.clone().into()]).unwrap();
        assert!(pieces.iter().any(|piece| piece.as_ptr() == tensor.as_ptr()));
    }

    proptest! {
        #[test]
        fn the_message_is_the_one_that_an_encoder_makes(sizes in proptest::collection::vec(0_usize..400, 0..5), name in "[a-z]{0,9}") {
            let tensors: Vec<_> = sizes.into_iter().map(|size| Bytes::from(vec![9; size])).collect();
            let message = ModelInferRequest { model_name: name, id: "i".to_owned(), ..Default::default() };
            let pieces = super::frame(&message, tensors.iter().cloned().map(Segments::from).collect()).unwrap();
            let whole = ModelInferRequest { raw_input_contents: tensors, ..message };
            prop_assert_eq!(pieces.into_iter().flatten().collect::<Vec<u8>>(), &frame::encode(&whole)[..]);
        }
    }
}
