//! What is wrong with a request is said at once, by the field, at every door.

use serde_json::{Value, json};
use tonic::{Code, Status};
use torchmesh_api::text::v1::{
    ChatMessage, ChatRequest, Choices, Format, GenerateRequest, GenerationSettings, Tool, ToolChoice, format::Form, tool_choice::Choice,
};
use torchmesh_tests::{
    MeshSandbox, bounded, client,
    language::{Told, ask, chat, generate, greedy, say},
    models::Model,
    web,
};

fn form(form: Form) -> GenerationSettings {
    GenerationSettings { format: Some(Format { form: Some(form) }), ..greedy(4) }
}

/// Each with how its message begins.
fn settings() -> Vec<(&'static str, GenerationSettings)> {
    let plain = || greedy(4);
    vec![
        ("max_tokens: ", greedy(0)),
        ("temperature: ", GenerationSettings { temperature: Some(3.0), ..plain() }),
        ("temperature: ", GenerationSettings { temperature: Some(f32::NAN), ..plain() }),
        ("top_p: ", GenerationSettings { top_p: Some(0.0), ..plain() }),
        ("min_p: ", GenerationSettings { min_p: Some(-0.1), ..plain() }),
        ("repetition_penalty: ", GenerationSettings { repetition_penalty: Some(0.0), ..plain() }),
        ("frequency_penalty: ", GenerationSettings { frequency_penalty: Some(2.5), ..plain() }),
        ("presence_penalty: ", GenerationSettings { presence_penalty: Some(f32::INFINITY), ..plain() }),
        ("logit_bias: ", GenerationSettings { logit_bias: [(32_000, 1.0)].into(), ..plain() }),
        ("logit_bias: ", GenerationSettings { logit_bias: [(1, 101.0)].into(), ..plain() }),
        ("logprobs: ", GenerationSettings { logprobs: Some(21), ..plain() }),
        ("n: ", GenerationSettings { n: Some(0), ..plain() }),
        ("n: ", GenerationSettings { n: Some(17), ..plain() }),
        ("best_of: ", GenerationSettings { n: Some(3), best_of: Some(2), ..plain() }),
        ("stop: ", GenerationSettings { stop: vec![String::new()], ..plain() }),
        ("stop: ", GenerationSettings { stop: vec!["x".to_owned(); 17], ..plain() }),
        ("stop_tokens: ", GenerationSettings { stop_tokens: vec![u32::MAX], ..plain() }),
        ("format.json_schema: ", form(Form::JsonSchema("{".to_owned()))),
        ("format.json_schema: ", form(Form::JsonSchema("[]".to_owned()))),
        ("format.json_schema: ", form(Form::JsonSchema(json!({ "type": "strong" }).to_string()))),
        ("format.regex: ", form(Form::Regex("(".to_owned()))),
        ("format.grammar: ", form(Form::Grammar("begin: \"x\"".to_owned()))),
        ("format.choices: ", form(Form::Choices(Choices::default()))),
    ]
}

fn prompts() -> Vec<(&'static [&'static str], GenerateRequest)> {
    let tokens = |tokens: Vec<u32>| GenerateRequest { tokens, ..ask("stories", "", greedy(4)) };
    let long = "word ".repeat(300);
    vec![
        (&["prompt: "], ask("stories", "", greedy(4))),
        (&["prompt: "], GenerateRequest { prompt: "both".to_owned(), ..tokens(vec![1]) }),
        (&["prompt: ", "255"], ask("stories", &long, greedy(4))),
        (&["tokens: ", "256", "255"], tokens(vec![1; 256])),
        (&["tokens: ", "32000", "place 1"], tokens(vec![1, 32_000])),
        (&["id has"], GenerateRequest { id: "x".repeat(129), ..tokens(vec![1]) }),
    ]
}

fn refused(what: &str, outcome: Result<Told, Status>, code: Code, parts: &[&str]) {
    let status = outcome.expect_err(what);
    assert_eq!(status.code(), code, "{what}: {status}");
    assert!(status.message().starts_with(parts[0]), "{what}: {:?} does not begin with {:?}", status.message(), parts[0]);
    assert!(parts.iter().all(|part| status.message().contains(part)), "{what}: {:?} lacks one of {parts:?}", status.message());
}

fn tool() -> Tool {
    Tool { name: "weather".to_owned(), ..Default::default() }
}

