//! What goes to a language model and how it comes back, field by field, against a worker that says what the test has scripted.

use bytes::Bytes;
use http::{Version, header};
use serde_json::{Value, json};
use torchmesh_api::text::v1::{
    ChatRequest, ChatResponse, FinishReason, GenerateRequest, GenerateResponse, LikelyToken, WrittenToken, format::Form,
    tool_choice::Choice,
};
use torchmesh_tests::{
    bounded, sse, web,
    writer::{Asked, MODEL, Step, USED, asks, call, chat, content, ends, hello, mesh, text, used},
};

const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";

#[test]
fn tools_go_there_and_their_calls_come_back() {
    bounded(async {
        let (mesh, writer) = mesh(|_| {
            let pieces = [
                call(0, ["c1", "weather", ""]),
                call(0, ["", "", "{\"city\":"]),
                call(0, ["", "", "\"Ulm\"}"]),
                call(1, ["c2", "time", "{}"]),
            ];
            pieces.into_iter().chain([ends(0, FinishReason::ToolCalls), used()]).collect()
        })
        .await;
        let parameters = json!({ "type": "object", "properties": { "z": {}, "a": {} } });
        let tool = |name: &str| json!({ "type": "function", "function": { "name": name, "description": "d", "parameters": parameters, "strict": true } });
        let conversation = json!([
            { "role": "developer", "content": [{ "type": "text", "text": "Be" }, { "type": "text", "text": "short." }] },
            { "role": "user", "content": "Weather?", "name": "eva" },
            { "role": "assistant", "content": null, "tool_calls": [{ "id": "c0", "type": "function", "function": { "name": "weather", "arguments": "{}" } }] },
            { "role": "tool", "tool_call_id": "c0", "content": "rain" },
        ]);
        let body = json!({
            "model": MODEL, "messages": conversation, "tools": [tool("weather"), tool("time")], "parallel_tool_calls": false,
            "tool_choice": { "type": "function", "function": { "name": "weather" } }, "chat_template_kwargs": { "enable_thinking": false },
        });
        let answer = web::post(mesh.gateway(), CHAT, &body).await.json();
        let choice = &answer["choices"][0];
        let told = |id: &str, name: &str, arguments: &str| json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } });
        assert_eq!(choice["message"]["tool_calls"], json!([told("c1", "weather", "{\"city\":\"Ulm\"}"), told("c2", "time", "{}")]));
        assert_eq!((&choice["message"]["content"], choice["finish_reason"].as_str()), (&Value::Null, Some("tool_calls")));

        let asked: ChatRequest = writer.asked()[0].as_a();
        let roles: Vec<_> = asked.messages.iter().map(|message| message.role.as_str()).collect();
        assert_eq!(roles, ["system", "user", "assistant", "tool"]);
        assert_eq!((asked.messages[0].content.as_str(), asked.messages[1].name.as_str()), ("Be\nshort.", "eva"));
        assert_eq!((asked.messages[2].tool_calls[0].id.as_str(), asked.messages[3].tool_call_id.as_str()), ("c0", "c0"));
        assert_eq!((asked.tools[0].parameters.clone(), asked.tools[1].strict), (parameters.to_string(), true));
        assert_eq!(asked.tool_choice.unwrap().choice, Some(Choice::Name("weather".into())));
        assert_eq!((asked.parallel_tool_calls, asked.template_variables.as_str()), (Some(false), "{\"enable_thinking\":false}"));

        let mut streamed = body;
        streamed["stream"] = json!(true);
        let (chunks, done) = sse::post(mesh.gateway(), Version::HTTP_11, CHAT, &streamed).await.rest().await;
        assert!(done);
        let deltas: Vec<_> = chunks.iter().map(|chunk| chunk["choices"][0]["delta"].clone()).collect();
        assert_eq!(deltas[0], json!({ "role": "assistant", "content": null }));
        assert_eq!(
            deltas[1],
            json!({ "tool_calls": [{ "index": 0, "id": "c1", "type": "function", "function": { "name": "weather", "arguments": "" } }] })
        );
        assert_eq!(deltas[2], json!({ "tool_calls": [{ "index": 0, "function": { "arguments": "{\"city\":" } }] }));
        assert_eq!(deltas.last().unwrap(), &json!({}));
    });
}

