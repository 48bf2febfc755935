//! People's names, which no form tells: a model that labels tokens is asked where they are, in a call of its own before the call itself leaves.

use std::{
    collections::{BTreeSet, HashMap},
    future::Future,
    ops::Range,
};

use bytes::Bytes;
use prost::Message as _;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    frame,
    ids::ModelName,
    text::v1::{Aggregation, ClassifyTokensRequest, ClassifyTokensResponse, Entity, TokenClassification, Truncation},
};
use torchmesh_runtime::config::Section;

/// The method that is asked.
pub const CLASSIFY_TOKENS: &str = "/torchmesh.text.v1.TextService/ClassifyTokens";
/// So many texts in one call: a model of the usual settings takes them.
const AT_ONCE: usize = 32;

/// `names` of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct NamesRule {
    /// `names.model`: the model that is asked, of the task `token-classify`. Required.
    model: String,
    /// `names.labels`: what it calls a name. Default `PER` and `PERSON`.
    labels: Vec<String>,
    /// `names.min_score`: what it is less sure of is none, 0 to 1. Default 0.5.
    min_score: f64,
}

/// Asks the mesh.
pub trait Ask {
    /// Makes a call of [`CLASSIFY_TOKENS`] with a message in its frame, and gives the answer's message.
    fn ask(&self, question: Bytes) -> impl Future<Output = Result<Bytes, ApiError>> + Send;
}

/// Where names are, as far as they are looked for.
#[derive(Debug, Default)]
pub enum Names {
    /// Nobody looks for any.
    #[default]
    Unasked,
    /// The texts in which they are looked for, as they are collected.
    Wanted(BTreeSet<String>),
    /// Where they are in each text, in order and without overlaps.
    Known(HashMap<String, Vec<Range<usize>>>),
}

impl Names {
    /// Whether every text is wanted, and not only those that a form is found in.
    pub fn are_looked_for(&self) -> bool {
        !matches!(self, Self::Unasked)
    }

    /// Where they are in this text; while texts are collected, nowhere.
    pub fn of(&mut self, text: &str) -> &[Range<usize>] {
        match self {
            Self::Unasked => &[],
            Self::Wanted(texts) => {
                if text.contains(char::is_alphabetic) && !texts.contains(text) {
                    texts.insert(text.to_owned());
                }
                &[]
            }
            Self::Known(places) => places.get(text).map_or(&[], Vec::as_slice),
        }
    }
}

impl NamesRule {
    pub(super) fn read(s: &mut Section) -> Option<Self> {
        let model = s.required::<String>("model");
        s.check(model.as_ref().is_none_or(|model| ModelName::parse(model).is_ok()), "model", "must be a model's name");
        let labels = s.or("labels", vec!["PER".to_owned(), "PERSON".to_owned()]);
        s.check(!labels.is_empty(), "labels", "must have a label; leave it out for PER and PERSON");
        let min_score = s.or("min_score", 0.5);
        s.check((0.0..=1.0).contains(&min_score), "min_score", "must be from 0 to 1");
        Some(Self { model: model?, labels, min_score })
    }

    /// Where names are in these texts.
    ///
    /// Error: Unavailable, where the model does not say; without knowing, nothing leaves.
    pub(super) async fn find(&self, texts: BTreeSet<String>, mesh: &impl Ask) -> Result<Names, ApiError> {
        let mut places = HashMap::with_capacity(texts.len());
        let mut texts = texts.into_iter().peekable();
        while texts.peek().is_some() {
            let texts: Vec<String> = texts.by_ref().take(AT_ONCE).collect();
            let question = frame::encode(&self.question(texts.clone()));
            let told = mesh.ask(question).await.map_err(|error| {
                tracing::warn!(model = self.model, %error, "the model that finds names does not answer");
                ApiError::new(ErrorKind::Unavailable, "names cannot be taken out of the call now, and it is not sent with them; try again")
            })?;
            let found = self.read_answer(&texts, &told).ok_or_else(|| {
                tracing::warn!(model = self.model, "the model that finds names gives an answer that is none");
                ApiError::new(ErrorKind::Unavailable, "names cannot be taken out of the call, and it is not sent with them")
            })?;
            places.extend(texts.into_iter().zip(found));
        }
        Ok(Names::Known(places))
    }

    fn question(&self, texts: Vec<String>) -> ClassifyTokensRequest {
        ClassifyTokensRequest {
            model: self.model.clone(),
            texts,
            truncation: Truncation::Split.into(),
            aggregation: Aggregation::First.into(),
            ..Default::default()
        }
    }

