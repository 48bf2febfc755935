//! Where the time of one call went: every try of its steps, for a caller who asks.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::json;
use torchmesh_api::inference::{InferParameter, ModelInferRequest, infer_parameter::ParameterChoice};
use torchmesh_pipeline::run::Call;

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

#[derive(Debug)]
struct Try {
    step: String,
    model: String,
    attempt: usize,
    began: Duration,
    took: Duration,
    code: tonic::Code,
}

impl Tries {
    /// Of a call that begins now.
    pub fn new(now: Instant) -> Self {
        Self { began: now, all: Mutex::default() }
    }

    /// Notes one that has ended.
    pub fn note(&self, call: &Call<'_>, began: Instant, now: Instant, code: tonic::Code) {
        let (step, model) = (call.step.to_owned(), call.target.to_string());
        let (began, took) = (began.saturating_duration_since(self.began), now.saturating_duration_since(began));
        self.all.lock().push(Try { step, model, attempt: call.attempt, began, took, code });
    }

    /// All of them, in the order in which they began.
    pub fn parameter(self) -> InferParameter {
        let mut all = self.all.into_inner();
        all.sort_by_key(|one| one.began);
        let one = |one: &Try| {
            json!({ "step": one.step, "model": one.model, "attempt": one.attempt, "began_us": micros(one.began), "took_us": micros(one.took),
                "code": format!("{:?}", one.code) })
        };
        let told = all.iter().map(one).collect::<serde_json::Value>().to_string();
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
        let call =
            |step, attempt| Call { step, target: &target, inputs: &[], parameters: &[], outputs: &[], attempt, deadline: began.into() };
        tries.note(&call("b", 1), at(5), at(7), tonic::Code::Ok);
        tries.note(&call("a", 2), at(1), at(9), tonic::Code::Unavailable);
        let Some(ParameterChoice::StringParam(told)) = tries.parameter().parameter_choice else { panic!("no text") };
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        let a = json!({ "step": "a", "model": "spam@3", "attempt": 2, "began_us": 1000, "took_us": 8000, "code": "Unavailable" });
        assert_eq!((&told[0], &told[1]["step"], &told[1]["took_us"]), (&a, &json!("b"), &json!(2000)));
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
