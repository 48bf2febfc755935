//! `meshctl pipeline trace`: one call, and where its time went, step by step.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use torchmesh_api::inference::{
    InferParameter, ModelInferResponse, grpc_inference_service_client::GrpcInferenceServiceClient, infer_parameter::ParameterChoice,
};

use super::run::question;
use crate::{
    cli::TraceArgs,
    client::{Caller, MAX_ANSWER},
    error::{FAILED, Failure, Result},
    home::Home,
    output::{Screen, table},
};

/// The parameter that asks for the steps, and has them.
const TRACE_STEPS: &str = "trace_steps";
/// Characters of a bar that is as long as the call.
const WIDTH: u64 = 40;

/// What a call came to.
#[derive(Debug, Serialize)]
struct Traced {
    /// By which the call is found in logs and traces.
    request_id: String,
    /// As its caller saw it.
    took_us: u64,
    tries: Vec<Try>,
}

/// One try of a step.
#[derive(Debug, Serialize, Deserialize)]
struct Try {
    step: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// What was done instead of a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transform: Option<String>,
    attempt: u64,
    began_us: u64,
    took_us: u64,
    code: String,
}

/// Calls, and shows what it is told.
pub(super) async fn trace(args: &TraceArgs, home: &Home, screen: &Screen) -> Result<()> {
    let caller = Caller::connect(&args.call.client, home).await?;
    let mut request = question(&caller, &args.call).await?;
    request.parameters.insert(TRACE_STEPS.to_owned(), InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(true)) });
    let mut client = GrpcInferenceServiceClient::new(caller.channel.clone()).max_decoding_message_size(MAX_ANSWER);
    let began = Instant::now();
    let answer = client.model_infer(caller.request(request)).await?;
    let took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let request_id = answer.metadata().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let traced = Traced { request_id, took_us, tries: tries(answer.get_ref(), &args.call.name)? };
    screen.show(&traced, || text(&traced))
}

fn tries(answer: &ModelInferResponse, name: &str) -> Result<Vec<Try>> {
    let told = answer.parameters.get(TRACE_STEPS).and_then(|told| told.parameter_choice.as_ref());
    let Some(ParameterChoice::StringParam(told)) = told else {
        let help = "only pipelines have steps, and a service of pipelines tells them where its setting tell_steps is true";
        return Err(Failure::new(FAILED, format!("{name} has answered, and does not say what its steps took")).help(help));
    };
    serde_json::from_str(told).map_err(|error| Failure::new(FAILED, format!("what the steps took cannot be read: {error}")))
}

fn text(traced: &Traced) -> String {
    let millis = |micros: u64| format!("{:.1}", micros as f64 / 1000.0);
    let row = |one: &Try| {
        let what = if one.code == "Ok" { String::new() } else { format!(" {}", one.code) };
        let bar = bar(one.began_us, one.took_us, traced.took_us) + &what;
        let work = one.model.clone().or_else(|| Some(format!("({})", one.transform.as_ref()?)));
        [one.step.clone(), work.unwrap_or_default(), one.attempt.to_string(), millis(one.began_us), millis(one.took_us), bar]
    };
    let rows = table(["step", "model", "try", "began ms", "took ms", ""], traced.tries.iter().map(row));
    format!("request {}, {} ms as its caller saw it\n\n{rows}", traced.request_id, millis(traced.took_us))
}

/// When it began and how long it took, on a line as long as the whole.
fn bar(began: u64, took: u64, whole: u64) -> String {
    let scaled = |micros: u64| micros.saturating_mul(WIDTH) / whole.max(1);
    let before = scaled(began).min(WIDTH - 1);
    let length = (scaled(began.saturating_add(took)).min(WIDTH)).saturating_sub(before).max(1);
    let [before, length] = [before, length].map(|count| usize::try_from(count).unwrap_or(0));
    format!("{}{}", "·".repeat(before), "█".repeat(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_where_and_as_long_as_its_step() {
        assert_eq!(bar(0, 1000, 1000), "█".repeat(40));
        assert_eq!(bar(500, 250, 1000), "·".repeat(20) + &"█".repeat(10));
        assert_eq!(bar(1, 0, 1000), "█", "what took no time is seen all the same");
        assert_eq!(bar(2000, 9, 1000), "·".repeat(39) + "█", "nor is anything outside of it");
    }

    #[test]
    fn a_failed_try_is_told_with_its_code_and_who_does_not_tell_is_named() {
        let told = r#"[{"step":"a","model":"spam","attempt":1,"began_us":0,"took_us":1500,"code":"Unavailable"},
            {"step":"b","transform":"top_k","attempt":1,"began_us":1500,"took_us":2,"code":"Ok"}]"#;
        let parameter = InferParameter { parameter_choice: Some(ParameterChoice::StringParam(told.to_owned())) };
        let answer = ModelInferResponse { parameters: [(TRACE_STEPS.to_owned(), parameter)].into(), ..Default::default() };
        let traced = Traced { request_id: "4bf9".to_owned(), took_us: 2000, tries: tries(&answer, "judge").unwrap() };
        let shown = text(&traced);
        assert!(shown.starts_with("request 4bf9, 2.0 ms as its caller saw it\n\nSTEP"), "{shown}");
        assert!(shown.contains(&format!("{} Unavailable\n", "█".repeat(30))) && shown.contains("b     (top_k)"), "{shown}");
        assert!(tries(&ModelInferResponse::default(), "judge").unwrap_err().help.unwrap().contains("tell_steps"));
    }
}
