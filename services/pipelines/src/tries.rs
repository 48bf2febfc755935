//! Where the time of one call went: every try of its steps, for a caller who asks.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};
use torchmesh_api::inference::{InferParameter, ModelInferRequest, infer_parameter::ParameterChoice};
use torchmesh_pipeline::spec::Target;

/// The request parameter that asks for it, and the response parameter that has it: a list in JSON.
pub const TRACE_STEPS: &str = "trace_steps";

/// Whether a request asks for it.
pub fn are_wanted(request: &ModelInferRequest) -> bool {
    request.parameters.get(TRACE_STEPS).and_then(|given| given.parameter_choice.as_ref()) == Some(&ParameterChoice::BoolParam(true))
}

/// The tries of a call.
#[derive(Debug)]
pub struct Tries {
    began: Instant,
    all: Mutex<Vec<Try>>,
}

/// What was tried.
#[derive(Debug, Clone, Copy)]
pub enum Work<'a> {
    /// A call of this model, and which one it was, from 1.
    Model(&'a Target, usize),
    /// This transform.
    Transform(&'static str),
}

#[derive(Debug)]
struct Try {
    began: Duration,
    told: Value,
}

impl Tries {
    /// Of a call that begins now.
    pub fn new(now: Instant) -> Self {
        Self { began: now, all: Mutex::default() }
    }

    /// Notes one that began then and has ended now.
    pub fn note(&self, step: &str, work: Work<'_>, began: Instant, code: tonic::Code) {
        self.note_at(step, work, began, Instant::now(), code);
    }

    fn note_at(&self, step: &str, work: Work<'_>, began: Instant, now: Instant, code: tonic::Code) {
        let (took, began) = (now.saturating_duration_since(began), began.saturating_duration_since(self.began));
        let (of, name, attempt) = match work {
            Work::Model(target, attempt) => ("model", target.to_string(), attempt),
            Work::Transform(transform) => ("transform", transform.to_owned(), 1),
        };
        let told = json!({ "step": step, of: name, "attempt": attempt, "began_us": micros(began), "took_us": micros(took), "code": format!("{code:?}") });
        self.all.lock().push(Try { began, told });
    }

    /// All of them, in the order in which they began.
    pub fn parameter(self) -> InferParameter {
        let mut all = self.all.into_inner();
        all.sort_by_key(|one| one.began);
        let told = all.into_iter().map(|one| one.told).collect::<Value>().to_string();
        InferParameter { parameter_choice: Some(ParameterChoice::StringParam(told)) }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_told_in_the_order_in_which_they_began() {
        let began = Instant::now();
        let at = |millis| began + Duration::from_millis(millis);
        let (tries, target) = (Tries::new(began), "spam@3".parse().unwrap());
        tries.note_at("b", Work::Transform("top_k"), at(5), at(7), tonic::Code::Ok);
        tries.note_at("a", Work::Model(&target, 2), at(1), at(9), tonic::Code::Unavailable);
        let Some(ParameterChoice::StringParam(told)) = tries.parameter().parameter_choice else { panic!("no text") };
        let told: Value = serde_json::from_str(&told).unwrap();
        let a = json!({ "step": "a", "model": "spam@3", "attempt": 2, "began_us": 1000, "took_us": 8000, "code": "Unavailable" });
        let b = json!({ "step": "b", "transform": "top_k", "attempt": 1, "began_us": 5000, "took_us": 2000, "code": "Ok" });
        assert_eq!((&told[0], &told[1]), (&a, &b));
    }

    #[test]
    fn they_are_told_to_those_who_ask() {
        let asks = |choice| {
            let parameters = [(TRACE_STEPS.to_owned(), InferParameter { parameter_choice: Some(choice) })].into();
            are_wanted(&ModelInferRequest { parameters, ..Default::default() })
        };
        assert!(asks(ParameterChoice::BoolParam(true)) && !asks(ParameterChoice::BoolParam(false)));
        assert!(!are_wanted(&ModelInferRequest::default()));
    }
}
