//! When two answers agree.

use std::sync::LazyLock;

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage as _, Value};
use torchmesh_api::{FILE_DESCRIPTOR_SET, inference::ModelInferResponse, method};

use super::tensors;
use crate::routes::shadow::{Compare, Shadow};

static PROTOS: LazyLock<DescriptorPool> = LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap_or_default());

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
/// The fields that say which model and version answered, and whom: they always differ, or never.
const ROUTING_FIELDS: u32 = 3;

/// Whether answers of the method at this path are compared: those that a model computes, each by itself.
pub(super) fn can(path: &str) -> bool {
    path == INFER || (path.starts_with("/torchmesh.") && method::find(path).is_some_and(|method| method.names_a_model && !method.streaming))
}

/// Whether two messages agree as the shadow's settings have it; `None` when they cannot be read.
pub(super) fn agree(path: &str, shadow: &Shadow, callers: Bytes, shadows: Bytes) -> Option<bool> {
    let how = How { compare: shadow.compare, tolerance: shadow.tolerance };
    if path == INFER {
        let (a, b) = (ModelInferResponse::decode(callers).ok()?, ModelInferResponse::decode(shadows).ok()?);
        return Some(tensors::agree(how, &a, &b));
    }
    let descriptor = output(path)?;
    let (a, b) = (DynamicMessage::decode(descriptor.clone(), callers).ok()?, DynamicMessage::decode(descriptor, shadows).ok()?);
    Some(how.messages(&a, &b, ROUTING_FIELDS))
}

/// The message that a method answers with.
fn output(path: &str) -> Option<MessageDescriptor> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let found = PROTOS.get_service_by_name(service)?.methods().find(|known| known.name() == method)?.output();
    Some(found)
}

/// How answers are compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    pub(super) compare: Compare,
    pub(super) tolerance: f64,
}

impl How {
    /// Whether two numbers are as near to each other as is asked for.
    pub(super) fn near(self, a: f64, b: f64) -> bool {
        a.total_cmp(&b).is_eq() || (a.is_nan() && b.is_nan()) || (a - b).abs() <= self.tolerance * (1.0 + a.abs())
    }

    /// Whether two rows of numbers agree: in each number, or in where the largest is.
    pub(super) fn rows(self, a: &[f64], b: &[f64]) -> bool {
        if a.len() != b.len() {
            return false;
        }
        if self.compare == Compare::Argmax && a.len() > 1 {
            return largest(a) == largest(b);
        }
        a.iter().zip(b).all(|(a, b)| self.near(*a, *b))
    }

    fn messages(self, a: &DynamicMessage, b: &DynamicMessage, skip: u32) -> bool {
        let mut fields = a.descriptor().fields().collect::<Vec<_>>();
        fields.retain(|field| field.number() > skip);
        fields.iter().all(|field| self.values(&a.get_field(field), &b.get_field(field)))
    }

    fn values(self, a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Message(a), Value::Message(b)) => self.messages(a, b, 0),
            (Value::List(a), Value::List(b)) => self.lists(a, b),
            _ => match (float(a), float(b)) {
                // By themselves they are scores, which are not compared where only the best matters.
                (Some(a), Some(b)) => self.compare == Compare::Argmax || self.near(a, b),
                _ => a == b,
            },
        }
    }

    fn lists(self, a: &[Value], b: &[Value]) -> bool {
        let floats = |list: &[Value]| list.iter().map(float).collect::<Option<Vec<_>>>();
        if let (Some(a), Some(b)) = (floats(a), floats(b)) {
            return self.rows(&a, &b);
        }
        match (self.compare, best(a), best(b)) {
            (Compare::Argmax, Some(a), Some(b)) => self.values(a, b),
            _ => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.values(a, b)),
        }
    }
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::F32(number) => Some(f64::from(*number)),
        Value::F64(number) => Some(*number),
        _ => None,
    }
}

