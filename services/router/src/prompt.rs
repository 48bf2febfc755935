//! How a prompt begins, read out of the raw message: for routes whose calls go to whoever has read that before, or by what they ask.
//!
//! What a worker makes of a conversation is its template's affair, and not known here. But two conversations whose messages begin with the same bytes begin with the same tokens, or nearly, and that
//! is all that is needed. Nothing is decoded, and nothing copied.

use std::hash::{DefaultHasher, Hasher as _};

use bytes::{Buf as _, Bytes};
use torchmesh_api::peek;
use torchmesh_relay::balance::{
    prefix::{Prefix, Reading, blocks::LOOKED_AT},
    ring,
};

use crate::cache::question::{CHAT, GENERATE, INFER, INFER_STREAM};

/// How much of a message is waited for: what is looked at of a prompt, and what stands before it.
pub const WAITED_FOR: usize = LOOKED_AT + (4 << 10);

/// That a route's calls go by the beginnings of their prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByPrefix {
    /// Whether a worker has read for all tenants what it has read for one.
    pub shared: bool,
}

/// The messages that have a prompt.
#[derive(Debug, Clone, Copy)]
enum Form {
    Generate,
    Chat,
    Infer,
}

/// What a field is, of this number, so many messages deep.
enum Field {
    /// A piece of the prompt, but for so many bytes in front.
    Prompt(usize),
    /// A message with the prompt in it.
    Around,
    Other,
}

impl Form {
    fn of(path: &str) -> Option<Self> {
        match path {
            GENERATE => Some(Self::Generate),
            CHAT => Some(Self::Chat),
            INFER | INFER_STREAM => Some(Self::Infer),
            _ => None,
        }
    }

    fn field(self, depth: usize, number: u64) -> Field {
        match (self, depth, number) {
            // The prompt, or its tokens; the messages, whose own numbers and lengths tell them apart; an input's contents as elements.
            (Self::Generate, 0, 4 | 5) | (Self::Chat, 0, 4) | (Self::Infer, 2, 8) => Field::Prompt(0),
            (Self::Infer, 0 | 1, 5) => Field::Around,
            // Raw bytes have the length in front, which grows with the prompt.
            (Self::Infer, 0, 7) => Field::Prompt(4),
            _ => Field::Other,
        }
    }
}

/// Whether calls of this method have a prompt.
pub fn has_one(path: &str) -> bool {
    Form::of(path).is_some()
}

/// How the prompt of a call begins, as far as its first message has come; `None` where that is less than a block.
pub fn prefix<'a>(path: &str, tenant: &[u8], by: ByPrefix, frames: impl Iterator<Item = &'a Bytes>) -> Option<Prefix> {
    let form = Form::of(path)?;
    let seed = if by.shared { 0 } else { ring::hash(&tenant) };
    let mut reading = Prefix::reading(seed);
    let mut message = Message { piece: &[], rest: frames, left: peek::PREFIX };
    // Where it ends too soon, what was read is what counts.
    let _ = message.begin().and_then(|()| message.fields(0, 0, form, &mut reading));
    reading.finish()
}

/// What stands for the content of a call in every process: its prompt or its inputs, as far as its first message has come and at most its first 64 KiB. `None`: it has none.
pub fn content<'a>(path: &str, frames: impl Iterator<Item = &'a Bytes>) -> Option<u64> {
    let form = Form::of(path)?;
    let mut content = Content { hasher: DefaultHasher::new(), left: LOOKED_AT };
    let mut message = Message { piece: &[], rest: frames, left: peek::PREFIX };
    let _ = message.begin().and_then(|()| message.fields(0, 0, form, &mut content));
    (content.left < LOOKED_AT).then(|| content.hasher.finish())
}

/// Who is read to.
trait Listener {
    /// Whether more makes no difference.
    fn is_full(&self) -> bool;
    /// The next piece.
    fn write(&mut self, piece: &[u8]);
}

impl Listener for Reading {
    fn is_full(&self) -> bool {
        Self::is_full(self)
    }

    fn write(&mut self, piece: &[u8]) {
        Self::write(self, piece);
    }
}

/// A content that is being read.
struct Content {
    hasher: DefaultHasher,
    left: usize,
}

impl Listener for Content {
    fn is_full(&self) -> bool {
        self.left == 0
    }

    fn write(&mut self, piece: &[u8]) {
        let piece = &piece[..piece.len().min(self.left)];
        self.hasher.write(piece);
        self.left -= piece.len();
    }
}

/// A message in the frames that it came in.
struct Message<'a, I> {
    piece: &'a [u8],
    rest: I,
    /// Bytes until its end.
    left: usize,
}