#[test]
fn every_mistake_is_the_callers_and_is_named() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::stories(), Model::smollm2()]).await;
        let client = client::generation(mesh.gateway());
        for (begin, settings) in settings() {
            refused(
                &format!("{settings:?}"),
                generate(&client, ask("stories", "Tom", settings.clone())).await,
                Code::InvalidArgument,
                &[begin],
            );
        }
        for (parts, request) in prompts() {
            refused(&format!("{request:?}"), generate(&client, request.clone()).await, Code::InvalidArgument, parts);
        }
        let none = chat(&client, say("stories", "Hi", greedy(4))).await;
        refused("a chat without a template", none, Code::Unimplemented, &["messages: ", "chat_template"]);
        let plain = || say("smollm2", "Hi", greedy(4));
        let call = |name: &str| Some(ToolChoice { choice: Some(Choice::Name(name.to_owned())) });
        let long = ChatMessage { role: "user".to_owned(), content: "word ".repeat(9000), ..Default::default() };
        for (parts, request) in [
            (&["messages: "][..], ChatRequest { messages: Vec::new(), ..plain() }),
            (&["messages: ", "8191"], ChatRequest { messages: vec![long], ..plain() }),
            (&["tools: "], ChatRequest { tools: vec![tool()], ..plain() }),
            (&["tools: "], ChatRequest { tools: vec![Tool { name: "no blanks".to_owned(), ..tool() }], ..plain() }),
            (&["tools: "], ChatRequest { tools: vec![Tool { parameters: "[".to_owned(), ..tool() }], ..plain() }),
            (&["tool_choice: "], ChatRequest { tool_choice: call("weather"), ..plain() }),
            (&["tool_choice: "], ChatRequest { tools: vec![tool()], tool_choice: call("other"), ..plain() }),
            (&["template_variables: "], ChatRequest { template_variables: "[]".to_owned(), ..plain() }),
        ] {
            refused(&format!("{:?}", request.tools), chat(&client, request).await, Code::InvalidArgument, parts);
        }
        // Nothing of it stays.
        assert_eq!(generate(&client, ask("stories", "Tom", greedy(3))).await.unwrap().usage.completion_tokens, 3);
        over_openais_door(&mesh).await;
    });
}

async fn over_openais_door(mesh: &MeshSandbox) {
    let with = |model: &str, rest: Value| {
        let mut body = json!({ "model": model, "max_tokens": 4 });
        body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        body
    };
    let text = |rest: Value| ("/v1/completions", with("stories", rest));
    let said = json!([{ "role": "user", "content": "Hi" }]);
    let talk = |model: &str, rest: Value| {
        let mut body = with(model, json!({ "messages": said }));
        body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        ("/v1/chat/completions", body)
    };
    let schema = json!({ "type": "json_schema", "json_schema": { "name": "x", "schema": { "type": "strong" } } });
    let weather = json!([{ "type": "function", "function": { "name": "weather" } }]);
    for ((path, body), status, param) in [
        (text(json!({ "prompt": "" })), 400, Some("prompt")),
        (text(json!({ "prompt": "word ".repeat(300) })), 400, Some("prompt")),
        (text(json!({ "prompt": [1, 99999] })), 400, Some("prompt")),
        (text(json!({ "prompt": "Tom", "temperature": 3 })), 400, Some("temperature")),
        (text(json!({ "prompt": "Tom", "top_p": 0 })), 400, Some("top_p")),
        (text(json!({ "prompt": "Tom", "n": 0 })), 400, Some("n")),
        (text(json!({ "prompt": "Tom", "n": 3, "best_of": 2 })), 400, Some("best_of")),
        (text(json!({ "prompt": "Tom", "logit_bias": { "99999": 1 } })), 400, Some("logit_bias")),
        (text(json!({ "prompt": "Tom", "stop_token_ids": [99999] })), 400, Some("stop_token_ids")),
        (talk("smollm2", json!({ "messages": [] })), 400, Some("messages")),
        (talk("smollm2", json!({ "messages": [{ "role": "user", "content": "word ".repeat(9000) }] })), 400, Some("messages")),
        (talk("smollm2", json!({ "response_format": schema })), 400, Some("response_format.json_schema")),
        (talk("smollm2", json!({ "tools": weather })), 400, Some("tools")),
        (talk("stories", json!({})), 501, None),
        (talk("nobody", json!({})), 404, Some("model")),
    ] {
        for stream in [false, true] {
            let mut body = body.clone();
            body["stream"] = stream.into();
            let answer = web::post(mesh.gateway(), path, &body).await;
            let shown: String = body.to_string().chars().take(200).collect();
            assert_eq!(answer.status, status, "{shown}: {}", answer.text());
            let error = &answer.json()["error"];
            assert_eq!(error["param"].as_str(), param, "{shown}: {error}");
            assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{shown}: {error}");
        }
    }
}