/// Where the largest number is.
fn largest(row: &[f64]) -> Option<usize> {
    row.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(at, _)| at)
}

/// Of messages that have a score, the one with the highest.
fn best(list: &[Value]) -> Option<&Value> {
    let score = |value: &Value| match value {
        Value::Message(message) => float(&*message.get_field_by_name("score")?),
        _ => None,
    };
    list.iter().filter_map(|value| Some((value, score(value)?))).max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use torchmesh_api::{
        ids::{ModelName, ModelVersion},
        text::v1::{Classification, ClassifyResponse, EmbedResponse, Embedding, LabelScore},
    };

    use super::*;
    use crate::routes::Destination;

    const CLASSIFY: &str = "/torchmesh.text.v1.TextService/Classify";
    const EMBED: &str = "/torchmesh.text.v1.TextService/Embed";

    fn shadow(compare: Compare) -> Shadow {
        let to = Destination { model: ModelName::parse("m").unwrap(), version: ModelVersion::parse("4") };
        Shadow { to, percent: 100.0, compare, tolerance: 0.01 }
    }

    /// A text's labels, with their scores, as a version answers.
    fn labels(version: &str, scores: &[(&str, f32)]) -> Bytes {
        let label =
            |(at, (label, score)): (usize, &(&str, f32))| LabelScore { label: (*label).to_owned(), score: *score, index: at as u32 };
        let classification = Classification { labels: scores.iter().enumerate().map(label).collect(), ..Default::default() };
        let response = ClassifyResponse { model_version: version.to_owned(), classifications: vec![classification], ..Default::default() };
        response.encode_to_vec().into()
    }

    #[test]
    fn typed_answers_are_compared_field_by_field_whatever_version_gave_them() {
        let callers = labels("3", &[("spam", 0.9), ("ham", 0.1)]);
        let cases = [(labels("4", &[("spam", 0.905), ("ham", 0.095)]), true), (labels("4", &[("spam", 0.7), ("ham", 0.3)]), false)];
        for (shadows, agrees) in cases {
            assert_eq!(agree(CLASSIFY, &shadow(Compare::Values), callers.clone(), shadows), Some(agrees));
        }
    }

    #[test]
    fn of_scores_only_the_best_may_matter() {
        let callers = labels("3", &[("spam", 0.9), ("ham", 0.1)]);
        let cases = [(labels("4", &[("spam", 0.6), ("ham", 0.4)]), true), (labels("4", &[("ham", 0.6), ("spam", 0.4)]), false)];
        for (shadows, agrees) in cases {
            assert_eq!(agree(CLASSIFY, &shadow(Compare::Argmax), callers.clone(), shadows), Some(agrees));
        }
    }

    #[test]
    fn vectors_of_another_length_or_far_away_disagree() {
        let vector = |values: &[f32]| {
            let embedding = Embedding { values: values.to_vec(), ..Default::default() };
            Bytes::from(EmbedResponse { embeddings: vec![embedding], ..Default::default() }.encode_to_vec())
        };
        let callers = vector(&[0.1, 0.2, 0.3]);
        for (shadows, agrees) in [(vector(&[0.1, 0.2, 0.305]), true), (vector(&[0.1, 0.2, 0.4]), false), (vector(&[0.1, 0.2]), false)] {
            assert_eq!(agree(EMBED, &shadow(Compare::Values), callers.clone(), shadows), Some(agrees));
        }
    }

    #[test]
    fn what_no_model_computes_is_not_compared() {
        assert!(can(INFER) && can(CLASSIFY) && can("/torchmesh.vision.v1.VisionService/Detect"));
        assert!(!can("/inference.GRPCInferenceService/ModelMetadata") && !can("/torchmesh.audio.v1.AudioService/DetectVoiceLive"));
        assert_eq!(agree(CLASSIFY, &shadow(Compare::Values), Bytes::from_static(b"\xff"), Bytes::new()), None);
    }
}
