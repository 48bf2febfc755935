//! A message of a known shape, written anew where one of its texts was: the rest is taken over as the bytes that it is.

use std::{borrow::Cow, str::from_utf8};

use torchmesh_api::error::{ApiError, ErrorKind};

use super::{
    kind::{Counts, Kind},
    replace::Redactor,
    shape::{Content, Field, Shape},
};

/// Where one is in a message: told when something is wrong there.
#[derive(Debug)]
struct Place<'p> {
    within: Option<&'p Place<'p>>,
    name: &'static str,
    at: Option<usize>,
}

impl Place<'_> {
    fn told(&self) -> String {
        let mut told = self.within.map_or_else(String::new, |within| within.told() + ".");
        told.push_str(self.name);
        if let Some(at) = self.at {
            told += "[";
            told += &at.to_string();
            told += "]";
        }
        told
    }

    fn wrong(&self, what: &str) -> ApiError {
        ApiError::new(ErrorKind::InvalidArgument, format!("{}: {what}", self.told()))
    }

    fn has(&self, kind: Kind) -> ApiError {
        self.wrong(&format!("has {}, and this model is not sent personal data; take it out", kind.described()))
    }
}

/// What is done with a message's texts.
#[derive(Debug)]
pub(super) struct Rewriting<'r> {
    pub(super) redactor: &'r mut Redactor,
    /// Whether what is found is refused rather than replaced.
    pub(super) refuses: bool,
}

impl Rewriting<'_> {
    /// A message with its texts redacted; `None` where nothing is to be changed.
    ///
    /// Errors: InvalidArgument, where the bytes are no message of this shape, have what cannot be looked into, or have what is refused.
    pub(super) fn request(&mut self, message: &[u8], shape: &Shape) -> Result<Option<Vec<u8>>, ApiError> {
        self.message(message, shape, None)
    }

    fn message(&mut self, message: &[u8], shape: &Shape, within: Option<&Place<'_>>) -> Result<Option<Vec<u8>>, ApiError> {
        let (mut written, mut copied, mut at) = (Vec::new(), 0, 0);
        let mut seen = [0_usize; 16];
        while at < message.len() {
            let part = Part::read(message, at).ok_or_else(not_of_the_form)?;
            let Part { number, value, end } = part;
            let position = shape.0.iter().position(|field| field.number == number);
            let begins = at;
            at = end;
            let Some(position) = position else {
                match value {
                    // Numbers, of which none stands for a text.
                    None => continue,
                    Some(_) => return Err(unknown(number, within)),
                }
            };
            let field = &shape.0[position];
            let place = Place { within, name: field.name, at: field.repeated.then_some(seen[position]) };
            seen[position] += 1;
            let Some(redacted) = self.field(field, value, &place)? else { continue };
            written.extend_from_slice(&message[copied..begins]);
            write_varint(number << 3 | 2, &mut written);
            write_varint(redacted.len() as u64, &mut written);
            written.extend_from_slice(&redacted);
            copied = end;
        }
        if copied == 0 {
            return Ok(None);
        }
        written.extend_from_slice(&message[copied..]);
        Ok(Some(written))
    }

    /// What stands in the place of a field's bytes; `None` where they stay.
    fn field(&mut self, field: &Field, value: Option<&[u8]>, place: &Place<'_>) -> Result<Option<Vec<u8>>, ApiError> {
        let (content, bytes) = match (field.content, value) {
            (Content::Kept, _) | (Content::Closed(_), Some([])) => return Ok(None),
            (Content::Closed(instead), _) => {
                return Err(place.wrong(&format!("cannot be searched for personal data, as inputs of this model are; {instead}")));
            }
            (content, Some(bytes)) => (content, bytes),
            // A number where there should be a text.
            (_, None) => return Err(not_of_the_form()),
        };
        if let Content::Message(shape) = content {
            return self.message(bytes, shape, Some(place));
        }
        let text = from_utf8(bytes).map_err(|_| place.wrong("is not UTF-8"))?;
        let before = *self.redactor.counts();
        let redacted = if matches!(content, Content::Json) { self.redactor.json(text) } else { self.redactor.text(text) };
        let Cow::Owned(redacted) = redacted else { return Ok(None) };
        if self.refuses {
            return Err(place.has(first_new(&before, self.redactor.counts())));
        }
        Ok(Some(redacted.into_bytes()))
    }
}

/// The first kind of which there is more than before.
fn first_new(before: &Counts, now: &Counts) -> Kind {
    now.iter().find(|(kind, count)| before.of(*kind) < *count).map_or(Kind::Email, |(kind, _)| kind)
}