#[test]
fn every_setting_reaches_the_worker() {
    bounded(async {
        let (mesh, writer) = mesh(hello).await;
        let body = asks(&json!({
            "max_tokens": 5, "max_completion_tokens": 9, "temperature": 0.5, "top_k": -1, "top_p": 0.9, "min_p": 0.1, "repetition_penalty": 1.1,
            "frequency_penalty": -1, "presence_penalty": 2, "logit_bias": { "50256": -100 }, "seed": -1, "stop": "END", "stop_token_ids": [7],
            "ignore_eos": true, "n": 2, "logprobs": true, "top_logprobs": 3, "response_format": {
                "type": "json_schema", "json_schema": { "name": "n", "strict": true, "schema": { "type": "object", "properties": { "b": {}, "a": {} } } }
            },
            "user": "u", "metadata": { "a": "b" }, "store": true, "service_tier": "auto", "something_new": [1, { "x": null }],
        }));
        assert_eq!(web::post(mesh.gateway(), CHAT, &body).await.status, 200);
        let told = writer.asked()[0].as_a::<ChatRequest>().settings.unwrap();
        assert_eq!(
            (told.max_tokens, told.temperature, told.top_k, told.top_p, told.min_p),
            (Some(9), Some(0.5), Some(0), Some(0.9), Some(0.1))
        );
        assert_eq!((told.repetition_penalty, told.frequency_penalty, told.presence_penalty), (Some(1.1), Some(-1.0), Some(2.0)));
        assert_eq!((told.logit_bias.get(&50256), told.seed, told.stop), (Some(&-100.0), Some(u64::MAX), vec!["END".to_owned()]));
        assert_eq!((told.stop_tokens, told.ignore_end, told.n, told.logprobs), (vec![7], true, Some(2), Some(3)));
        // As it was sent, whatever order that was.
        let schema = body["response_format"]["json_schema"]["schema"].to_string();
        assert_eq!(told.format.unwrap().form, Some(Form::JsonSchema(schema)));
        for (field, value, form) in [
            ("response_format", json!({ "type": "json_object" }), Form::JsonObject(true)),
            ("guided_json", json!({ "type": "object" }), Form::JsonSchema("{\"type\":\"object\"}".to_owned())),
            ("guided_json", json!("{\"type\": \"object\"}"), Form::JsonSchema("{\"type\": \"object\"}".to_owned())),
            ("guided_regex", json!("[0-9]+"), Form::Regex("[0-9]+".to_owned())),
            ("guided_grammar", json!("start: \"a\""), Form::Grammar("start: \"a\"".to_owned())),
            ("structured_outputs", json!({ "regex": "a" }), Form::Regex("a".to_owned())),
        ] {
            assert_eq!(web::post(mesh.gateway(), CHAT, &asks(&json!({ field: value }))).await.status, 200);
            let told = writer.asked().pop().unwrap().as_a::<ChatRequest>().settings.unwrap();
            assert_eq!(told.format.unwrap().form, Some(form), "{field}");
        }
        let body = asks(&json!({ "guided_choice": ["a", "b"], "response_format": { "type": "text" }, "temperature": null }));
        assert_eq!(web::post(mesh.gateway(), CHAT, &body).await.status, 200);
        let told = writer.asked().pop().unwrap().as_a::<ChatRequest>().settings.unwrap();
        let Some(Form::Choices(choices)) = told.format.unwrap().form else { panic!("no choices came") };
        assert_eq!((choices.texts, told.temperature), (vec!["a".to_owned(), "b".to_owned()], None));
    });
}

fn token(bytes: &[u8], logprob: Option<f32>) -> WrittenToken {
    let likely = LikelyToken { id: 1, bytes: Bytes::copy_from_slice(bytes), logprob: logprob.unwrap_or(f32::NEG_INFINITY) };
    WrittenToken { id: 1, bytes: Bytes::copy_from_slice(bytes), logprob, likeliest: vec![likely] }
}