impl<'a, I: Iterator<Item = &'a Bytes>> Message<'a, I> {
    /// Reads the prefix of the frame.
    fn begin(&mut self) -> Option<()> {
        let mut prefix = [0; peek::PREFIX];
        for byte in &mut prefix {
            *byte = self.byte()?;
        }
        (_, self.left) = peek::prefix(&prefix)?;
        Some(())
    }

    /// Reads the fields of a message that ends where so many bytes are left. `None`: it is cut off, or is no message.
    fn fields(&mut self, end: usize, depth: usize, form: Form, reading: &mut impl Listener) -> Option<()> {
        while self.left > end && !reading.is_full() {
            let key = self.varint()?;
            match key & 7 {
                0 => {
                    self.varint()?;
                }
                1 => self.pieces(8, |_| {})?,
                5 => self.pieces(4, |_| {})?,
                2 => {
                    let length = usize::try_from(self.varint()?).ok()?;
                    let after = self.left.checked_sub(length).filter(|after| *after >= end)?;
                    match form.field(depth, key >> 3) {
                        Field::Prompt(in_front) => {
                            self.pieces(in_front.min(length), |_| {})?;
                            self.pieces(self.left - after, |piece| reading.write(piece))?;
                        }
                        Field::Around => self.fields(after, depth + 1, form, reading)?,
                        Field::Other => self.pieces(length, |_| {})?,
                    }
                }
                _ => return None,
            }
        }
        Some(())
    }

    /// The next piece that is not empty, if any has come.
    fn more(&mut self) -> Option<()> {
        while self.piece.is_empty() {
            self.piece = self.rest.next()?;
        }
        (self.left > 0).then_some(())
    }

    fn byte(&mut self) -> Option<u8> {
        self.more()?;
        self.left -= 1;
        Some(self.piece.get_u8())
    }

    /// A base-128 varint of at most ten bytes.
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for count in 0..10 {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << (7 * count);
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// Hands on the next `length` bytes as they lie.
    fn pieces(&mut self, mut length: usize, mut takes: impl FnMut(&[u8])) -> Option<()> {
        while length > 0 {
            self.more()?;
            let (piece, rest) = self.piece.split_at(self.piece.len().min(length).min(self.left));
            takes(piece);
            (self.piece, self.left, length) = (rest, self.left - piece.len(), length - piece.len());
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use torchmesh_api::{
        frame,
        inference::{InferTensorContents, ModelInferRequest, model_infer_request::InferInputTensor},
        text::v1::{ChatMessage, ChatRequest, GenerateRequest, GenerationSettings},
    };

    use super::*;

    const OWN: ByPrefix = ByPrefix { shared: false };

    fn read(path: &str, tenant: &str, by: ByPrefix, framed: &Bytes) -> Vec<u64> {
        prefix(path, tenant.as_bytes(), by, std::iter::once(framed)).map(|prefix| prefix.blocks().to_vec()).unwrap_or_default()
    }

    fn of(path: &str, framed: &Bytes) -> Vec<u64> {
        read(path, "acme", OWN, framed)
    }

    fn in_common(one: &[u64], another: &[u64]) -> usize {
        one.iter().zip(another).take_while(|(one, another)| one == another).count()
    }

    fn chat(id: &str, messages: &[&str]) -> Bytes {
        let message = |content: &&str| ChatMessage { role: "user".into(), content: (*content).into(), ..Default::default() };
        let settings = Some(GenerationSettings { max_tokens: Some(9), ..Default::default() });
        let messages = messages.iter().map(message).collect();
        frame::encode(&ChatRequest { model: "m".into(), id: id.into(), messages, settings, ..Default::default() })
    }

    fn generate(prompt: &str) -> Bytes {
        frame::encode(&GenerateRequest { model: "m".into(), prompt: prompt.into(), ..Default::default() })
    }

    fn infer(prompt: &str, raw: bool) -> Bytes {
        let mut request = ModelInferRequest { model_name: "m".into(), ..Default::default() };
        let mut input = InferInputTensor { name: "text_input".into(), datatype: "BYTES".into(), shape: vec![1], ..Default::default() };
        if raw {
            let length = u32::try_from(prompt.len()).unwrap().to_le_bytes();
            request.raw_input_contents = vec![[&length[..], prompt.as_bytes()].concat().into()];
        } else {
            input.contents = Some(InferTensorContents { bytes_contents: vec![prompt.to_owned().into()], ..Default::default() });
        }
        request.inputs = vec![input];
        frame::encode(&request)
    }

    #[test]
    fn a_conversation_that_goes_on_begins_as_it_did() {
        let said = ["a".repeat(700), "b".repeat(900), "c".repeat(2000), "d".repeat(100)];
        let said = said.each_ref().map(String::as_str);
        let before = of(CHAT, &chat("1", &said[..2]));
        let after = of(CHAT, &chat("2", &said));
        assert!(before.len() >= 1600 / 256 && after.len() > before.len(), "{before:?} {after:?}");
        assert_eq!(in_common(&before, &after), before.len());
        let another = of(CHAT, &chat("1", &["x", said[1]]));
        assert_eq!(in_common(&before, &another), 0);
    }

    type Form = fn(&str) -> Bytes;

    #[test]
    fn a_prompt_is_the_same_by_every_method_that_takes_one() {
        let (short, long) = ("Once upon a time ".repeat(60), "Once upon a time ".repeat(90));
        let forms: [(&str, Form); 4] = [
            (GENERATE, generate),
            (INFER, |prompt| infer(prompt, true)),
            (INFER, |prompt| infer(prompt, false)),
            (INFER_STREAM, |prompt| infer(prompt, true)),
        ];
        for (path, form) in forms {
            let (before, after) = (of(path, &form(&short)), of(path, &form(&long)));
            assert_eq!((before.len(), after.len()), (short.len() / 256, long.len() / 256), "{path}");
            assert_eq!(after[..before.len()], before, "{path}");
            assert_eq!(before, of(GENERATE, &generate(&short)), "{path}");
        }
        let tokens = |count: u32| frame::encode(&GenerateRequest { tokens: (0..count).collect(), ..Default::default() });
        let (before, after) = (of(GENERATE, &tokens(1000)), of(GENERATE, &tokens(2000)));
        assert!(before.len() > 5 && in_common(&before, &after) == before.len());
    }

    #[test]
    fn tenants_have_nothing_in_common_unless_the_route_says_so() {
        let (asked, shared) = (generate(&"hello ".repeat(100)), ByPrefix { shared: true });
        assert_eq!(in_common(&read(GENERATE, "acme", OWN, &asked), &read(GENERATE, "globex", OWN, &asked)), 0);
        assert_eq!(read(GENERATE, "acme", shared, &asked), read(GENERATE, "globex", shared, &asked));
    }

    #[test]
    fn what_has_no_prompt_or_a_short_one_has_no_beginning() {
        assert!(of("/torchmesh.text.v1.TextService/Embed", &generate(&"a".repeat(1000))).is_empty());
        assert!(of(GENERATE, &generate(&"a".repeat(255))).is_empty());
        assert!(of(CHAT, &Bytes::new()).is_empty());
        assert!(of(CHAT, &chat("", &[])).is_empty());
    }

    #[test]
    fn the_content_is_that_of_everybody_who_asks_the_same_up_to_its_first_64_kib() {
        let of = |path: &str, framed: &Bytes| content(path, std::iter::once(framed));
        let (short, long) = ("hello".to_owned(), "hello ".repeat(20_000));
        assert_eq!(of(CHAT, &chat("1", &[&short])), of(CHAT, &chat("2", &[&short])), "the id is none of it");
        assert_ne!(of(CHAT, &chat("1", &[&short])), of(CHAT, &chat("1", &["hullo"])));
        assert_eq!(of(GENERATE, &generate(&short)), of(INFER, &infer(&short, true)));
        assert_eq!(of(INFER, &infer(&short, true)), of(INFER, &infer(&short, false)));
        let further = format!("{}{}", &long[..LOOKED_AT], "and so on");
        assert_eq!(of(GENERATE, &generate(&long)), of(GENERATE, &generate(&further)));
        assert_ne!(of(GENERATE, &generate(&long[..LOOKED_AT - 1])), of(GENERATE, &generate(&long)));
        assert_eq!([of(GENERATE, &generate("")), of(GENERATE, &Bytes::new())], [None; 2]);
        assert_eq!(of("/torchmesh.text.v1.TextService/Embed", &generate(&long)), None);
    }

    #[test]
    fn what_follows_the_first_message_is_not_read() {
        let first = infer(&"a".repeat(300), true);
        let two = Bytes::from([first.clone(), infer(&"b".repeat(3000), true)].concat());
        assert_eq!(of(INFER_STREAM, &two), of(INFER_STREAM, &first));
    }

    proptest! {
        #[test]
        fn it_is_the_same_however_the_frames_are_cut_and_of_a_part_it_is_the_beginning(
            messages in prop::collection::vec("[a-z]{0,900}", 0..6), cuts in prop::collection::vec(0_usize..900, 1..9), part: prop::sample::Index,
        ) {
            let messages: Vec<_> = messages.iter().map(String::as_str).collect();
            for (path, framed) in [(CHAT, chat("id", &messages)), (INFER, infer(&messages.concat(), true)), (INFER, infer(&messages.concat(), false))] {
                let whole = of(path, &framed);
                let (mut frames, mut rest) = (Vec::new(), framed.clone());
                for cut in cuts.iter().cycle().take(50) {
                    frames.push(rest.split_to(rest.len().min(*cut)));
                }
                frames.push(rest);
                let read = prefix(path, b"acme", OWN, frames.iter()).map(|prefix| prefix.blocks().to_vec()).unwrap_or_default();
                prop_assert_eq!(&read, &whole);
                prop_assert_eq!(content(path, frames.iter()), content(path, std::iter::once(&framed)));
                let part = of(path, &framed.slice(..part.index(framed.len())));
                prop_assert_eq!(in_common(&part, &whole), part.len());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), cut: prop::sample::Index) {
            let bytes = Bytes::from(bytes);
            let frames = [bytes.slice(..cut.index(bytes.len() + 1)), bytes.slice(cut.index(bytes.len() + 1)..)];
            for path in [GENERATE, CHAT, INFER] {
                let _ = (prefix(path, b"acme", OWN, frames.iter()), content(path, frames.iter()));
                let _ = prefix(path, b"acme", OWN, [frame::framed(&bytes)].iter());
            }
        }
    }
}