fn not_of_the_form() -> ApiError {
    ApiError::new(ErrorKind::InvalidArgument, "the message is not of the method's form")
}

fn unknown(number: u64, within: Option<&Place<'_>>) -> ApiError {
    let whose = within.map_or_else(|| "the message".to_owned(), Place::told);
    let message = format!("{whose} has a field {number} that is not known here, and cannot be searched for personal data; leave it out");
    ApiError::new(ErrorKind::InvalidArgument, message)
}

/// A field as it is on the wire.
struct Part<'m> {
    number: u64,
    /// Its bytes, where it has a length; `None` for a number.
    value: Option<&'m [u8]>,
    /// Where the next begins.
    end: usize,
}

impl<'m> Part<'m> {
    fn read(message: &'m [u8], at: usize) -> Option<Self> {
        let (key, at) = varint(message, at)?;
        let (number, end) = (key >> 3, |length: usize| at.checked_add(length).filter(|&end| end <= message.len()));
        if number == 0 {
            return None;
        }
        match key & 7 {
            0 => varint(message, at).map(|(_, end)| Self { number, value: None, end }),
            1 => end(8).map(|end| Self { number, value: None, end }),
            2 => {
                let (length, from) = varint(message, at)?;
                let end = from.checked_add(usize::try_from(length).ok()?)?;
                Some(Self { number, value: Some(message.get(from..end)?), end })
            }
            5 => end(4).map(|end| Self { number, value: None, end }),
            _ => None,
        }
    }
}

fn varint(bytes: &[u8], from: usize) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (at, &byte) in bytes.get(from..)?.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Some((value, from + at + 1));
        }
    }
    None
}

