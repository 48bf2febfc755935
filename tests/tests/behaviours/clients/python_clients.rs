//! Other people's clients, as they are: `tritonclient`, `openai`, and `buf curl` by reflection.

use std::{path::Path, time::Duration};

use tokio::process::Command;
use torchmesh_tests::{
    KEY, MeshSandbox,
    models::Model,
    places,
    python::{is_content, run, run_within, script},
};

#[tokio::test]
async fn tritonclient_gets_metadata_config_and_the_references_embeddings() {
    let mesh = MeshSandbox::with([Model::minilm()]).await;
    let descriptors = mesh.folder().join("descriptors.bin");
    std::fs::write(&descriptors, torchmesh_api::FILE_DESCRIPTOR_SET).unwrap();
    let mut triton = script("triton.py", &mesh);
    triton.env("DESCRIPTORS", descriptors);
    is_content(triton).await;
}

#[tokio::test]
async fn tritonclient_gets_the_same_over_rest_by_json_and_in_binary() {
    let mesh = MeshSandbox::with([Model::minilm()]).await;
    is_content(script("triton_http.py", &mesh)).await;
}

#[tokio::test]
async fn the_openai_package_gets_the_same_embeddings() {
    let mesh = MeshSandbox::with([Model::minilm()]).await;
    is_content(script("openai_embeddings.py", &mesh)).await;
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
    let folder = tempfile::tempdir().unwrap();
    let builder = MeshSandbox::builder().model(Model::minilm()).model(Model::stories());
    // Its secrets are all wrong, and are to be refused as such.
    let builder = builder.giving_tokens(folder.path(), "a-secret-of-the-test").set("gateway", "oauth.max_failures", "1000000");
    let mesh = builder.start().await;
    let mut command = Command::new(places::clients().join("bin/st"));
    command.arg("--config-file").arg(places::repository().join("tests/clients/schemathesis.toml"));
    command.args(["run", &format!("http://{}/openapi.json", mesh.gateway()), "--header", &format!("Authorization: Bearer {KEY}")]);
    // Where it keeps what it found goes with the test.
    command.current_dir(mesh.folder());
    // Its 25 seconds, the document's reading and one last answer, on a machine that is busy.
    run_within(command, Duration::from_secs(240)).await;
}
