//! Whether a step runs at all.

use toml::Value;
use torchmesh_api::tensor::Tensor;
use torchmesh_settings::{FromSetting, Section};

use super::Wire;
use crate::element::{Elements, number};

/// A value, and what it must be like.
#[derive(Debug, Clone, PartialEq)]
pub struct When {
    /// `value`: a tensor of one element.
    pub value: Wire,
    /// What it must be.
    pub test: Test,
}

/// What a value must be like.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// `is`: one of these texts, as it reads.
    Is(Vec<String>),
    /// `is_not`: none of these.
    IsNot(Vec<String>),
    /// `at_least`: this number or more.
    AtLeast(f64),
    /// `below`: less than this number.
    Below(f64),
}

/// A text, a number or a flag, as it reads, or a list of these.
struct Words(Vec<String>);

impl FromSetting for Words {
    const EXPECTED: &'static str = "a text, a whole number, a flag, or a list of these";

    fn from_setting(value: &Value) -> Result<Self, String> {
        let one = |value: &Value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Integer(number) => Ok(number.to_string()),
            Value::Boolean(flag) => Ok(flag.to_string()),
            other => Err(format!("must be {}, not {other}", Self::EXPECTED)),
        };
        match value {
            Value::Array(all) => all.iter().map(one).collect::<Result<_, _>>().map(Self),
            value => Ok(Self(vec![one(value)?])),
        }
    }
}

impl When {
    /// Reads the table `when`; `None` means that a mistake was reported.
    pub(super) fn read(s: &mut Section) -> Option<Self> {
        let value = s.required::<Wire>("value");
        let words = |words: Words| words.0;
        let tests = [
            s.optional::<Words>("is").map(words).map(Test::Is),
            s.optional::<Words>("is_not").map(words).map(Test::IsNot),
            s.optional::<f64>("at_least").map(Test::AtLeast),
            s.optional::<f64>("below").map(Test::Below),
        ];
        let mut given = tests.into_iter().flatten();
        let (test, another) = (given.next(), given.next());
        s.check(test.is_some() && another.is_none(), "is", "must be given, or one of is_not, at_least and below in its place");
        Some(Self { value: value?, test: test? })
    }
}

impl Test {
    /// Whether a value is like this. The error says why that cannot be told.
    pub fn holds(&self, value: &Tensor) -> Result<bool, String> {
        let real = || -> Result<f64, String> {
            let number = number(value.datatype, &only(value)?.one(0)).ok_or("the value of when is BYTES, which has no numbers")?;
            Ok(number.real())
        };
        Ok(match self {
            Self::Is(words) => words.contains(&read(value)?),
            Self::IsNot(words) => !words.contains(&read(value)?),
            Self::AtLeast(bound) => real()? >= *bound,
            Self::Below(bound) => real()? < *bound,
        })
    }
}

/// How a tensor of one element reads.
pub(crate) fn read(value: &Tensor) -> Result<String, String> {
    Ok(only(value)?.text(0))
}

fn only(value: &Tensor) -> Result<Elements<'_>, String> {
    let elements = Elements::of(value)?;
    if elements.len() == 1 { Ok(elements) } else { Err(format!("a choice goes by one element, and its value has {}", elements.len())) }
}