async fn is_refused(connection: &mut web::Connection, path: &str, body: &Value, param: &str) {
    let answer = connection.post(path, body).await;
    assert_eq!(answer.status, 400, "{body}: {}", answer.text());
    let error = &answer.json()["error"];
    assert_eq!(error["param"], param, "{body}: {error}");
    assert!(error["message"].as_str().unwrap().starts_with(&format!("{param}: ")), "{error}");
}

#[test]
fn a_wrong_message_or_tool_is_named() {
    bounded(async {
        let (mesh, writer) = mesh(hello).await;
        let mut connection = web::Connection::http1(mesh.gateway()).await.unwrap();
        let image = json!([{ "type": "text", "text": "a" }, { "type": "image_url", "image_url": { "url": "data:" } }]);
        let message = |message: Value| json!({ "messages": [{ "role": "user", "content": "a" }, message] });
        let tool = |function: Value| json!({ "tools": [{ "type": "function", "function": function }] });
        for (rest, param) in [
            (json!({ "messages": [] }), "messages"),
            (json!({ "messages": "Hi" }), "messages"),
            (message(json!({ "role": "user", "content": image })), "messages[1].content[1]"),
            (message(json!({ "role": "user", "content": 7 })), "messages[1].content"),
            (message(json!({ "role": "user", "content": [{ "text": "a" }] })), "messages[1].content[0]"),
            (message(json!({ "role": "user" })), "messages[1].content"),
            (message(json!({ "content": "a" })), "messages[1]"),
            (message(json!({ "role": "tool", "content": "a" })), "messages[1].tool_call_id"),
            (json!({ "model": 7 }), "model"),
            (json!({ "model": null }), "model"),
            (tool(json!({ "name": "no spaces" })), "tools[0].function.name"),
            (tool(json!({ "name": "a", "parameters": [] })), "tools[0].function.parameters"),
            (json!({ "tools": [{ "type": "web_search" }] }), "tools[0].type"),
            (json!({ "tool_choice": "required" }), "tool_choice"),
            (json!({ "tool_choice": "perhaps" }), "tool_choice"),
            (json!({ "tool_choice": { "type": "function", "function": { "name": "a" } } }), "tool_choice"),
            (json!({ "chat_template_kwargs": "x" }), "chat_template_kwargs"),
        ] {
            is_refused(&mut connection, CHAT, &asks(&rest), param).await;
        }
        for (body, part) in [("{", "cannot be read"), ("[]", "an object"), ("{} x", "cannot be read"), ("", "cannot be read")] {
            let answer = connection.send(web::request(http::Method::POST, CHAT, body)).await.unwrap();
            assert_eq!(answer.status, 400, "{body:?}");
            assert!(answer.json()["error"]["message"].as_str().unwrap().contains(part), "{body:?}: {}", answer.text());
        }
        assert!(writer.asked().is_empty(), "nothing of it was passed on");
    });
}

