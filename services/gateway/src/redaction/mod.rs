//! Personal data that is not sent on: found by its form in the texts of a call ([`find`]), and replaced, or the call refused, before the call leaves for a
//! router. People's names are found by a model, where a rule names one ([`names`]).
//!
//! It is decided by the name of the model that is called, at the one place where every call leaves ([`crate::mesh`]). Whatever a call has that cannot be
//! searched (tensors, tokens, images, sound, fields that are not known here) is refused there for such a model, whichever door it came by.

pub mod find;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod kind;
mod metrics;
pub mod names;
pub mod replace;
pub mod settings;
mod shape;
mod wire;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    frame, method,
    peek::{self, Peek},
};
use torchmesh_runtime::process::Context;

use self::{
    kind::{Counts, Kinds},
    metrics::RedactionMetrics,
    names::{Ask, Names, NamesRule},
    replace::Redactor,
    settings::{Action, Rule},
    shape::Shape,
    wire::Rewriting,
};
use crate::{aside, metering::Measured};

/// Says in an answer what was replaced in its question, such as `email=2, card=1`: a dictionary of RFC 8941.
pub const X_TORCHMESH_REDACTED: HeaderName = HeaderName::from_static("x-torchmesh-redacted");

/// The header's value.
pub fn header(counts: &Counts) -> Option<HeaderValue> {
    let told: Vec<_> = counts.iter().map(|(kind, count)| format!("{}={count}", kind.word())).collect();
    HeaderValue::try_from(told.join(", ")).ok()
}

/// The rules of the process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Redaction(Option<Arc<Rules>>);

#[derive(Debug)]
struct Rules {
    rules: Vec<Rule>,
    metrics: RedactionMetrics,
}

/// What has to be done with a call's message before it leaves.
#[derive(Debug, Clone)]
pub struct Order {
    kinds: Kinds,
    refuses: bool,
    names: Option<NamesRule>,
    shape: &'static Shape,
    metrics: RedactionMetrics,
}

impl Redaction {
    /// The rules of the settings.
    pub fn open(rules: &[Rule], context: &Context) -> Self {
        Self::of(rules, || context.metrics.register(RedactionMetrics::register))
    }

    fn of(rules: &[Rule], metrics: impl FnOnce() -> RedactionMetrics) -> Self {
        // Rules that only leave models out are as none.
        let looks = rules.iter().any(|rule| rule.action != Action::Off);
        Self(looks.then(|| Arc::new(Rules { rules: rules.to_vec(), metrics: metrics() })))
    }

    /// Whether anything is looked for at all.
    pub fn looks(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a message of this method may have to be read whole.
    pub fn may_concern(&self, path: &str) -> bool {
        self.0.is_some() && shape::of(path).is_some()
    }

    /// What has to be done with a call of this method that names this model.
    ///
    /// Error: PermissionDenied, when it can have personal data where it cannot be searched for any.
    pub fn order(&self, path: &str, model: &str) -> Result<Option<Order>, ApiError> {
        let Some(rules) = self.0.as_deref().filter(|_| !shape::carries_nothing(path)) else { return Ok(None) };
        if !method::find(path).is_some_and(|method| method.names_a_model) {
            let message = "this method is not known here, and personal data must be taken out of what is sent to some models";
            return Err(ApiError::new(ErrorKind::PermissionDenied, message));
        }
        let rule = rules.rules.iter().find(|rule| rule.models.allow(model)).filter(|rule| rule.action != Action::Off);
        let Some(Rule { kinds, action, names, .. }) = rule else { return Ok(None) };
        let Some(shape) = shape::of(path) else {
            let message = "personal data must be taken out of what is sent to this model, and tensors, images and sound cannot be searched for any; \
                           send texts, by a path such as /v1/chat/completions, /v1/embeddings or /v1/tasks";
            return Err(ApiError::new(ErrorKind::PermissionDenied, message));
        };
        let (refuses, names, metrics) = (*action == Action::Refuse, names.clone(), rules.metrics.clone());
        Ok(Some(Order { kinds: *kinds, refuses, names, shape, metrics }))
    }

    /// What leaves in the place of a message of our own, which is in so many pieces.
    ///
    /// Errors: as [`Self::order`] and [`Order::carry_out`].
    pub async fn apply(
        &self,
        measured: &Measured,
        path: &str,
        framed: VecDeque<Bytes>,
        mesh: &impl Ask,
    ) -> Result<VecDeque<Bytes>, ApiError> {
        if self.0.is_none() {
            return Ok(framed);
        }
        let front = framed.front().map(|first| peek::routing(first, framed.len() == 1));
        let model = match front {
            Some(Peek::Found(routing)) => routing.name,
            // A model that is not named in front is named by nobody.
            _ if shape::carries_nothing(path) => "",
            _ => {
                return Err(ApiError::new(
                    ErrorKind::InvalidArgument,
                    "the request names no model; name one of those that GET /v1/models lists",
                ));
            }
        };
        match self.order(path, model)? {
            Some(order) => Ok([order.carry_out(framed, measured, mesh).await?].into()),
            None => Ok(framed),
        }
    }

    /// The same of a message that is in one piece.
    pub async fn apply_whole(&self, measured: &Measured, path: &str, framed: Bytes, mesh: &impl Ask) -> Result<Bytes, ApiError> {
        self.apply(measured, path, [framed].into(), mesh).await.map(joined)
    }
}

impl Order {
    /// Does it with a message in its frame: gives what leaves in its place.
    ///
    /// Errors: InvalidArgument, when the message has what is refused, or is not of the method's form; Unavailable, when nobody tells where names are.
    pub async fn carry_out(self, framed: VecDeque<Bytes>, measured: &Measured, mesh: &impl Ask) -> Result<Bytes, ApiError> {
        let length = framed.iter().map(Bytes::len).sum();
        let names = self.find_names(length, &framed, mesh).await?;
        let (message, counts) = aside::run(length, move || self.rewrite(joined(framed), names)).await??;
        measured.redacts(&counts);
        Ok(message)
    }