    /// The places of names in each text; `None` when the answer is not about these texts, all of them and whole.
    fn read_answer(&self, texts: &[String], told: &[u8]) -> Option<Vec<Vec<Range<usize>>>> {
        let answer = ClassifyTokensResponse::decode(told).ok()?;
        if answer.classifications.len() != texts.len() {
            return None;
        }
        texts.iter().zip(&answer.classifications).map(|(text, told)| self.places(text, told)).collect()
    }

    fn places(&self, text: &str, told: &TokenClassification) -> Option<Vec<Range<usize>>> {
        let is_name = |entity: &Entity| self.labels.contains(&entity.label) && f64::from(entity.score) >= self.min_score;
        let mut places: Vec<Range<usize>> = Vec::new();
        let named = told.entities.iter().filter(|entity| is_name(entity));
        let mut named: Vec<_> = named.map(|entity| entity.start_byte as usize..entity.end_byte as usize).collect();
        named.sort_by_key(|place| place.start);
        for place in named {
            // An end in the middle of a character is none of this text's.
            text.get(place.clone()).filter(|name| !name.is_empty())?;
            match places.last_mut() {
                Some(last) if place.start < last.end => last.end = last.end.max(place.end),
                _ => places.push(place),
            }
        }
        (!told.truncated).then_some(places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Told(Result<Vec<TokenClassification>, ErrorKind>);

    impl Ask for Told {
        async fn ask(&self, question: Bytes) -> Result<Bytes, ApiError> {
            let question = ClassifyTokensRequest::decode(frame::message(question).unwrap()).unwrap();
            assert_eq!((&*question.model, question.truncation()), ("ner", Truncation::Split));
            let classifications = self.0.clone().map_err(|kind| ApiError::new(kind, "secret"))?;
            Ok(ClassifyTokensResponse { classifications, ..Default::default() }.encode_to_vec().into())
        }
    }

    fn rule() -> NamesRule {
        NamesRule { model: "ner".to_owned(), labels: vec!["PER".to_owned()], min_score: 0.5 }
    }

    fn entity(label: &str, score: f32, place: Range<u32>) -> Entity {
        Entity { label: label.to_owned(), score, start_byte: place.start, end_byte: place.end, ..Default::default() }
    }

    fn told(entities: &[Entity]) -> TokenClassification {
        TokenClassification { entities: entities.to_vec(), ..Default::default() }
    }

    async fn find(texts: &[&str], answer: Result<Vec<TokenClassification>, ErrorKind>) -> Result<Names, ApiError> {
        rule().find(texts.iter().map(|&text| text.to_owned()).collect(), &Told(answer)).await
    }

    #[tokio::test]
    async fn what_the_model_is_sure_to_be_a_name_is_one() {
        let text = "Zoë met Ada in Rome";
        let entities = [entity("PER", 0.9, 9..12), entity("PER", 0.4, 5..8), entity("LOC", 0.9, 16..20), entity("PER", 0.5, 0..4)];
        let mut names = find(&[text], Ok(vec![told(&entities)])).await.unwrap();
        assert_eq!(names.of(text), [0..4, 9..12]);
        assert!(names.of("Ada").is_empty());
    }

    #[tokio::test]
    async fn names_that_overlap_are_one() {
        let entities = [entity("PER", 0.9, 0..3), entity("PER", 0.9, 2..5), entity("PER", 0.9, 5..7)];
        assert_eq!(find(&["abcdefgh"], Ok(vec![told(&entities)])).await.unwrap().of("abcdefgh"), [0..5, 5..7]);
    }

    #[tokio::test]
    async fn an_answer_that_is_not_about_these_texts_whole_is_as_none() {
        let cut = TokenClassification { truncated: true, ..Default::default() };
        for wrong in [
            vec![],
            vec![told(&[]), told(&[])],
            vec![cut],
            vec![told(&[entity("PER", 0.9, 0..9)])],
            vec![told(&[entity("PER", 0.9, 1..3)])],
        ] {
            let error = find(&["é b"], Ok(wrong.clone())).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unavailable, "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn a_model_that_does_not_answer_is_told_without_what_it_said() {
        for kind in [ErrorKind::NotFound, ErrorKind::Internal, ErrorKind::ResourceExhausted] {
            let error = find(&["a"], Err(kind)).await.unwrap_err();
            assert!(error.kind == ErrorKind::Unavailable && !error.message.contains("secret"), "{error}");
        }
    }

    #[test]
    fn only_texts_with_letters_are_collected_and_each_once() {
        let mut names = Names::Wanted(BTreeSet::new());
        for text in ["b", "12 + 3", "a", "b", "世界", ""] {
            assert!(names.of(text).is_empty());
        }
        let Names::Wanted(texts) = names else { panic!("they are collected") };
        assert_eq!(texts.into_iter().collect::<Vec<_>>(), ["a", "b", "世界"]);
    }
}
