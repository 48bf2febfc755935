//! Other people's clients, as they are: `tritonclient`, `openai`, and `buf curl` by reflection.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};
use torchmesh_tests::{KEY, MeshSandbox, models::Model, places};

const BOUND: Duration = Duration::from_secs(120);

/// Runs a program of the clients' environment to its end; panics with what it printed when it fails.
async fn run(mut command: Command) -> String {
    let child = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(BOUND, child).await.expect("the client hangs").expect("the client can be run");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed:\n{out}\n{err}");
    out.into_owned()
}

fn python(script: &str, mesh: &MeshSandbox) -> Command {
    let mut command = Command::new(places::clients().join("bin/python"));
    command.arg(places::repository().join("tests/clients").join(script));
    command.env("GATEWAY", mesh.gateway().to_string()).env("KEY", KEY);
    command.env("GOLDEN", places::repository().join("tests/golden/minilm.json"));
    command
}

#[tokio::test]
async fn tritonclient_gets_metadata_config_and_the_references_embeddings() {
    let mesh = MeshSandbox::with([Model::minilm()]).await;
    let descriptors = mesh.folder().join("descriptors.bin");
    std::fs::write(&descriptors, torchmesh_api::FILE_DESCRIPTOR_SET).unwrap();
    let mut command = python("triton.py", &mesh);
    command.env("DESCRIPTORS", descriptors);
    assert!(run(command).await.contains("content"));
}

#[tokio::test]
async fn tritonclient_gets_the_same_over_rest_by_json_and_in_binary() {
    let mesh = MeshSandbox::with([Model::minilm()]).await;
    assert!(run(python("triton_http.py", &mesh)).await.contains("content"));
}

#[tokio::test]
async fn the_openai_package_gets_the_same_embeddings() {
    let mesh = MeshSandbox::with([Model::minilm()]).await;
    assert!(run(python("openai_embeddings.py", &mesh)).await.contains("content"));
}

fn buf(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(places::clients().join("bin/buf"));
    // Its cache goes with the test, and no configuration of the user's is read.
    command.arg("curl").args(arguments).env("HOME", folder).env("XDG_CACHE_HOME", folder).current_dir(folder);
    command
}

#[tokio::test]
async fn services_are_listed_and_called_by_reflection_at_every_hop() {
    let mesh = MeshSandbox::with([Model::noop()]).await;
    for instance in mesh.instances() {
        for version in ["grpc-v1", "grpc-v1alpha"] {
            let (server, how) = (format!("http://{}", instance.addr), format!("--reflect-protocol={version}"));
            let common = ["--http2-prior-knowledge", "--protocol", "grpc", "--reflect", &how];
            let listed = run(buf(&[&common[..], &["--list-services", &server]].concat(), mesh.folder())).await;
            for service in ["inference.GRPCInferenceService", "torchmesh.text.v1.TextService", "grpc.health.v1.Health"] {
                assert!(listed.contains(service), "{} by {version} lists: {listed}", instance.name);
            }
            let tells = listed.contains("torchmesh.admin.v1.RouterAdmin");
            assert_eq!(tells, instance.service() == "router", "what operators ask is not for callers: {} lists {listed}", instance.name);
            let key = format!("authorization: Bearer {KEY}");
            let method = format!("{server}/inference.GRPCInferenceService/ModelMetadata");
            let answer = run(buf(&[&common[..], &["-H", &key, "-d", r#"{"name": "noop"}"#, &method]].concat(), mesh.folder())).await;
            assert!(answer.contains("INPUT0"), "{} by {version} answers: {answer}", instance.name);
        }
    }
}

/// What Schemathesis makes of the document: requests that are as it says and requests that are not. No answer may be one that is not written, and none a
/// fault of ours.
#[tokio::test]
async fn schemathesis_finds_no_answer_that_the_document_does_not_have() {
    let mesh = MeshSandbox::with([Model::minilm(), Model::stories()]).await;
    let mut command = Command::new(places::clients().join("bin/st"));
    command.arg("--config-file").arg(places::repository().join("tests/clients/schemathesis.toml"));
    command.args(["run", &format!("http://{}/openapi.json", mesh.gateway()), "--header", &format!("Authorization: Bearer {KEY}")]);
    // Where it keeps what it found goes with the test.
    command.current_dir(mesh.folder());
    run(command).await;
}
