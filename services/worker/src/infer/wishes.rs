//! What a request's parameters ask for: `priority` and `timeout`, as Triton's clients send them.

use std::{collections::HashMap, time::Duration};

use torchmesh_api::{
    error::{ApiError, ErrorKind},
    inference::{InferParameter, ModelInferRequest, infer_parameter::ParameterChoice},
};

use crate::{admission::Priority, models::shown};

const PRIORITY: &str = "priority";
const TIMEOUT: &str = "timeout";

/// How a request wants to be served. None where it leaves that to the call or the model.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Wishes {
    /// `priority`: a level from 1 (high) to 3 (low), or the class's name; 0 is the default.
    pub priority: Option<Priority>,
    /// `timeout`: how long the answer is of use, in microseconds; 0 is no limit.
    pub timeout: Option<Duration>,
}

/// Reads the parameters. What is none of the two is left alone; a value that makes no sense is `InvalidArgument`.
pub fn wishes(request: &ModelInferRequest) -> Result<Wishes, ApiError> {
    if request.parameters.is_empty() {
        return Ok(Wishes::default());
    }
    read(&request.parameters).map_err(|message| ApiError::new(ErrorKind::InvalidArgument, message))
}

fn read(parameters: &HashMap<String, InferParameter>) -> Result<Wishes, String> {
    let given = |name| parameters.get(name).and_then(|parameter: &InferParameter| parameter.parameter_choice.as_ref());
    let priority = match given(PRIORITY) {
        None => None,
        Some(choice) => priority(choice).ok_or_else(|| {
            let (highest, lowest) = (Priority::High.level(), Priority::Low.level());
            format!("parameters[{PRIORITY}] is {}; send {highest} (high) to {lowest} (low), or 0 for the model's default", told(choice))
        })?,
    };
    let timeout = match given(TIMEOUT) {
        None => None,
        Some(choice) => match whole(choice) {
            Some(0) => None,
            Some(micros) => Some(Duration::from_micros(micros)),
            None => return Err(format!("parameters[{TIMEOUT}] is {}; send whole microseconds, or 0 for no limit", told(choice))),
        },
    };
    Ok(Wishes { priority, timeout })
}

/// The outer option: whether it is a priority; the inner one: whether it asks for any.
#[expect(clippy::option_option, reason = "three answers: none of ours, the model's own, and this one")]
fn priority(choice: &ParameterChoice) -> Option<Option<Priority>> {
    match choice {
        ParameterChoice::StringParam(word) => Priority::parse(word.as_bytes()).map(Some),
        choice => match whole(choice)? {
            0 => Some(None),
            level => Priority::of_level(level).map(Some),
        },
    }
}

fn whole(choice: &ParameterChoice) -> Option<u64> {
    match choice {
        ParameterChoice::Int64Param(value) => u64::try_from(*value).ok(),
        ParameterChoice::Uint64Param(value) => Some(*value),
        _ => None,
    }
}

fn told(choice: &ParameterChoice) -> String {
    match choice {
        ParameterChoice::BoolParam(value) => value.to_string(),
        ParameterChoice::Int64Param(value) => value.to_string(),
        ParameterChoice::Uint64Param(value) => value.to_string(),
        ParameterChoice::DoubleParam(value) => value.to_string(),
        ParameterChoice::StringParam(value) => format!("\"{}\"", shown(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, choice: ParameterChoice) -> Result<Wishes, ApiError> {
        let parameters = [(name.to_owned(), InferParameter { parameter_choice: Some(choice) })].into();
        wishes(&ModelInferRequest { parameters, ..Default::default() })
    }

    #[test]
    fn a_priority_is_a_level_or_a_word() {
        use ParameterChoice::{Int64Param, StringParam, Uint64Param};
        let cases = [
            (Uint64Param(1), Some(Priority::High)),
            (Int64Param(2), Some(Priority::Normal)),
            (Uint64Param(3), Some(Priority::Low)),
            (Uint64Param(0), None),
            (StringParam("low".into()), Some(Priority::Low)),
        ];
        for (choice, want) in cases {
            assert_eq!(with("priority", choice.clone()).unwrap().priority, want, "{choice:?}");
        }
    }

    #[test]
    fn a_timeout_is_microseconds() {
        assert_eq!(with("timeout", ParameterChoice::Int64Param(1500)).unwrap().timeout, Some(Duration::from_micros(1500)));
        assert_eq!(with("timeout", ParameterChoice::Uint64Param(0)).unwrap().timeout, None);
        assert_eq!(with("other", ParameterChoice::BoolParam(true)).unwrap(), Wishes::default());
    }

    #[test]
    fn a_value_that_makes_no_sense_is_named_with_what_to_send() {
        let cases = [
            ("priority", ParameterChoice::Uint64Param(4), "parameters[priority] is 4; send 1 (high) to 3 (low)"),
            ("priority", ParameterChoice::StringParam("now".into()), "parameters[priority] is \"now\""),
            ("priority", ParameterChoice::BoolParam(true), "parameters[priority] is true"),
            ("timeout", ParameterChoice::Int64Param(-1), "parameters[timeout] is -1; send whole microseconds"),
            ("timeout", ParameterChoice::DoubleParam(0.5), "parameters[timeout] is 0.5"),
        ];
        for (name, choice, part) in cases {
            let error = with(name, choice).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidArgument);
            assert!(error.message.contains(part), "{error}");
        }
    }
}
