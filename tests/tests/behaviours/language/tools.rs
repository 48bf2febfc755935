//! Calls of tools, whole and in pieces, with a template that shows them.

use serde_json::{Value, json};
use torchmesh_api::text::v1::{
    ChatMessage, ChatRequest, FinishReason, Format, GenerationSettings, Tool, ToolCall, ToolChoice, format::Form, tool_choice::Choice,
};
use torchmesh_tests::{
    bounded, client,
    language::{chat, greedy, say, seeded, worker},
    models::Model,
    schemas::fits,
};

fn schema() -> Value {
    let unit = json!({ "enum": ["celsius", "fahrenheit"] });
    let city = json!({ "type": "string", "maxLength": 20 });
    json!({ "type": "object", "properties": { "city": city, "unit": unit }, "required": ["city", "unit"], "additionalProperties": false })
}

fn tools() -> Vec<Tool> {
    let tool = |name: &str| Tool {
        name: name.to_owned(),
        description: format!("The {name} of a city."),
        parameters: schema().to_string(),
        strict: true,
    };
    vec![tool("weather"), tool("population")]
}

fn asking(choice: Choice, settings: GenerationSettings) -> ChatRequest {
    let tool_choice = Some(ToolChoice { choice: Some(choice) });
    ChatRequest { tools: tools(), tool_choice, ..say("smollm2", "What is the weather like in Ulm?", settings) }
}

#[test]
fn a_call_that_breaks_off_in_the_middle_goes_on_as_a_call() {
    bounded(async {
        let mesh = worker([Model::smollm2().headed("chat_template = \"tools.jinja\"")]).await;
        let mut client = client::generation(mesh.workers[0].addr);
        let asked = |written: &[u32]| {
            let settings = GenerationSettings { written: written.to_vec(), ..seeded(1, 160) };
            ChatRequest { parallel_tool_calls: Some(false), ..asking(Choice::Required(true), settings) }
        };
        let whole = chat(&client, asked(&[])).await.unwrap().one();
        let written = whole.tokens.len() * 2 / 3;
        let mut rest = client.chat(asked(&whole.ids()[..written])).await.unwrap().into_inner();
        let (mut arguments, mut reason) = (String::new(), FinishReason::Unspecified);
        while let Some(piece) = rest.message().await.unwrap() {
            assert_eq!(piece.content.trim(), "", "half a call is no text");
            for call in &piece.tool_calls {
                assert_eq!((call.index, call.id.as_str(), call.name.as_str()), (0, "", ""), "it was told whose arguments these are");
                arguments.push_str(&call.arguments);
            }
            if piece.finish_reason() != FinishReason::Unspecified {
                reason = piece.finish_reason();
            }
        }
        let [call] = &whole.calls[..] else { panic!("{:?}", whole.calls) };
        assert!(!arguments.is_empty() && call.arguments.ends_with(&arguments), "{arguments:?} of {call:?}");
        assert!(arguments.len() < call.arguments.len(), "some of it was told before: {call:?}");
        assert_eq!(reason, FinishReason::ToolCalls);
    });
}

#[test]
fn a_tool_that_must_be_called_is_called_as_its_schema_says() {
    bounded(async {
        let mesh = worker([Model::smollm2().headed("chat_template = \"tools.jinja\"")]).await;
        let client = client::generation(mesh.workers[0].addr);
        for (choice, seed) in [(Choice::Required(true), 1), (Choice::Required(true), 2), (Choice::Name("population".to_owned()), 3)] {
            let wanted =
                if let Choice::Name(name) = &choice { vec![name.clone()] } else { tools().into_iter().map(|tool| tool.name).collect() };
            let request = ChatRequest { parallel_tool_calls: Some(false), ..asking(choice, seeded(seed, 160)) };
            let told = chat(&client, request).await.unwrap();
            assert!(told.pieces > 2, "a call comes in pieces");
            let answer = told.one();
            assert_eq!((answer.reason, answer.text.trim()), (FinishReason::ToolCalls, ""), "{answer:?}");
            let [call] = &answer.calls[..] else { panic!("{:?}", answer.calls) };
            assert!(wanted.contains(&call.name), "{call:?}");
            let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_else(|error| panic!("{call:?}: {error}"));
            assert!(fits(&arguments, &schema()), "{call:?}");
        }

        // The call goes back with what the tool says, and tools that are not to be called are not.
        let mut request = asking(Choice::None(true), greedy(12));
        let called = ToolCall {
            id: "c1".to_owned(),
            name: "weather".to_owned(),
            arguments: json!({ "city": "Ulm", "unit": "celsius" }).to_string(),
        };
        let assistant = ChatMessage { role: "assistant".to_owned(), tool_calls: vec![called], ..Default::default() };
        let answered =
            ChatMessage { role: "tool".to_owned(), tool_call_id: "c1".to_owned(), content: "21 degrees".to_owned(), ..Default::default() };
        request.messages.extend([assistant, answered]);
        let answer = chat(&client, request).await.unwrap().one();
        assert!(answer.calls.is_empty() && !answer.text.is_empty(), "{answer:?}");

        // A form that the caller asks for is what the answer is held to.
        let form = Form::JsonSchema(schema().to_string());
        let settings = GenerationSettings { format: Some(Format { form: Some(form) }), ..seeded(5, 120) };
        let answer = chat(&client, say("smollm2", "Ulm, in celsius, as JSON.", settings)).await.unwrap().one();
        assert_eq!(answer.reason, FinishReason::Stop, "{answer:?}");
        assert!(fits(&serde_json::from_str(&answer.text).unwrap(), &schema()), "{answer:?}");

        // What a tool takes is what is wrong, and not a form that nobody asked for.
        let mut request = asking(Choice::Required(true), greedy(4));
        request.tools[0].parameters = json!({ "type": "object", "properties": { "city": { "$ref": "#/nowhere" } } }).to_string();
        let refused = chat(&client, request).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{refused}");
        assert!(refused.message().starts_with("tools: "), "{refused}");
    });
}
