//! What a question will use, guessed before it is answered: from its size, and from how much it asks for at most.

use bytes::Bytes;
use torchmesh_api::{
    ids::ModelName,
    method,
    peek::{self, Peek},
};
use torchmesh_limits::price::Tokens;

/// Text has more bytes than tokens, about so many times.
const BYTES_A_TOKEN: u64 = 4;
/// The most answers to one question.
const MOST_ANSWERS: u64 = 16;

/// One message on its way to a router.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The method.
    pub path: &'a str,
    /// How many bytes it has, as far as that is known.
    pub bytes: u64,
    /// Its beginning, in its frame.
    pub beginning: &'a [u8],
}

impl<'a> Question<'a> {
    /// The message that these frames begin with.
    pub fn new(path: &'a str, mut frames: impl Iterator<Item = &'a Bytes>) -> Self {
        let first: &[u8] = frames.next().map_or(&[], |frame| frame);
        let come = first.len() + frames.map(Bytes::len).sum::<usize>();
        // What it announces to be counts, whether or not all of it has come.
        let announced = peek::prefix(first).map_or(0, |(_, length)| length + peek::PREFIX);
        Self { path, bytes: come.max(announced) as u64, beginning: first }
    }

    /// The model that it names.
    pub fn model(&self) -> Option<ModelName> {
        match peek::routing(self.beginning, false) {
            Peek::Found(routing) => ModelName::parse(routing.name).ok(),
            Peek::More | Peek::Malformed(_) => None,
        }
    }

    /// Whether a model has to work for it.
    pub fn is_work(&self) -> bool {
        let asks_about = ["/ModelReady", "/ModelMetadata", "/ModelConfig", "/ModelStatistics"];
        method::find(self.path).is_some_and(|method| method.names_a_model) && !asks_about.iter().any(|method| self.path.ends_with(method))
    }

    /// How many tokens it may read and write; `assumed` are written by one that does not say.
    pub fn tokens(&self, assumed: u64) -> Tokens {
        let Some(service) = self.path.strip_prefix("/torchmesh.text.v1.") else { return Tokens::default() };
        let input = self.bytes.div_ceil(BYTES_A_TOKEN);
        let settings = match service {
            "GenerationService/Generate" => 6,
            "GenerationService/Chat" => 8,
            _ => return Tokens { input, ..Tokens::default() },
        };
        // What is in the cache is known behind the call only.
        Tokens { input, cached: 0, output: written(self.beginning.get(peek::PREFIX..).unwrap_or_default(), settings, assumed) }
    }
}

/// `max_tokens` of the settings, for each of the answers that are asked for.
fn written(message: &[u8], field: u64, assumed: u64) -> u64 {
    let mut settings = Settings::default();
    for (number, value) in Fields(message) {
        if let (true, Value::Bytes(bytes)) = (number == field, value) {
            settings.read(bytes);
        }
    }
    settings.max_tokens.unwrap_or(assumed).saturating_mul(settings.answers.clamp(1, MOST_ANSWERS))
}

#[derive(Default)]
struct Settings {
    max_tokens: Option<u64>,
    answers: u64,
}

impl Settings {
    fn read(&mut self, bytes: &[u8]) {
        for (number, value) in Fields(bytes) {
            match (number, value) {
                (1, Value::Number(most)) => self.max_tokens = Some(most.min(u32::MAX.into())),
                // `n` and `best_of`: all that are written cost, not only those that are told.
                (14 | 15, Value::Number(answers)) => self.answers = self.answers.max(answers),
                _ => {}
            }
        }
    }
}

/// The fields of a protobuf message, as far as it has come.
struct Fields<'a>(&'a [u8]);

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.number()?;
        let value = match key & 7 {
            0 => Value::Number(self.number()?),
            1 => self.skip(8).map(|_| Value::Other)?,
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Value::Bytes(self.skip(length)?)
            }
            5 => self.skip(4).map(|_| Value::Other)?,
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

impl<'a> Fields<'a> {
    fn skip(&mut self, count: usize) -> Option<&'a [u8]> {
        let (skipped, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(skipped)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for at in 0..10 {
            let byte = *self.0.get(at)?;
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                self.0 = &self.0[at + 1..];
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use torchmesh_api::{
        frame,
        text::v1::{ChatRequest, GenerateRequest, GenerationSettings},
    };

    use super::*;

    const GENERATE: &str = "/torchmesh.text.v1.GenerationService/Generate";
    const CHAT: &str = "/torchmesh.text.v1.GenerationService/Chat";

    fn tokens(path: &str, framed: &Bytes) -> Tokens {
        Question::new(path, std::iter::once(framed)).tokens(256)
    }

    #[test]
    fn what_a_question_asks_for_at_most_is_reserved_for_each_of_its_answers() {
        let settings =
            GenerationSettings { max_tokens: Some(100), n: Some(2), best_of: Some(3), temperature: Some(0.5), ..Default::default() };
        let request = GenerateRequest { prompt: "x".repeat(400), settings: Some(settings.clone()), ..Default::default() };
        let told = tokens(GENERATE, &frame::encode(&request));
        assert_eq!(told.output, 300);
        assert!((100..120).contains(&told.input), "{told:?}");
        let request = ChatRequest { settings: Some(settings), ..Default::default() };
        assert_eq!(tokens(CHAT, &frame::encode(&request)).output, 300);
    }

    #[test]
    fn what_does_not_say_is_thought_to_write_the_usual_and_what_only_reads_writes_nothing() {
        assert_eq!(tokens(GENERATE, &frame::encode(&GenerateRequest::default())).output, 256);
        assert_eq!(tokens("/torchmesh.text.v1.TextService/Embed", &frame::encode(&GenerateRequest::default())).output, 0);
        assert_eq!(tokens("/inference.GRPCInferenceService/ModelInfer", &Bytes::from_static(&[0; 900])), Tokens::default());
    }

    #[test]
    fn only_what_a_model_has_to_work_for_is_work() {
        let works = |path| Question::new(path, std::iter::empty()).is_work();
        assert!(works(GENERATE) && works("/inference.GRPCInferenceService/ModelInfer"));
        assert!(!works("/inference.GRPCInferenceService/ModelMetadata") && !works("/inference.GRPCInferenceService/RepositoryIndex"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = tokens(CHAT, &bytes.into());
        }

        #[test]
        fn a_beginning_of_a_message_has_as_many_bytes_as_the_whole(cut in 5_usize..300) {
            let whole = frame::encode(&GenerateRequest { prompt: "x".repeat(300), ..Default::default() });
            prop_assert_eq!(Question::new(GENERATE, std::iter::once(&whole.slice(..cut))).bytes, whole.len() as u64);
        }
    }
}
