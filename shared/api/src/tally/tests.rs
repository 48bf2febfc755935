use std::collections::HashMap;

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::{
    frame,
    inference::{InferParameter, ModelInferResponse, ModelStreamInferResponse, infer_parameter::ParameterChoice},
    text::v1::{ChatResponse, GenerateResponse, WrittenToken},
};

fn piece(tokens: usize) -> GenerateResponse {
    GenerateResponse {
        model: "stories".into(),
        id: "a".repeat(40),
        text: "Once".repeat(tokens),
        tokens: vec![WrittenToken { id: 7, bytes: vec![7; 4].into(), ..Default::default() }; tokens],
        ..Default::default()
    }
}

fn usage() -> Usage {
    Usage { prompt_tokens: 5, cached_tokens: 2, completion_tokens: 9 }
}

fn stream(kind: Kind, messages: &[Bytes]) -> Counted {
    let mut tally = Tally::new(kind);
    for message in messages {
        tally.pass(message);
    }
    tally.counted()
}

#[test]
fn tokens_are_counted_and_the_last_message_tells_all() {
    let last = GenerateResponse { usage: Some(usage()), ..Default::default() };
    let counted = stream(Kind::Generate, &[frame::encode(&piece(2)), frame::encode(&piece(1)), frame::encode(&last)]);
    assert_eq!((counted.tokens, counted.told), (3, Some(usage())));
    let chat = ChatResponse { tokens: piece(4).tokens, content: "hello".into(), ..Default::default() };
    let last = ChatResponse { usage: Some(usage()), ..Default::default() };
    let counted = stream(Kind::Chat, &[frame::encode(&chat), frame::encode(&last)]);
    assert_eq!((counted.tokens, counted.told), (4, Some(usage())));
}

fn answer(parameters: &[(&str, i64)]) -> Bytes {
    let number =
        |(name, value): &(&str, i64)| ((*name).to_owned(), InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(*value)) });
    let flag = ("triton_final_response".to_owned(), InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(true)) });
    let parameters: HashMap<_, _> = parameters.iter().map(number).chain([flag]).collect();
    let answer = ModelInferResponse {
        model_name: "m".into(),
        model_version: "3".into(),
        parameters,
        raw_output_contents: vec![vec![7; 100].into()],
        ..Default::default()
    };
    frame::encode(&ModelStreamInferResponse { error_message: String::new(), infer_response: Some(answer) })
}

#[test]
fn answers_of_the_open_protocol_are_items_or_tokens() {
    let failed = frame::encode(&ModelStreamInferResponse { error_message: "no".into(), infer_response: None });
    let counted = stream(Kind::Infer, &[answer(&[]), failed, answer(&[])]);
    assert_eq!(counted, Counted { items: 2, ..Counted::default() });
    let mut tally = Tally::new(Kind::Infer);
    tally.pass(&answer(&[]));
    assert_eq!(tally.answered(), Some(&("m".into(), "3".into())));
    let first = answer(&[(parameters::PROMPT_TOKENS, 300), (parameters::COMPLETION_TOKENS, 2)]);
    let counted = stream(Kind::Infer, &[first, answer(&[(parameters::COMPLETION_TOKENS, 1)])]);
    assert_eq!(counted, Counted { tokens: 3, prompt_tokens: 300, items: 1, ..Counted::default() });
}

#[test]
fn a_message_that_is_too_long_is_passed_over_and_the_next_one_counts() {
    let long = GenerateResponse { text: "x".repeat(LONGEST), ..piece(1) };
    let bytes = [frame::encode(&long), frame::encode(&piece(3))].concat();
    let mut tally = Tally::new(Kind::Generate);
    for part in bytes.chunks(10_000) {
        tally.pass(&Bytes::copy_from_slice(part));
    }
    assert_eq!(tally.counted().tokens, 3);
    assert!(tally.begun.capacity() < LONGEST, "it was not kept");
}

proptest! {
    #[test]
    fn it_does_not_matter_how_the_bytes_are_cut(pieces in proptest::collection::vec(0_usize..4, 0..6), cuts in proptest::collection::vec(1_usize..60, 1..20)) {
        let bytes = pieces.iter().map(|&tokens| frame::encode(&piece(tokens))).collect::<Vec<_>>().concat();
        let (mut tally, mut rest, mut cut) = (Tally::new(Kind::Generate), &bytes[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(*cut.next().unwrap()));
            tally.pass(&Bytes::copy_from_slice(now));
            rest = later;
        }
        prop_assert_eq!(tally.counted().tokens, pieces.iter().sum::<usize>() as u64);
    }

    #[test]
    fn a_stream_that_is_cut_counts_the_messages_that_are_whole(pieces in proptest::collection::vec(1_usize..4, 1..6), at: prop::sample::Index) {
        let framed: Vec<Bytes> = pieces.iter().map(|&tokens| frame::encode(&piece(tokens))).collect();
        let bytes = framed.concat();
        let cut = at.index(bytes.len());
        let mut tally = Tally::new(Kind::Generate);
        tally.pass(&Bytes::copy_from_slice(&bytes[..cut]));
        let (mut end, mut whole) = (0, 0);
        for (message, tokens) in framed.iter().zip(&pieces) {
            end += message.len();
            whole += if end <= cut { *tokens as u64 } else { 0 };
        }
        prop_assert_eq!(tally.counted().tokens, whole);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in prop::sample::select(vec![Kind::Generate, Kind::Chat, Kind::Infer])) {
        let mut tally = Tally::new(kind);
        tally.pass(&Bytes::from(bytes.clone()));
        let _ = count(kind, &bytes);
    }
}

#[test]
fn a_message_of_ours_is_read_as_prost_reads_it() {
    let encoded = piece(3).encode_to_vec();
    assert_eq!(count(Kind::Generate, &encoded).tokens, GenerateResponse::decode(&*encoded).unwrap().tokens.len() as u64);
}