    async fn find_names(&self, length: usize, framed: &VecDeque<Bytes>, mesh: &impl Ask) -> Result<Names, ApiError> {
        let Some(rule) = &self.names else { return Ok(Names::Unasked) };
        let (shape, framed) = (self.shape, framed.clone());
        match aside::run(length, move || texts(&joined(framed), shape)).await?? {
            Names::Wanted(texts) => rule.find(texts, mesh).await,
            names => Ok(names),
        }
    }

    fn rewrite(&self, framed: Bytes, names: Names) -> Result<(Bytes, Counts), ApiError> {
        let message = whole(&framed)?;
        let mut redactor = Redactor::new(self.kinds, names);
        let written = Rewriting { redactor: &mut redactor, refuses: self.refuses }.request(&message, self.shape);
        let counts = *redactor.counts();
        for (kind, count) in counts.iter() {
            self.metrics.found(kind, self.refuses, count);
        }
        Ok((written?.map_or(framed, |written| frame::framed(&written)), counts))
    }
}

/// All texts of a message, as names are looked for in them.
fn texts(framed: &Bytes, shape: &Shape) -> Result<Names, ApiError> {
    let mut redactor = Redactor::new(Kinds::default(), Names::Wanted(BTreeSet::new()));
    Rewriting { redactor: &mut redactor, refuses: false }.request(&whole(framed)?, shape)?;
    Ok(redactor.names())
}

fn whole(framed: &Bytes) -> Result<Bytes, ApiError> {
    let wrong = || ApiError::new(ErrorKind::InvalidArgument, "the body is not one whole, uncompressed gRPC message");
    frame::message(framed.clone()).ok_or_else(wrong)
}

/// All pieces in one; copied only where there are several.
fn joined(mut pieces: VecDeque<Bytes>) -> Bytes {
    if pieces.len() < 2 {
        return pieces.pop_front().unwrap_or_default();
    }
    pieces
        .into_iter()
        .fold(BytesMut::new(), |mut all, piece| {
            all.extend_from_slice(&piece);
            all
        })
        .freeze()
}

#[cfg(test)]
mod tests {
    use torchmesh_api::{access::ModelGrants, inference::ModelInferRequest, text::v1::EmbedRequest};

    use super::*;

    /// There is no mesh behind.
    struct Nobody;

    impl Ask for Nobody {
        async fn ask(&self, _: Bytes) -> Result<Bytes, ApiError> {
            Err(ApiError::new(ErrorKind::Unavailable, "nobody is there"))
        }
    }

    const EMBED: &str = "/torchmesh.text.v1.TextService/Embed";

    fn rule(models: &[&str], action: Action) -> Rule {
        Rule { models: ModelGrants::parse(models.iter().copied()).unwrap(), kinds: Kinds::usual(), action, names: None }
    }

    fn redaction(rules: &[Rule]) -> Redaction {
        Redaction::of(rules, RedactionMetrics::default)
    }

    fn ask(text: &str) -> Bytes {
        frame::encode(&EmbedRequest { model: "m".to_owned(), texts: vec![text.to_owned()], ..Default::default() })
    }

    #[test]
    fn the_first_rule_that_has_the_model_counts() {
        let redaction = redaction(&[rule(&["free"], Action::Off), rule(&["strict*"], Action::Refuse), rule(&["*"], Action::Redact)]);
        let refuses = |model| redaction.order(EMBED, model).unwrap().map(|order| order.refuses);
        assert_eq!((refuses("free"), refuses("strict-1"), refuses("other"), refuses("")), (None, Some(true), Some(false), Some(false)));
    }

