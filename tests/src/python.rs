//! Programs of the clients' environment: other people's packages, as they are, and small scripts that call the mesh with them.

use std::{ffi::OsStr, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

use crate::{KEY, MeshSandbox, places};

const BOUND: Duration = Duration::from_secs(120);

/// A script of `tests/clients`, told where the mesh is and the key.
pub fn script(name: &str, mesh: &MeshSandbox) -> Command {
    let mut command = Command::new(places::clients().join("bin/python"));
    command.arg(places::repository().join("tests/clients").join(name));
    command.env("GATEWAY", mesh.gateway().to_string()).env("KEY", KEY);
    command.env("GOLDEN", places::repository().join("tests/golden/minilm.json"));
    command
}

/// Runs a program to its end, and gives what it printed. Panics with that when it fails.
pub async fn run(command: Command) -> String {
    run_within(command, BOUND).await
}

/// The same, for one that takes longer.
pub async fn run_within(mut command: Command, bound: Duration) -> String {
    let child = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let program = OsStr::to_string_lossy(command.as_std().get_program()).into_owned();
    let output = timeout(bound, child).await.expect("the client hangs").expect("the client can be run");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} failed:\n{out}\n{err}");
    out.into_owned()
}

/// Runs a script, which ends by saying that all was as it should be.
pub async fn is_content(script: Command) {
    is_content_within(script, BOUND).await;
}

/// The same, for one that takes longer; gives what it printed.
pub async fn is_content_within(script: Command, bound: Duration) -> String {
    let said = run_within(script, bound).await;
    assert!(said.contains("content"), "{said}");
    said
}
