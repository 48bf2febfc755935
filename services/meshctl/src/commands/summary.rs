//! What `meshctl up` ends with: where everything is, and a line to paste.

use std::{path::Path, time::Duration};

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::models::{self, Model};
use crate::{
    channel::address_url,
    cli::{ClientArgs, TlsArgs},
    client::Caller,
    error::{FAILED, Failure, Result},
    home::Home,
    mesh::preflight::count_models,
    output::{Colour, Screen},
    run_file::RunFile,
};

/// How long after the mesh is ready its models may take to be listed.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long its pipelines may take to find them.
const PIPELINES_PATIENCE: Duration = Duration::from_secs(3);

/// Shows where everything is; `stop` says how to end it.
pub(super) async fn show(home: &Home, screen: &Screen, stop: &str) -> Result<()> {
    let Some(run) = RunFile::read(home)? else { return Err(Failure::new(FAILED, "the mesh went away while it was being looked at")) };
    let gateway = address_url(run.gateway().unwrap_or_default(), "gateway")?;
    let models = listed(home, &gateway).await;
    let curl = curl(&gateway, &home.shown().join("dev.key"), example(&models));
    let value = json!({
        "gateway": gateway,
        "key_file": home.dev_key(),
        "logs": home.logs(),
        "meshctl": run.meshctl,
        "services": run.services,
        "models": models,
        "curl": curl,
        "chat": chat(&models),
    });
    screen.show(&value, || {
        let text = text(&run, &gateway, &models, home, screen);
        let chat = chat(&models).map(|line| format!("\n  {line}")).unwrap_or_default();
        format!("{text}\n\nTry it:\n\n  {curl}{chat}\n\nStop it: {stop}")
    })
}

fn text(run: &RunFile, gateway: &str, models: &[Model], home: &Home, screen: &Screen) -> String {
    let shown = |name: &str| home.shown().join(name).display().to_string();
    let mut lines = vec![("gateway".to_owned(), format!("{gateway}   HTTP and gRPC"))];
    let others = run.services.iter().filter(|(name, _)| *name != "gateway");
    lines.extend(others.map(|(name, service)| {
        let address = service.addresses.get("main").cloned().unwrap_or_default();
        (name.clone(), if name == "portal" { portal(&address, &shown("accounts/outbox")) } else { address })
    }));
    let loaded: Vec<_> = models.iter().map(|model| format!("{} {} ({})", model.name, model.version, model.state.to_lowercase())).collect();
    let none = || screen.paint(Colour::Yellow, "none yet; `meshctl models` says why");
    lines.push(("models".to_owned(), if loaded.is_empty() { none() } else { loaded.join(", ") }));
    lines.extend([("key".to_owned(), shown("dev.key")), ("logs".to_owned(), shown("logs"))]);
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let list: Vec<_> = lines.iter().map(|(name, value)| format!("  {name:width$}   {value}")).collect();
    let list = list.join("\n");
    format!("\n{}\n\n{list}", screen.paint(Colour::Green, "The mesh is ready."))
}

/// Where browsers go, and where the letter is that whoever signs up there is sent.
fn portal(address: &str, outbox: &str) -> String {
    format!("http://{address}   sign up there; the letter comes to {outbox}")
}

/// The models, as soon as there are as many as the home has and its pipelines have found theirs. What there is, when that takes too long or the mesh does not say.
async fn listed(home: &Home, gateway: &str) -> Vec<Model> {
    let expected = count_models(&home.models());
    let args = ClientArgs {
        gateway: Some(gateway.to_owned()),
        key_file: Some(home.dev_key()),
        timeout: Duration::from_secs(2),
        tls: TlsArgs::default(),
    };
    let began = Instant::now();
    loop {
        let Ok(caller) = Caller::connect(&args, home).await else { return Vec::new() };
        let Ok(models) = models::index(&caller).await else { return Vec::new() };
        let waits = |model: &Model| model.state != "READY" && home.pipelines().join(&model.name).is_dir();
        let found = began.elapsed() >= PIPELINES_PATIENCE || !models.iter().any(waits);
        if (models.len() >= expected && found) || began.elapsed() >= PATIENCE {
            return models;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The model for the example: minilm if it is there.
fn example(models: &[Model]) -> &str {
    let found = models.iter().find(|model| model.name == "minilm").or_else(|| models.first());
    found.map_or("minilm", |model| model.name.as_str())
}

/// A line for the shell that asks for an embedding. The key stays in its file.
fn curl(gateway: &str, key_file: &Path, model: &str) -> String {
    let body = json!({ "model": model, "input": "A man is eating food." });
    let key = shell_word(&key_file.display().to_string());
    format!("curl {gateway}/v1/embeddings -H \"Authorization: Bearer $(cat {key})\" -H 'Content-Type: application/json' -d '{body}'")
}

/// A line for the shell that has a conversation, where there is a model for that.
fn chat(models: &[Model]) -> Option<String> {
    let program = std::env::current_exe().ok()?;
    // As short as it was called, where that is known.
    let shown = std::env::current_dir().ok().and_then(|here| program.strip_prefix(here).ok().map(Path::to_owned)).unwrap_or(program);
    let there = models.iter().any(|model| model.name == "smollm2");
    there.then(|| format!("{} chat smollm2 \"What is the capital of France?\"", shell_word(&shown.display().to_string())))
}

/// A path as the shell takes it inside `"$(…)"`.
fn shell_word(path: &str) -> String {
    let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c));
    if plain { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_shell_reads_the_line_as_it_was_meant() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("it's a key");
        std::fs::write(&key, "tm_dev_x\n").unwrap();
        let line = curl("http://127.0.0.1:8080", &key, "minilm").replacen("curl", "printf '%s\\n'", 1);
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        let words = String::from_utf8(output.stdout).unwrap();
        let words: Vec<_> = words.lines().collect();
        assert_eq!(words[..3], ["http://127.0.0.1:8080/v1/embeddings", "-H", "Authorization: Bearer tm_dev_x"]);
        let body: serde_json::Value = serde_json::from_str(words[6]).unwrap();
        assert_eq!(body["model"], "minilm");
    }
}
