//! Language models by the Open Inference Protocol and by Triton's generate extension: the same texts as by their own API.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use http::Version;
use serde_json::{Value, json};
use tokio_stream as stream;
use torchmesh_api::{
    inference::{
        InferParameter, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse,
        infer_parameter::ParameterChoice::{self, BoolParam, DoubleParam, Int64Param, StringParam},
    },
    text::v1::GenerationSettings,
};
use torchmesh_tests::{
    MeshSandbox, bounded,
    client::{self, Inference},
    language::{ask, generate, greedy},
    models::Model,
    sse, web,
};

const PROMPT: &str = "Once upon a time";

fn request(model: &str, prompt: &str, parameters: impl IntoIterator<Item = (&'static str, ParameterChoice)>) -> ModelInferRequest {
    let length = u32::try_from(prompt.len()).unwrap().to_le_bytes();
    let element: Bytes = [&length[..], prompt.as_bytes()].concat().into();
    let parameter = |(name, choice): (&str, _)| (name.to_owned(), InferParameter { parameter_choice: Some(choice) });
    let parameters: HashMap<_, _> = parameters.into_iter().map(parameter).collect();
    ModelInferRequest { id: "own-7".to_owned(), parameters, ..client::infer(model, "text_input", "BYTES", &[1], element) }
}

fn text(answer: &ModelInferResponse) -> String {
    assert_eq!(
        (answer.outputs[0].name.as_str(), answer.outputs[0].datatype.as_str(), &answer.outputs[0].shape[..]),
        ("text_output", "BYTES", &[1][..])
    );
    let element = &answer.raw_output_contents[0];
    assert_eq!(u32::from_le_bytes(element[..4].try_into().unwrap()) as usize, element.len() - 4);
    String::from_utf8(element[4..].to_vec()).unwrap()
}

async fn streamed(client: &Inference, requests: Vec<ModelInferRequest>) -> Vec<ModelStreamInferResponse> {
    let mut answers = client.clone().model_stream_infer(stream::iter(requests)).await.unwrap().into_inner();
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        all.push(answer);
    }
    all
}

fn is_last(answer: &ModelInferResponse) -> bool {
    let Some(BoolParam(last)) = answer.parameters["triton_final_response"].parameter_choice else { panic!("{answer:?}") };
    last
}

#[test]
fn the_open_inference_protocol_gives_the_same_text_whole_and_in_pieces() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::stories()]).await;
        let (own, mut client) = (client::generation(mesh.gateway()), mesh.inference());
        let wanted = generate(&own, ask("stories", PROMPT, greedy(40))).await.unwrap().one().text;
        let plain = [("temperature", DoubleParam(0.0)), ("max_tokens", Int64Param(40))];
        let whole = client.model_infer(request("stories", PROMPT, plain.clone())).await.unwrap().into_inner();
        assert_eq!(
            (text(&whole), whole.id.as_str(), whole.model_name.as_str(), whole.model_version.as_str()),
            (wanted.clone(), "own-7", "stories", "1")
        );

        // Two requests on one stream: the first does not ask for an empty last response.
        let last = [("triton_enable_empty_final_response", BoolParam(true))];
        let both = vec![request("stories", PROMPT, plain.clone()), request("stories", PROMPT, plain.clone().into_iter().chain(last))];
        let mut answers = streamed(&client, both).await;
        let end = answers.pop().unwrap().infer_response.unwrap();
        assert!(is_last(&end) && end.raw_output_contents.is_empty() && end.id == "own-7", "{end:?}");
        let pieces: Vec<_> =
            answers.into_iter().map(|answer| answer.infer_response.unwrap_or_else(|| panic!("{}", answer.error_message))).collect();
        assert!(pieces.len() > 20 && pieces.iter().all(|piece| !is_last(piece) && piece.id == "own-7"));
        assert_eq!(pieces.iter().map(text).collect::<String>(), format!("{wanted}{wanted}"));

        // Settings by their names, and what is wrong with them.
        let settings = GenerationSettings { top_k: Some(5), stop: vec![".".to_owned()], repetition_penalty: Some(1.2), ..greedy(40) };
        let settings = GenerationSettings { temperature: Some(0.7), seed: Some(9), ..settings };
        let wanted = generate(&own, ask("stories", PROMPT, settings)).await.unwrap().one().text;
        let parameters = [
            ("temperature", DoubleParam(0.7)),
            ("max_tokens", Int64Param(40)),
            ("top_k", Int64Param(5)),
            ("stop", StringParam(".".to_owned())),
            ("repetition_penalty", StringParam("1.2".to_owned())),
            ("seed", Int64Param(9)),
            ("sequence_id", Int64Param(4)),
        ];
        assert_eq!(text(&client.model_infer(request("stories", PROMPT, parameters)).await.unwrap().into_inner()), wanted);
        for (prompt, parameter, part) in [
            (PROMPT, ("temperature", DoubleParam(3.0)), "temperature: must be"),
            (PROMPT, ("max_tokens", StringParam("many".to_owned())), "parameters[max_tokens]"),
            (PROMPT, ("timeout", StringParam("soon".to_owned())), "parameters[timeout]"),
            ("", ("max_tokens", Int64Param(4)), "text_input"),
        ] {
            let asked = request("stories", prompt, [parameter]);
            let refused = client.model_infer(asked.clone()).await.unwrap_err();
            assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{refused}");
            assert!(refused.message().contains(part), "{refused}");
            // On a stream the next request is answered all the same.
            let answers = streamed(&client, vec![asked, request("stories", PROMPT, [("max_tokens", Int64Param(1))])]).await;
            assert!(answers[0].error_message.contains(part), "{answers:?}");
            assert!(answers.len() >= 2 && answers[1].error_message.is_empty(), "{answers:?}");
        }
    });
}

#[test]
fn a_request_s_own_timeout_ends_what_it_writes() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::endless()]).await;
        let mut client = mesh.inference();
        let parameters = || [("timeout", Int64Param(200_000)), ("ignore_eos", BoolParam(true))];
        let asked = client.model_infer(request("endless", PROMPT, parameters()));
        let late = tokio::time::timeout(Duration::from_secs(10), asked).await.expect("an end").unwrap_err();
        assert_eq!(late.code(), tonic::Code::DeadlineExceeded, "{late}");
        let pieces = streamed(&client, vec![request("endless", PROMPT, parameters())]).await;
        assert!(pieces.len() > 1 && pieces.last().unwrap().error_message.contains("deadline"), "{:?}", pieces.last());
    });
}

#[test]
fn tritons_generate_paths_give_the_same_text() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::stories()]).await;
        let own = client::generation(mesh.gateway());
        let wanted = generate(&own, ask("stories", PROMPT, greedy(32))).await.unwrap().one().text;
        let body = json!({ "text_input": PROMPT, "parameters": { "max_tokens": 32, "temperature": 0 } });
        let answer = web::post(mesh.gateway(), "/v2/models/stories/generate", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        assert_eq!((&answer["text_output"], &answer["model_name"]), (&json!(wanted), &json!("stories")));
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let (pieces, done) =
                sse::post(mesh.gateway(), version, "/v2/models/stories/versions/1/generate_stream", &body).await.rest().await;
            assert!(pieces.len() > 10 && !done, "Triton says no [DONE]");
            assert_eq!(pieces.iter().filter_map(|piece: &Value| piece["text_output"].as_str()).collect::<String>(), wanted);
        }
    });
}