#[test]
fn a_wrong_setting_is_named() {
    bounded(async {
        let (mesh, writer) = mesh(hello).await;
        let mut connection = web::Connection::http1(mesh.gateway()).await.unwrap();
        for (rest, param) in [
            (json!({ "temperature": 2.5 }), "temperature"),
            (json!({ "temperature": "hot" }), "temperature"),
            (json!({ "top_p": 0 }), "top_p"),
            (json!({ "top_k": -2 }), "top_k"),
            (json!({ "min_p": 1.5 }), "min_p"),
            (json!({ "repetition_penalty": 0 }), "repetition_penalty"),
            (json!({ "frequency_penalty": 3 }), "frequency_penalty"),
            (json!({ "presence_penalty": -3 }), "presence_penalty"),
            (json!({ "n": 0 }), "n"),
            (json!({ "n": 17 }), "n"),
            (json!({ "max_tokens": 0 }), "max_tokens"),
            (json!({ "max_tokens": -1 }), "max_tokens"),
            (json!({ "max_completion_tokens": 1.5 }), "max_completion_tokens"),
            (json!({ "stop": vec!["a"; 17] }), "stop"),
            (json!({ "stop": ["a", ""] }), "stop"),
            (json!({ "stop": ["a", 7] }), "stop[1]"),
            (json!({ "stop_token_ids": [-1] }), "stop_token_ids[0]"),
            (json!({ "logit_bias": { "x": 1 } }), "logit_bias"),
            (json!({ "logit_bias": { "1": 101 } }), "logit_bias"),
            (json!({ "seed": 0.5 }), "seed"),
            (json!({ "stream": "yes" }), "stream"),
            (json!({ "stream_options": { "include_usage": 1 } }), "stream_options.include_usage"),
            (json!({ "logprobs": 3 }), "logprobs"),
            (json!({ "top_logprobs": 3 }), "top_logprobs"),
            (json!({ "logprobs": true, "top_logprobs": 21 }), "top_logprobs"),
            (json!({ "response_format": { "type": "xml" } }), "response_format.type"),
            (json!({ "response_format": { "type": "json_schema" } }), "response_format.json_schema"),
            (json!({ "response_format": { "type": "json_schema", "json_schema": { "schema": 7 } } }), "response_format.json_schema.schema"),
            (json!({ "guided_regex": "a", "guided_json": {} }), "guided_regex"),
            (json!({ "guided_choice": "a" }), "guided_choice"),
        ] {
            is_refused(&mut connection, CHAT, &asks(&rest), param).await;
        }
        assert!(writer.asked().is_empty(), "nothing of it was passed on");
    });
}

#[test]
fn a_wrong_prompt_is_named() {
    bounded(async {
        let (mesh, writer) = mesh(hello).await;
        let mut connection = web::Connection::http1(mesh.gateway()).await.unwrap();
        for (mut body, param) in [
            (json!({}), "prompt"),
            (json!({ "prompt": "" }), "prompt"),
            (json!({ "prompt": [] }), "prompt"),
            (json!({ "prompt": ["a", ""] }), "prompt[1]"),
            (json!({ "prompt": ["a", 7] }), "prompt"),
            (json!({ "prompt": [[1], [-1]] }), "prompt[1][0]"),
            (json!({ "prompt": { "a": 1 } }), "prompt"),
            (json!({ "prompt": "a", "suffix": "b" }), "suffix"),
            (json!({ "prompt": "a", "n": 3, "best_of": 2 }), "best_of"),
            (json!({ "prompt": "a", "logprobs": true }), "logprobs"),
            (json!({ "prompt": "a", "echo": 1 }), "echo"),
        ] {
            body["model"] = json!(MODEL);
            is_refused(&mut connection, COMPLETIONS, &body, param).await;
        }
        assert!(writer.asked().is_empty(), "nothing of it was passed on");
    });
}

#[test]
fn a_character_that_is_spread_over_tokens_is_whole_and_its_tokens_are_told() {
    bounded(async {
        let [first, second] = ["ü".as_bytes()[..1].to_vec(), "ü".as_bytes()[1..].to_vec()];
        let (mesh, _writer) = mesh(move |_| {
            let half = chat(ChatResponse { tokens: vec![token(&first, Some(-0.5))], ..Default::default() });
            let whole =
                chat(ChatResponse { content: "ü".into(), tokens: vec![token(&second, Some(f32::NEG_INFINITY))], ..Default::default() });
            vec![half, whole, ends(0, FinishReason::Stop), used()]
        })
        .await;
        let told = |bytes: &[u8], logprob: f64| {
            let token = json!("\u{fffd}");
            json!({ "token": token, "bytes": bytes, "logprob": logprob, "top_logprobs": [{ "token": token, "bytes": bytes, "logprob": logprob }] })
        };
        let want = json!([told(&[0xc3], -0.5), told(&[0xbc], -9999.0)]);
        let body = web::post(mesh.gateway(), CHAT, &asks(&json!({ "logprobs": true }))).await.json();
        assert_eq!(body["choices"][0]["logprobs"], json!({ "content": want, "refusal": null }));
        let (chunks, _) =
            sse::post(mesh.gateway(), Version::HTTP_11, CHAT, &asks(&json!({ "logprobs": true, "stream": true }))).await.rest().await;
        let streamed: Vec<_> = chunks.iter().filter_map(|chunk| chunk["choices"][0]["logprobs"]["content"].as_array()).flatten().collect();
        assert_eq!(json!(streamed), want);
        assert_eq!(content(&chunks, 0), "ü");
        let plain = web::post(mesh.gateway(), CHAT, &asks(&json!({}))).await.json();
        assert_eq!(plain["choices"][0]["logprobs"], Value::Null, "nobody asked for them");
    });
}

