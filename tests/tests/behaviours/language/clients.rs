//! Other people's clients, as they are, against real models.

use std::{process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};
use torchmesh_tests::{KEY, MeshSandbox, bounded, models::Model, places};

const BOUND: Duration = Duration::from_secs(80);

async fn content(script: &str, mesh: &MeshSandbox) {
    let mut command = Command::new(places::clients().join("bin/python"));
    command.arg(places::repository().join("tests/clients").join(script));
    command.env("GATEWAY", mesh.gateway().to_string()).env("KEY", KEY);
    let output = timeout(BOUND, command.stdin(Stdio::null()).kill_on_drop(true).output()).await.expect("the client hangs").unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("content"), "{out}\n{err}");
}

#[test]
fn the_openai_package_talks_with_the_models() {
    bounded(async {
        let models = [Model::smollm2().headed("chat_template = \"tools.jinja\""), Model::stories()];
        content("openai_language.py", &MeshSandbox::with(models).await).await;
    });
}

#[test]
fn tritonclient_streams_a_story() {
    bounded(async { content("triton_language.py", &MeshSandbox::with([Model::stories()]).await).await });
}