    #[test]
    fn without_a_rule_that_looks_nothing_is_concerned() {
        for rules in [&[][..], &[rule(&["*"], Action::Off)]] {
            let redaction = redaction(rules);
            assert!(redaction.0.is_none() && !redaction.may_concern(EMBED));
            assert!(redaction.order("/inference.GRPCInferenceService/ModelInfer", "m").unwrap().is_none());
        }
    }

    #[test]
    fn what_cannot_be_searched_is_refused_for_the_models_of_a_rule_alone() {
        let redaction = redaction(&[rule(&["m"], Action::Redact)]);
        for path in [
            "/inference.GRPCInferenceService/ModelInfer",
            "/inference.GRPCInferenceService/ModelStreamInfer",
            "/torchmesh.vision.v1.VisionService/Classify",
            "/torchmesh.vision.v1.VisionService/Detect",
            "/torchmesh.audio.v1.AudioService/DetectVoice",
            "/torchmesh.audio.v1.AudioService/DetectVoiceLive",
        ] {
            assert_eq!(redaction.order(path, "m").unwrap_err().kind, ErrorKind::PermissionDenied, "{path}");
            assert!(redaction.order(path, "other").unwrap().is_none(), "{path}");
        }
        for unknown in ["/torchmesh.text.v1.TextService/Other", "/inference.GRPCInferenceService/Other"] {
            assert_eq!(redaction.order(unknown, "").unwrap_err().kind, ErrorKind::PermissionDenied, "{unknown}");
        }
        for asks in ["ServerReady", "ModelMetadata", "RepositoryIndex"] {
            assert!(redaction.order(&format!("/inference.GRPCInferenceService/{asks}"), "m").unwrap().is_none(), "{asks}");
        }
    }

    #[tokio::test]
    async fn a_message_with_nothing_in_it_leaves_as_the_memory_it_came_in() {
        let order = redaction(&[rule(&["*"], Action::Redact)]).order(EMBED, "m").unwrap().unwrap();
        let framed = ask("nothing");
        let measured = Measured::default();
        let same = order.clone().carry_out([framed.clone()].into(), &measured, &Nobody).await.unwrap();
        assert_eq!((same.as_ptr(), measured.redacted()), (framed.as_ptr(), None));
        let twice = ask("ada@example.org 4111111111111111 ada@example.org");
        let told = order.clone().carry_out([twice.slice(..9), twice.slice(9..)].into(), &measured, &Nobody).await.unwrap();
        assert_eq!(told, ask("[EMAIL_1] [CARD_1] [EMAIL_1]"));
        assert_eq!(header(&measured.redacted().unwrap()).unwrap(), "email=2, card=1");
        assert_eq!(order.carry_out([framed.slice(..7)].into(), &measured, &Nobody).await.unwrap_err().kind, ErrorKind::InvalidArgument);
    }

    #[tokio::test]
    async fn a_long_text_is_redacted_as_a_short_one_is() {
        let order = redaction(&[rule(&["*"], Action::Redact)]).order(EMBED, "m").unwrap().unwrap();
        let told = order.carry_out([ask(&"ada@example.org ".repeat(50_000))].into(), &Measured::default(), &Nobody).await.unwrap();
        assert_eq!(told, ask(&"[EMAIL_1] ".repeat(50_000)));
    }

    #[tokio::test]
    async fn a_message_of_another_method_is_not_taken_for_a_text() {
        let order = redaction(&[rule(&["*"], Action::Redact)]).order(EMBED, "m").unwrap().unwrap();
        let tensors = ModelInferRequest {
            model_name: "m".to_owned(),
            raw_input_contents: vec![Bytes::from_static(b"ada@example.org")],
            ..Default::default()
        };
        let refused = order.carry_out([frame::encode(&tensors)].into(), &Measured::default(), &Nobody).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::InvalidArgument);
    }

    #[tokio::test]
    async fn a_message_of_our_own_that_does_not_name_its_model_in_front_does_not_leave() {
        let redaction = redaction(&[rule(&["m"], Action::Redact)]);
        let infer = frame::encode(&ModelInferRequest { raw_input_contents: vec![Bytes::from(vec![0; 64])], ..Default::default() });
        let pieces = || VecDeque::from([infer.slice(..20), infer.slice(20..)]);
        let path = "/inference.GRPCInferenceService/ModelInfer";
        let refused = redaction.apply(&Measured::default(), path, pieces(), &Nobody).await.unwrap_err();
        assert!(refused.message.contains("names no model"), "{refused}");
        let off = Redaction::default().apply(&Measured::default(), path, pieces(), &Nobody).await.unwrap();
        assert_eq!(off, pieces());
    }
}