fn write_varint(mut value: u64, written: &mut Vec<u8>) {
    while value >= 0x80 {
        written.push(value as u8 | 0x80);
        value >>= 7;
    }
    written.push(value as u8);
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use torchmesh_api::text::v1::{
        ChatMessage, ChatRequest, Choices, EmbedRequest, ExplainRequest, Format, GenerateRequest, GenerationSettings, RerankRequest,
        TokenIds, Tool, ToolCall, ToolChoice, format::Form, tool_choice::Choice,
    };

    use super::{
        super::{kind::Kinds, names::Names},
        *,
    };
    use crate::redaction::shape;

    fn rewrite<M: Message + Default>(path: &str, message: &M, refuses: bool) -> Result<Option<M>, String> {
        let mut redactor = Redactor::new(Kinds::usual(), Names::default());
        let mut rewriting = Rewriting { redactor: &mut redactor, refuses };
        let shape = shape::of(&format!("/torchmesh.text.v1.{path}")).unwrap();
        let written = rewriting.request(&message.encode_to_vec(), shape).map_err(|error| error.message)?;
        Ok(written.map(|written| M::decode(&*written).unwrap()))
    }

    fn texts(a: &str, b: &str) -> Vec<String> {
        vec![a.to_owned(), b.to_owned()]
    }

    /// Every text of a conversation is this one, and JSON has it as a string.
    fn conversation(text: &str) -> ChatRequest {
        let (word, json) = (text.to_owned(), format!("{{\"a\":\"{text}\"}}"));
        let call = ToolCall { id: word.clone(), name: word.clone(), arguments: json.clone() };
        let message = ChatMessage {
            role: word.clone(),
            content: word.clone(),
            tool_calls: vec![call.clone(), call],
            tool_call_id: word.clone(),
            name: word.clone(),
        };
        let settings = |form| GenerationSettings {
            max_tokens: Some(9),
            temperature: Some(0.5),
            logit_bias: [(7, 1.0)].into(),
            stop: texts(text, text),
            stop_tokens: vec![7, 300],
            format: Some(Format { form: Some(form) }),
            ..Default::default()
        };
        ChatRequest {
            model: "m".to_owned(),
            id: "ada@example.org".to_owned(),
            messages: vec![message.clone(), message],
            tools: vec![Tool { name: word.clone(), description: word.clone(), parameters: json.clone(), strict: true }],
            tool_choice: Some(ToolChoice { choice: Some(Choice::Name(word.clone())) }),
            parallel_tool_calls: Some(true),
            settings: Some(settings(Form::Choices(Choices { texts: texts(text, text) }))),
            template_variables: json,
            ..Default::default()
        }
    }

    #[test]
    fn every_text_of_a_conversation_is_redacted_and_the_rest_stays() {
        let redacted = rewrite("GenerationService/Chat", &conversation("ada@example.org"), false).unwrap().unwrap();
        assert_eq!(redacted, conversation("[EMAIL_1]"));
        assert_eq!(rewrite("GenerationService/Chat", &conversation("nobody"), false), Ok(None));
    }

    #[test]
    fn every_text_of_the_other_requests_is_redacted() {
        let (mail, told) = ("ada@example.org".to_owned(), "[EMAIL_1]".to_owned());
        for (form, wanted) in [
            (Form::JsonSchema(format!("{{\"const\":\"{mail}\"}}")), Form::JsonSchema(format!("{{\"const\":\"{told}\"}}"))),
            (Form::Regex(mail.clone()), Form::Regex(told.clone())),
            (Form::Grammar(mail.clone()), Form::Grammar(told.clone())),
            (Form::JsonObject(true), Form::JsonObject(true)),
        ] {
            let asks = |prompt: &str, form| {
                let settings = Some(GenerationSettings { format: Some(Format { form: Some(form) }), n: Some(2), ..Default::default() });
                GenerateRequest { model: "m".to_owned(), prompt: prompt.to_owned(), settings, echo: true, ..Default::default() }
            };
            assert_eq!(rewrite("GenerationService/Generate", &asks(&mail, form), false), Ok(Some(asks(&told, wanted))));
        }
        let embed = |text: &str| EmbedRequest { texts: texts("a", text), truncation: 2, ..Default::default() };
        for method in ["Embed", "Classify", "ClassifyTokens", "Fill"] {
            assert_eq!(rewrite(&format!("TextService/{method}"), &embed(&mail), false), Ok(Some(embed(&told))), "{method}");
        }
        let rerank = |text: &str| RerankRequest { query: text.to_owned(), documents: texts(text, "b"), top_n: 3, ..Default::default() };
        assert_eq!(rewrite("TextService/Rerank", &rerank(&mail), false), Ok(Some(rerank(&told))));
        let explain = |text: &str| ExplainRequest { text: text.to_owned(), label: text.to_owned(), steps: 3, ..Default::default() };
        assert_eq!(rewrite("TextService/Explain", &explain(&mail), false), Ok(Some(explain(&told))));
    }

    #[test]
    fn a_refusal_names_the_place_and_the_kind_and_never_the_value() {
        let mut asked = conversation("x");
        asked.messages[1].tool_calls[1].arguments = "{\"a\":\"ada@example.org\"}".to_owned();
        let refused = rewrite("GenerationService/Chat", &asked, true).unwrap_err();
        assert!(refused.starts_with("messages[1].tool_calls[1].arguments: has an e-mail address"), "{refused}");
        assert!(!refused.contains("ada"), "{refused}");
        let asked = EmbedRequest { texts: texts("a", "4111111111111111"), ..Default::default() };
        assert!(rewrite("TextService/Embed", &asked, true).unwrap_err().starts_with("texts[1]: has a payment card's number"));
        assert_eq!(rewrite("GenerationService/Chat", &conversation("x"), true), Ok(None));
    }

    #[test]
    fn tokens_and_fields_that_are_not_known_are_refused() {
        let tokens = EmbedRequest { tokens: vec![TokenIds { ids: vec![1] }], ..Default::default() };
        assert!(rewrite("TextService/Embed", &tokens, false).unwrap_err().starts_with("tokens[0]: cannot be searched"));
        let tokens = GenerateRequest { tokens: vec![1, 2], ..Default::default() };
        assert!(rewrite("GenerationService/Generate", &tokens, false).unwrap_err().starts_with("tokens: cannot be searched"));
        let written = GenerationSettings { written: vec![1], ..Default::default() };
        let written = GenerateRequest { settings: Some(written), ..Default::default() };
        assert!(rewrite("GenerationService/Generate", &written, false).unwrap_err().starts_with("settings.written: cannot be searched"));
        // Field 14 of a request, and field 3 of the list of choices.
        let asked = |message: &[u8]| {
            let mut redactor = Redactor::new(Kinds::usual(), Names::default());
            Rewriting { redactor: &mut redactor, refuses: false }
                .request(message, shape::of("/torchmesh.text.v1.GenerationService/Chat").unwrap())
        };
        assert!(asked(b"\x72\x01a").unwrap_err().message.contains("field 14"));
        for broken in [
            &b"\x22"[..],
            b"\x22\x05a",
            b"\x02\x00",
            b"\x23",
            b"\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x20\x01",
            b"\x22\x02\x12\x01",
        ] {
            assert!(asked(broken).unwrap_err().message.contains("not of the method's form"), "{broken:?}");
        }
        assert!(asked(b"\x22\x03\x12\x01\xff").unwrap_err().message.starts_with("messages[0].content: is not UTF-8"));
    }
}