/// Says each prompt back, twice as many times as there are answers.
fn echo(asked: &Asked) -> Vec<Step> {
    let asked: GenerateRequest = asked.as_a();
    let prompt = if asked.prompt.is_empty() { format!("{:?}", asked.tokens) } else { asked.prompt };
    let answers = 0..asked.settings.as_ref().and_then(|settings| settings.n).unwrap_or(1);
    let piece = |index: u32, words: String, finish: FinishReason| {
        let tokens = vec![token(words.as_bytes(), (!words.is_empty()).then_some(-1.0))];
        text(GenerateResponse { index, text: words, tokens, finish_reason: finish.into(), ..Default::default() })
    };
    let mut steps: Vec<_> = answers.clone().map(|index| piece(index, prompt.clone(), FinishReason::Unspecified)).collect();
    steps.extend(answers.map(|index| piece(index, format!("-{index}"), FinishReason::Length)));
    steps.push(text(GenerateResponse { usage: Some(USED), ..Default::default() }));
    steps
}

#[test]
fn each_prompt_has_its_choices_in_order() {
    bounded(async {
        let (mesh, writer) = mesh(echo).await;
        for (prompt, n, want) in [
            (json!("a"), 1, &["a-0"][..]),
            (json!(["a", "b"]), 2, &["a-0", "a-1", "b-0", "b-1"]),
            (json!([1, 2]), 1, &["[1, 2]-0"]),
            (json!([[1], [2, 3]]), 1, &["[1]-0", "[2, 3]-0"]),
            (json!((0..40).map(|at| at.to_string()).collect::<Vec<_>>()), 1, &[]),
        ] {
            let mut body = json!({ "model": MODEL, "prompt": prompt, "n": n, "echo": true, "best_of": n });
            let answer = web::post(mesh.gateway(), COMPLETIONS, &body).await.json();
            let choices = answer["choices"].as_array().unwrap();
            assert_eq!((answer["object"].as_str(), answer["model"].as_str()), (Some("text_completion"), Some(MODEL)));
            let texts: Vec<_> = choices.iter().map(|choice| choice["text"].as_str().unwrap()).collect();
            assert!(choices.iter().enumerate().all(|(at, choice)| choice["index"] == at && choice["finish_reason"] == "length"));
            assert!(want.is_empty() || texts == want, "{texts:?}");
            let prompts = prompt.as_array().filter(|_| !prompt[0].is_number()).map_or(1, Vec::len);
            assert_eq!((choices.len(), answer["usage"]["total_tokens"].as_u64()), (prompts * n, Some(12 * prompts as u64)));
            body["stream"] = json!(true);
            body["stream_options"] = json!({ "include_usage": true });
            let (mut chunks, done) = sse::post(mesh.gateway(), Version::HTTP_2, COMPLETIONS, &body).await.rest().await;
            assert!(done);
            assert_eq!(chunks.pop().unwrap()["usage"], answer["usage"]);
            for (at, text) in texts.iter().enumerate() {
                let pieces = chunks.iter().map(|chunk| &chunk["choices"][0]).filter(|choice| choice["index"] == at);
                assert_eq!(&pieces.filter_map(|choice| choice["text"].as_str()).collect::<String>(), text);
            }
        }
        let asked: GenerateRequest = writer.asked()[0].as_a();
        assert_eq!((asked.echo, asked.settings.unwrap().best_of), (true, Some(1)));
    });
}

