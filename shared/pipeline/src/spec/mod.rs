//! A pipeline as it is written: a TOML file, read so that every mistake in it is told at once.
//!
//! ```toml
//! [[input]]
//! name = "text"
//! datatype = "BYTES"
//! shape = [-1]
//!
//! [[step]]
//! name = "judge"
//! model = "spam"
//! inputs = { text = "input.text" }
//! timeout = "200ms"
//!
//! [[step]]
//! name = "best"
//! transform = "top_k"
//! k = 1
//! inputs = { x = "judge.scores" }
//!
//! [[output]]
//! name = "class"
//! from = "best.indices"
//! ```

mod constant;
mod read;
mod step;
mod target;
mod when;
mod wire;

use std::time::Duration;

use toml::Value;
use torchmesh_settings::{FromSetting, Problem, Problems, Section};

use crate::{kind::Named, transform::Transform};

pub(crate) use step::weights;
pub use target::Target;
pub(crate) use when::read as value;
pub use when::{Test, When};
pub use wire::{Source, Wire};

/// A pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// `description`: for whoever lists models.
    pub description: String,
    /// `timeout`: the longest that a call may take, whatever its caller allows. Default none.
    pub timeout: Option<Duration>,
    /// `stream`: the step whose answer goes on piece by piece to whoever calls by `ModelStreamInfer`. Default none: such a caller gets it whole.
    pub stream: Option<String>,
    /// `[[input]]`: what callers send; at least one.
    pub inputs: Vec<Named>,
    /// `[[step]]`, in the order of the file, which means nothing: a step runs as soon as what it takes is there.
    pub steps: Vec<Step>,
    /// `[[output]]`: what callers get; at least one.
    pub outputs: Vec<Output>,
}

/// What a caller gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub from: Wire,
    /// `optional`: an answer may be without it. Default false.
    pub optional: bool,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its name, by which others take its outputs.
    pub name: String,
    /// What it does.
    pub work: Work,
    /// What it takes, by the names that the model or the transform has for it.
    pub inputs: Vec<(String, Wire)>,
    /// `when`: the step is skipped where this does not hold. Default always.
    pub when: Option<When>,
    /// What happens when it fails.
    pub policy: Policy,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Calls models.
    Call(Calls),
    /// Makes tensors of tensors, here.
    Transform(Transform),
}

/// Which models are called, and how often.
#[derive(Debug, Clone, PartialEq)]
pub struct Calls {
    /// Which ones.
    pub choice: Choice,
    /// `fallback`: who is asked, in this order, when those have failed. Default nobody.
    pub fallback: Vec<Target>,
    /// `map`: one call for each row, or for so many rows. Default one call for all.
    pub map: Option<Map>,
    /// `parameters`: what the models are told beside the tensors, such as `{ max_tokens = 20 }`. Default nothing.
    pub parameters: Vec<(String, Parameter)>,
}

/// A named value beside the tensors.
#[derive(Debug, Clone, PartialEq)]
pub enum Parameter {
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Whole(i64),
    /// A number with a fraction.
    Real(f64),
    /// A text.
    Text(String),
}

/// Which models a step calls.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// `model`: this one.
    One(Target),
    /// `switch`: the one that a value chooses.
    Switch(Switch),
    /// `ensemble`: all of them, and their answers become one.
    Ensemble(Ensemble),
}

/// A value that chooses a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Switch {
    /// `on`: a tensor of one element.
    pub on: Wire,
    /// `cases`: the model for each value, as it reads.
    pub cases: Vec<(String, Target)>,
    /// `default`: the model for any other. Default none: the step is skipped.
    pub default: Option<Target>,
}

/// Several models that answer as one.
#[derive(Debug, Clone, PartialEq)]
pub struct Ensemble {
    /// `models`: at least two.
    pub members: Vec<Target>,
    /// `by`: `mean` or `vote`.
    pub by: By,
    /// `weights`: how much each counts. Default all the same.
    pub weights: Vec<f64>,
    /// `at_least`: how many must answer. Default all.
    pub at_least: usize,
}

/// How several answers become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Each element is the mean of theirs.
    Mean,
    /// Each element is the one that most of them have.
    Vote,
}

/// A list of which each part is a call of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// `over`: the inputs that are taken apart along their first dimension; the others go whole to each call.
    pub over: Vec<String>,
    /// `rows`: how many rows a call has. Default 1.
    pub rows: usize,
    /// `at_once`: calls at a time. Default 16.
    pub at_once: usize,
}

/// What happens when a step is slow or fails.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// `optional`: what the step gives is absent when it, or one that it needs, fails. Default false: whoever needs it fails too.
    pub optional: bool,
    /// `timeout`: the longest that one try may take. Default what is left for the step.
    pub timeout: Option<Duration>,
    /// `retries`: further tries of a call that may succeed a second time. Default 0.
    pub retries: usize,
    /// `backoff`: the wait before the first of them; it doubles each time. Default 10ms.
    pub backoff: Duration,
    /// `cache`: whether answers are kept for whoever asks the same again. Default as the route of the model has it.
    pub cache: StepCache,
}

/// What is kept of a step's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StepCache {
    /// As the model's route has it.
    #[default]
    AsRouted,
    /// Nothing: `cache = "off"`.
    Off,
    /// An answer may be so old: `cache = "10m"`.
    For(Duration),
}

impl FromSetting for StepCache {
    const EXPECTED: &'static str = "how old an answer may be, such as \"10m\", or \"off\"";

    fn from_setting(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) if text == "off" => Ok(Self::Off),
            other => Duration::from_setting(other).map(Self::For).map_err(|_| format!("must be {}, not {other}", Self::EXPECTED)),
        }
    }
}

impl FromSetting for Parameter {
    const EXPECTED: &'static str = "a text, a number or a flag";

    fn from_setting(value: &Value) -> Result<Self, String> {
        Ok(match value {
            Value::Boolean(flag) => Self::Flag(*flag),
            Value::Integer(whole) => Self::Whole(*whole),
            Value::Float(real) => Self::Real(*real),
            Value::String(text) => Self::Text(text.clone()),
            other => return Err(format!("must be {}, not {other}", Self::EXPECTED)),
        })
    }
}

impl Pipeline {
    /// Reads a pipeline's file. The error has every mistake that can be seen without knowing the models.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let table = text.parse().map_err(|error: toml::de::Error| {
            Problems(vec![Problem { field: "file".to_owned(), message: error.to_string().trim_end().to_owned() }])
        })?;
        Section::read_all(table, read::pipeline)
    }
}

impl Step {
    /// The models that it may call, with where each is named in the step's table.
    pub fn targets(&self) -> Vec<(String, &Target)> {
        let Work::Call(calls) = &self.work else { return Vec::new() };
        let mut all = calls.choice.targets();
        all.extend(calls.fallback.iter().enumerate().map(|(at, target)| (format!("fallback[{at}]"), target)));
        all
    }
}

impl Choice {
    /// The models that are there to choose from, with where each is named in the step's table.
    pub fn targets(&self) -> Vec<(String, &Target)> {
        match self {
            Self::One(target) => vec![("model".to_owned(), target)],
            Self::Switch(switch) => {
                let cases = switch.cases.iter().map(|(value, target)| (format!("switch.cases.{value}"), target));
                cases.chain(switch.default.iter().map(|target| ("switch.default".to_owned(), target))).collect()
            }
            Self::Ensemble(ensemble) => {
                ensemble.members.iter().enumerate().map(|(at, target)| (format!("ensemble.models[{at}]"), target)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests;
