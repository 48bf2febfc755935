//! Code to copy, for models that there are.

use super::Client;
use crate::{catalogue, visit::Visit};

/// Models that examples name: of the catalogue where it has one of the task, a likely name otherwise.
#[derive(Debug, Clone)]
pub struct Pick {
    /// One that writes.
    pub generate: String,
    /// One that embeds.
    pub embed: String,
    /// One that classifies texts.
    pub classify: String,
}

impl Pick {
    /// Of the models that whoever looks may see, while those who know answer.
    pub async fn of(visit: &Visit) -> Self {
        let models = catalogue::served(visit).await.unwrap_or_default();
        let first = |task: &str, otherwise: &str| {
            let mut of_task = models.iter().filter(|model| model.task == task);
            of_task.find(|model| model.is_ready()).map_or_else(|| otherwise.to_owned(), |model| model.name.clone())
        };
        Self {
            generate: first("generate", "my-chat-model"),
            embed: first("embed", "my-encoder"),
            classify: first("classify", "my-classifier"),
        }
    }
}

/// The front page's.
pub fn curl_chat(gateway: &str, model: &str) -> String {
    Client::Curl.chat(gateway, model)
}

/// Those of a model's page: in every language that there are examples in.
pub fn of_task(task: &str, gateway: &str, model: &str) -> Vec<(&'static str, String)> {
    let all = |code: fn(Client, &str, &str) -> String| Client::ALL.map(|client| (client.name(), code(client, gateway, model))).to_vec();
    match task {
        "generate" => all(Client::chat),
        "embed" => all(Client::embed),
        "tensor" | "" => vec![("curl", tensors(gateway, model))],
        "classify-image" | "detect-objects" => vec![("curl", file(gateway, model, "image/jpeg", "picture.jpg"))],
        "detect-voice" => vec![("curl", file(gateway, model, "audio/wav", "speech.wav"))],
        _ => all(Client::task),
    }
}

fn tensors(gateway: &str, model: &str) -> String {
    format!(
        "# {gateway}/v2/models/{model}\n# takes tensors by the Open Inference Protocol\ncurl -s {gateway}/v2/models/{model} \\\n  -H \"Authorization: Bearer $TORCHMESH_KEY\""
    )
}

fn file(gateway: &str, model: &str, kind: &str, name: &str) -> String {
    format!(
        "curl -s {gateway}/v1/tasks/{model} \\\n  -H \"Authorization: Bearer $TORCHMESH_KEY\" \\\n  -H \"Content-Type: {kind}\" \\\n  --data-binary @{name}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_names_the_mesh_and_the_model_and_never_a_key() {
        for task in ["generate", "embed", "classify", "token-classify", "classify-image", "detect-voice", "tensor", ""] {
            for (_, code) in of_task(task, "https://mesh.example", "m1") {
                assert!(code.contains("https://mesh.example") && code.contains("m1") && code.contains("TORCHMESH_KEY"), "{task}: {code}");
            }
        }
        for client in Client::ALL {
            for code in [
                client.chat("https://mesh.example", "m1"),
                client.embed("https://mesh.example", "m1"),
                client.task("https://mesh.example", "m1"),
            ] {
                assert!(code.contains("mesh.example") && code.contains("m1") && code.contains("TORCHMESH_KEY"), "{client:?}: {code}");
            }
        }
    }
}
