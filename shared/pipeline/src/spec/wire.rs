//! Where an input comes from.

use std::fmt;

use toml::Value;
use torchmesh_api::tensor::Tensor;
use torchmesh_settings::FromSetting;

use super::constant;

/// What the pipeline's own inputs are taken from, as if it were a step.
pub(super) const INPUT: &str = "input";

/// One place that a tensor comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// `input.NAME`: what the caller sends.
    Input(String),
    /// `STEP.OUTPUT`: what a step gives.
    Step {
        /// The step.
        step: String,
        /// Its output.
        output: String,
    },
    /// A tensor that is written in the file.
    Constant(Tensor),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(name) => write!(f, "{INPUT}.{name}"),
            Self::Step { step, output } => write!(f, "{step}.{output}"),
            Self::Constant(tensor) => write!(f, "a constant {} {:?}", tensor.datatype, tensor.shape),
        }
    }
}

/// Where an input comes from: of several places, the first one that has a tensor. There is at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Wire(pub Vec<Source>);

impl FromSetting for Wire {
    const EXPECTED: &'static str = "\"input.NAME\", \"STEP.OUTPUT\", a constant such as { datatype = \"FP32\", shape = [1], data = [0.5] }, or a list of \
        these, of which the first one that has a tensor counts";

    fn from_setting(value: &Value) -> Result<Self, String> {
        let sources = match value {
            Value::Array(all) if !all.is_empty() => all.iter().map(source).collect::<Result<_, _>>()?,
            one => vec![source(one)?],
        };
        Ok(Self(sources))
    }
}

fn source(value: &Value) -> Result<Source, String> {
    match value {
        Value::String(text) => match text.split_once('.') {
            Some((INPUT, name)) if !name.is_empty() => Ok(Source::Input(name.to_owned())),
            Some((step, output)) if !step.is_empty() && !output.is_empty() => {
                Ok(Source::Step { step: step.to_owned(), output: output.to_owned() })
            }
            _ => Err(format!("is {text:?}; it must be {}", Wire::EXPECTED)),
        },
        Value::Table(table) => constant::read(table).map(Source::Constant),
        other => Err(format!("is {other}; it must be {}", Wire::EXPECTED)),
    }
}
