//! What is asked again: the request, and how far its answer has come.

use bytes::{Bytes, BytesMut};
use prost::Message;
use torchmesh_api::{
    frame,
    text::v1::{ChatRequest, ChatResponse, FinishReason, GenerateRequest, GenerateResponse, GenerationSettings, WrittenToken},
};

use crate::cache::question::{CHAT, GENERATE};

/// A request whose answer can be resumed.
#[derive(Debug, Clone)]
pub struct Resumable {
    /// Its method.
    pub(super) path: &'static str,
    /// As it came, with a seed behind it where it had none.
    message: BytesMut,
}

/// What one message of an answer tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Piece {
    pub(super) tokens: Vec<u32>,
    /// It ends the answer.
    pub(super) ends: bool,
}

impl Resumable {
    /// The request of this method, if its answer is one that can be resumed: one alone, and without its prompt. `seed` is a random number.
    pub fn of(path: &str, message: Bytes, seed: u64) -> Option<Self> {
        let (path, settings) = match path {
            GENERATE => {
                let request = GenerateRequest::decode(message.clone()).ok().filter(|request| !request.echo)?;
                (GENERATE, request.settings)
            }
            CHAT => (CHAT, ChatRequest::decode(message.clone()).ok()?.settings),
            _ => return None,
        };
        let settings = settings.unwrap_or_default();
        if settings.n.unwrap_or(1) != 1 || settings.best_of.unwrap_or(1) != 1 {
            return None;
        }
        let mut request = Self { path, message: BytesMut::from(message) };
        if settings.seed.is_none() {
            request.message = request.with(GenerationSettings { seed: Some(seed), ..Default::default() });
        }
        Some(request)
    }

    /// The request with more settings: of a field that comes twice, a reader puts the messages together (protobuf's encoding, "Last One Wins").
    fn with(&self, settings: GenerationSettings) -> BytesMut {
        let mut message = self.message.clone();
        let settings = Some(settings);
        // There is always room in it.
        let _ = match self.path {
            GENERATE => GenerateRequest { settings, ..Default::default() }.encode(&mut message),
            _ => ChatRequest { settings, ..Default::default() }.encode(&mut message),
        };
        message
    }

    /// It, framed, to be gone on with behind these tokens.
    pub(super) fn framed(&self, told: &[u32]) -> Bytes {
        if told.is_empty() {
            return frame::framed(&self.message);
        }
        frame::framed(&self.with(GenerationSettings { written: told.to_vec(), ..Default::default() }))
    }

    /// What a message of its answer tells; nothing where it cannot be read.
    pub(super) fn piece(&self, message: &Bytes) -> Piece {
        let piece = |tokens: Vec<WrittenToken>, reason: i32| Piece {
            tokens: tokens.into_iter().map(|token| token.id).collect(),
            ends: reason != i32::from(FinishReason::Unspecified),
        };
        match self.path {
            GENERATE => GenerateResponse::decode(message.clone()).map(|read| piece(read.tokens, read.finish_reason)),
            _ => ChatResponse::decode(message.clone()).map(|read| piece(read.tokens, read.finish_reason)),
        }
        .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generate(settings: Option<GenerationSettings>, echo: bool) -> Bytes {
        GenerateRequest { model: "m".into(), prompt: "Once".into(), settings, echo, ..Default::default() }.encode_to_vec().into()
    }

    fn read(framed: Bytes) -> GenerateRequest {
        GenerateRequest::decode(frame::message(framed).unwrap()).unwrap()
    }

    #[test]
    fn a_request_is_asked_again_as_it_was_with_a_seed_and_what_was_told() {
        let own = GenerationSettings { temperature: Some(0.7), stop: vec!["end".into()], ..Default::default() };
        let request = Resumable::of(GENERATE, generate(Some(own.clone()), false), 7).unwrap();
        let first = read(request.framed(&[]));
        assert_eq!((first.prompt.as_str(), first.settings), ("Once", Some(GenerationSettings { seed: Some(7), ..own.clone() })));
        let again = read(request.framed(&[3, 500]));
        assert_eq!(again.settings, Some(GenerationSettings { seed: Some(7), written: vec![3, 500], ..own }));
        let seeded = Resumable::of(GENERATE, generate(Some(GenerationSettings { seed: Some(1), ..Default::default() }), false), 7).unwrap();
        assert_eq!(read(seeded.framed(&[])).settings.unwrap().seed, Some(1));
        let bare = ChatRequest { model: "m".into(), ..Default::default() }.encode_to_vec();
        let chat = Resumable::of(CHAT, bare.into(), 9).unwrap().framed(&[1]);
        let chat = ChatRequest::decode(frame::message(chat).unwrap()).unwrap();
        assert_eq!(chat.settings, Some(GenerationSettings { seed: Some(9), written: vec![1], ..Default::default() }));
    }

    #[test]
    fn what_was_resumed_by_its_caller_is_resumed_behind_that() {
        let own = GenerationSettings { written: vec![1, 2], seed: Some(1), ..Default::default() };
        let request = Resumable::of(GENERATE, generate(Some(own), false), 7).unwrap();
        assert_eq!(read(request.framed(&[3])).settings.unwrap().written, [1, 2, 3]);
    }

    #[test]
    fn several_answers_and_those_with_their_prompt_are_not_resumed() {
        let settings = |n, best_of| Some(GenerationSettings { n, best_of, ..Default::default() });
        let can = |path, message| Resumable::of(path, message, 7).is_some();
        assert!(can(GENERATE, generate(None, false)) && can(GENERATE, generate(settings(Some(1), Some(1)), false)));
        assert!(!can(GENERATE, generate(None, true)));
        assert!(!can(GENERATE, generate(settings(Some(2), None), false)) && !can(GENERATE, generate(settings(None, Some(2)), false)));
        assert!(!can("/torchmesh.text.v1.TextService/Embed", generate(None, false)));
        assert!(!can(GENERATE, Bytes::from_static(b"\xff\xff")));
    }

    #[test]
    fn a_piece_tells_its_tokens_and_whether_it_is_the_last() {
        let request = Resumable::of(GENERATE, generate(None, false), 7).unwrap();
        let tokens = [4, 5].map(|id| WrittenToken { id, ..Default::default() }).to_vec();
        let message =
            |reason: FinishReason| GenerateResponse { tokens: tokens.clone(), finish_reason: reason.into(), ..Default::default() };
        let piece = |reason| request.piece(&message(reason).encode_to_vec().into());
        assert_eq!(piece(FinishReason::Unspecified), Piece { tokens: vec![4, 5], ends: false });
        assert!(piece(FinishReason::Length).ends);
        assert_eq!(request.piece(&Bytes::from_static(b"\xff")), Piece::default());
    }
}
