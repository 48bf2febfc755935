//! What comes in: text, files, or a query and documents; and the options that go with them.

use bytes::Bytes;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use torchmesh_api::{
    error::ApiError,
    text::v1::{Aggregation, ScoreFunction, Truncation},
};

use super::invalid;

/// What a model is asked.
#[derive(Debug)]
pub(crate) struct Input {
    /// The thing itself.
    pub(crate) content: Content,
    /// The options, as an object of JSON; null where there are none.
    pub(crate) options: Value,
}

/// The thing itself.
#[derive(Debug)]
pub(crate) enum Content {
    /// Bytes as they came, of which the task decides what they are.
    Raw(Bytes),
    /// One text, or one file in base64.
    One(String),
    /// Several of them.
    Many(Vec<String>),
    /// What a reranker takes.
    Query {
        /// What the documents are to answer.
        query: String,
        /// The documents.
        documents: Vec<String>,
    },
}

impl Content {
    /// As texts. The error says what was sent instead.
    pub(super) fn into_texts(self) -> Result<Vec<String>, ApiError> {
        match self {
            Self::One(text) => Ok(vec![text]),
            Self::Many(texts) => Ok(texts),
            Self::Raw(bytes) => match String::from_utf8(bytes.into()) {
                Ok(text) => Ok(vec![text]),
                Err(_) => Err(invalid("the body is no UTF-8 text, and this model reads text; send text")),
            },
            Self::Query { .. } => {
                Err(invalid("inputs has a query and documents, and this model takes a text or a list of texts; send those"))
            }
        }
    }

    /// As a query and its documents.
    pub(super) fn into_query(self) -> Result<(String, Vec<String>), ApiError> {
        match self {
            Self::Query { query, documents } => Ok((query, documents)),
            _ => Err(invalid("this model orders documents; send inputs as {\"query\": \"…\", \"documents\": [\"…\"]}")),
        }
    }
}

/// Reads the options that a task has. The error names the option.
pub(super) fn options<T: DeserializeOwned + Default>(options: Value) -> Result<T, ApiError> {
    if options.is_null() {
        return Ok(T::default());
    }
    serde_json::from_value(options).map_err(|error| invalid(format!("parameters: {error}")))
}

/// What happens to a text that is too long.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Long {
    /// The model's manifest decides.
    #[default]
    Model,
    /// The call is refused.
    Reject,
    /// The end is cut off.
    End,
    /// It is read in windows.
    Split,
}

impl From<Long> for i32 {
    fn from(long: Long) -> Self {
        match long {
            Long::Model => Truncation::Unspecified,
            Long::Reject => Truncation::Reject,
            Long::End => Truncation::End,
            Long::Split => Truncation::Split,
        }
        .into()
    }
}

/// What makes scores of a model's numbers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Scores {
    /// The model's manifest decides.
    #[default]
    Model,
    /// They add up to 1.
    Softmax,
    /// Each is from 0 to 1.
    Sigmoid,
    /// The numbers as they are.
    None,
}

impl From<Scores> for i32 {
    fn from(scores: Scores) -> Self {
        match scores {
            Scores::Model => ScoreFunction::Unspecified,
            Scores::Softmax => ScoreFunction::Softmax,
            Scores::Sigmoid => ScoreFunction::Sigmoid,
            Scores::None => ScoreFunction::None,
        }
        .into()
    }
}

/// How tokens become entities.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Words {
    /// The model's manifest decides.
    #[default]
    Model,
    /// They do not.
    None,
    /// Neighbours of one label.
    Simple,
    /// One label a word, of its first token.
    First,
    /// One label a word, by the mean.
    Average,
    /// One label a word, of the surest token.
    Max,
}

impl From<Words> for i32 {
    fn from(words: Words) -> Self {
        match words {
            Words::Model => Aggregation::Unspecified,
            Words::None => Aggregation::None,
            Words::Simple => Aggregation::Simple,
            Words::First => Aggregation::First,
            Words::Average => Aggregation::Average,
            Words::Max => Aggregation::Max,
        }
        .into()
    }
}
