//! Other people's clients of language models, and our own, as they are: the `openai` package and `meshctl chat`.

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use bytes::Bytes;
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command, time::timeout};
use torchmesh_api::text::v1::{
    ChatRequest, ChatResponse, FinishReason, GenerateRequest, GenerateResponse, LikelyToken, WrittenToken, format::Form,
};
use torchmesh_tests::{
    KEY, MeshSandbox, bounded, places,
    python::{is_content, script},
    writer::{Step, USED, Writer, call, chat, ends, text, used, words},
};

const BOUND: Duration = Duration::from_secs(80);

async fn mesh() -> (MeshSandbox, Writer) {
    let writer = Writer::start(|asked| if asked.method == "Chat" { converse(&asked.as_a()) } else { go_on(&asked.as_a()) }).await;
    (MeshSandbox::builder().worker_at(writer.addr).start().await, writer)
}

fn converse(asked: &ChatRequest) -> Vec<Step> {
    let last = asked.messages.last().unwrap();
    let reason = FinishReason::Stop;
    match (last.role.as_str(), last.content.as_str()) {
        ("tool", said) => vec![words(0, &format!("after {said}")), ends(0, reason), used()],
        (_, "two") => vec![words(1, "second"), words(0, "first"), ends(0, reason), ends(1, reason), used()],
        (_, "weather") => {
            assert_eq!(asked.tools[0].name, "weather");
            let pieces = [call(0, ["c1", "weather", ""]), call(0, ["", "", "{\"city\":"]), call(0, ["", "", "\"Ulm\"}"])];
            pieces.into_iter().chain([ends(0, FinishReason::ToolCalls), used()]).collect()
        }
        (_, "city") => {
            let form = asked.settings.as_ref().and_then(|settings| settings.format.clone()?.form);
            assert!(matches!(form, Some(Form::JsonSchema(schema)) if schema.contains("people")));
            vec![words(0, "{\"name\": \"Ulm\","), words(0, " \"people\": 126000}"), ends(0, reason), used()]
        }
        (_, "full") => vec![Step::Fails(8, "too many wait already")],
        (_, "breaks") => vec![words(0, "half"), Step::Fails(13, "the model broke")],
        _ => {
            let first = ChatResponse { content: "Grü".into(), tokens: vec![token("Grü")], ..Default::default() };
            vec![chat(first), words(0, "ße, "), words(0, "Welt 🌍"), ends(0, reason), used()]
        }
    }
}

fn go_on(asked: &GenerateRequest) -> Vec<Step> {
    let first = GenerateResponse { text: asked.prompt.clone(), tokens: vec![token(&asked.prompt)], ..Default::default() };
    let last = GenerateResponse { text: " goes on".into(), finish_reason: FinishReason::Length.into(), ..Default::default() };
    vec![text(first), text(last), text(GenerateResponse { usage: Some(USED), ..Default::default() })]
}

fn token(said: &str) -> WrittenToken {
    let bytes = Bytes::copy_from_slice(said.as_bytes());
    let likeliest = vec![LikelyToken { id: 1, bytes: bytes.clone(), logprob: -0.5 }];
    WrittenToken { id: 1, bytes, logprob: Some(-0.5), likeliest }
}

#[test]
fn the_openai_package_is_content() {
    bounded(async {
        let (mesh, _writer) = mesh().await;
        is_content(script("openai_chat.py", &mesh)).await;
    });
}

async fn meshctl(mesh: &MeshSandbox, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(places::program("meshctl"));
    command.args(arguments).env("TORCHMESH_GATEWAY_ADDR", mesh.gateway().to_string()).env("TORCHMESH_KEY", KEY);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("meshctl starts");
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    timeout(BOUND, child.wait_with_output()).await.expect("meshctl ends").unwrap()
}

fn told(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn meshctl_chat_writes_the_answer_and_nothing_else_where_nobody_looks() {
    bounded(async {
        let (mesh, writer) = mesh().await;
        let given = ["chat", "writer", "hello", "--system", "Be short.", "--temperature", "0.5", "--max-tokens", "9", "--seed", "3"];
        let output = meshctl(&mesh, &given, "").await;
        assert_eq!(told(&output), "Grüße, Welt 🌍\n");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let asked: ChatRequest = writer.asked()[0].as_a();
        let said: Vec<_> = asked.messages.iter().map(|message| (message.role.as_str(), message.content.as_str())).collect();
        assert_eq!(said, [("system", "Be short."), ("user", "hello")]);
        let settings = asked.settings.unwrap();
        assert_eq!((settings.temperature, settings.max_tokens, settings.seed), (Some(0.5), Some(9), Some(3)));
        for arguments in [&["chat", "writer", "-"][..], &["chat", "writer"]] {
            assert_eq!(told(&meshctl(&mesh, arguments, "hello\n").await), "Grüße, Welt 🌍\n");
            assert_eq!(writer.asked().last().unwrap().as_a::<ChatRequest>().messages[0].content, "hello");
        }
    });
}

#[test]
fn meshctl_chat_gives_scripts_one_value_and_says_what_is_wrong() {
    bounded(async {
        let (mesh, _writer) = mesh().await;
        let answer: Value =
            serde_json::from_str(&told(&meshctl(&mesh, &["chat", "writer", "hello", "--output", "json"], "").await)).unwrap();
        assert_eq!((answer["content"].as_str(), answer["finish_reason"].as_str()), (Some("Grüße, Welt 🌍"), Some("stop")));
        assert_eq!((answer["usage"]["completion_tokens"].as_u64(), answer["model_version"].as_str()), (Some(5), Some("1")));
        for (arguments, code, part) in [
            (&["chat", "nope", "hello"][..], 1, "nope"),
            (&["chat", "writer", "breaks"], 1, "the model broke"),
            (&["chat", "writer", "-"], 64, "no text"),
        ] {
            let output = meshctl(&mesh, arguments, "").await;
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{said}");
            assert!(said.contains(part), "{said}");
        }
    });
}