#[test]
fn the_logarithms_of_a_text_stand_side_by_side() {
    bounded(async {
        let (mesh, writer) = mesh(|_| {
            let tokens = vec![token(b"", None), token("ü".as_bytes(), Some(-0.25)), token(b"b", Some(-1.0))];
            let first = text(GenerateResponse { text: "üb".into(), tokens, ..Default::default() });
            let last = GenerateResponse {
                text: "c".into(),
                tokens: vec![token(b"c", Some(-2.0))],
                finish_reason: FinishReason::Stop.into(),
                ..Default::default()
            };
            vec![first, text(last), text(GenerateResponse { usage: Some(USED), ..Default::default() })]
        })
        .await;
        let want = json!({
            "tokens": ["", "ü", "b", "c"], "token_logprobs": [null, -0.25, -1.0, -2.0], "text_offset": [0, 0, 1, 2],
            "top_logprobs": [null, { "ü": -0.25 }, { "b": -1.0 }, { "c": -2.0 }],
        });
        let mut body = json!({ "model": MODEL, "prompt": "x", "logprobs": 1 });
        assert_eq!(web::post(mesh.gateway(), COMPLETIONS, &body).await.json()["choices"][0]["logprobs"], want);
        assert_eq!(writer.asked()[0].as_a::<GenerateRequest>().settings.unwrap().logprobs, Some(1));
        body["stream"] = json!(true);
        let (chunks, _) = sse::post(mesh.gateway(), Version::HTTP_11, COMPLETIONS, &body).await.rest().await;
        let offsets: Vec<_> = chunks.iter().flat_map(|chunk| chunk["choices"][0]["logprobs"]["text_offset"].as_array().unwrap()).collect();
        assert_eq!(json!(offsets), want["text_offset"]);
    });
}

#[test]
fn tritons_generate_gives_a_text_for_a_text() {
    bounded(async {
        let (mesh, writer) = mesh(echo).await;
        let mut connection = web::Connection::http1(mesh.gateway()).await.unwrap();
        for (path, body) in [
            (
                "/v2/models/writer/generate",
                json!({ "text_input": "Hi", "parameters": { "max_tokens": 9, "temperature": 0, "stream": false } }),
            ),
            ("/v2/models/writer/versions/1/generate", json!({ "text_input": "Hi", "max_tokens": 9, "temperature": 0 })),
        ] {
            let answer = connection.post(path, &body).await;
            let want = json!({ "model_name": MODEL, "model_version": "1", "text_output": "Hi-0" });
            assert_eq!((answer.status, answer.json()), (200, want));
            let asked: GenerateRequest = writer.asked().pop().unwrap().as_a();
            let settings = asked.settings.unwrap();
            assert_eq!((settings.max_tokens, settings.temperature), (Some(9), Some(0.0)));
            assert_eq!(asked.model_version, if path.contains("versions") { "1" } else { "" });
        }
        // Its clients say nothing of what their body is.
        let mut bare = web::request(http::Method::POST, "/v2/models/writer/generate", json!({ "text_input": "Hi" }).to_string());
        bare.headers_mut().remove(header::CONTENT_TYPE);
        assert_eq!(connection.send(bare).await.unwrap().json()["text_output"], "Hi-0");
        for path in ["/v2/models/writer/generate_stream", "/v2/models/writer/versions/1/generate_stream"] {
            let events = sse::post(mesh.gateway(), Version::HTTP_11, path, &json!({ "text_input": "Hi" })).await;
            assert_eq!(events.headers[header::CONTENT_TYPE], "text/event-stream");
            let (pieces, done) = events.rest().await;
            let texts: Vec<_> = pieces.iter().map(|piece| piece["text_output"].as_str().unwrap()).collect();
            assert_eq!((texts, done), (vec!["Hi", "-0"], false));
        }
        for (body, part) in [
            (json!({}), "text_input"),
            (json!({ "text_input": 7 }), "text_input"),
            (json!({ "text_input": "a", "parameters": { "temperature": 3 } }), "temperature"),
            (json!({ "text_input": "a", "parameters": { "max_tokens": "x" } }), "parameters.max_tokens"),
            (json!({ "text_input": "a", "n": 2 }), "n: "),
        ] {
            let answer = connection.post("/v2/models/writer/generate", &body).await;
            assert_eq!(answer.status, 400);
            assert!(answer.json()["error"].as_str().unwrap().contains(part), "{}", answer.text());
        }
    });
}
