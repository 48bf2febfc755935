//! What a call asked for, as its event says it.

use http::Method;

use crate::form::Form;

/// The longest text that is kept of a path, in bytes.
const LONGEST: usize = 128;

/// The path of a gRPC call; of another its verb as well, with `{model}` and `{version}` where the path names them.
pub(super) fn shown(form: Form, verb: &Method, path: &str) -> String {
    if form == Form::Grpc {
        return cut(path);
    }
    let mut shown = String::with_capacity(path.len() + 8);
    shown.push_str(verb.as_str());
    shown.push(' ');
    let mut before = "";
    for part in path.split('/').skip(1) {
        shown.push('/');
        shown.push_str(match before {
            "models" | "tasks" | "predictions" if part != "stats" => "{model}",
            "files" | "batches" => "{id}",
            // The second of `/predictions/MODEL/VERSION`.
            "versions" | "{prediction}" => "{version}",
            _ => part,
        });
        before = if before == "predictions" { "{prediction}" } else { part };
    }
    cut(&shown)
}

fn cut(text: &str) -> String {
    let end = (0..=LONGEST.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_without_the_names_in_it() {
        for (path, text) in [
            ("/v1/embeddings", "POST /v1/embeddings"),
            ("/v2/models/minilm/infer", "POST /v2/models/{model}/infer"),
            ("/v2/models/minilm/versions/3/infer", "POST /v2/models/{model}/versions/{version}/infer"),
            ("/v2/models/stats", "POST /v2/models/stats"),
            ("/predictions/minilm/2", "POST /predictions/{model}/{version}"),
            ("/v1/tasks/spam", "POST /v1/tasks/{model}"),
            ("/v1/batches/batch_x/cancel", "POST /v1/batches/{id}/cancel"),
            ("/v1/files", "POST /v1/files"),
            ("/", "POST /"),
        ] {
            assert_eq!(shown(Form::Rest, &Method::POST, path), text);
        }
        let path = "/torchmesh.text.v1.TextService/Embed";
        assert_eq!(shown(Form::Grpc, &Method::POST, path), path);
    }

    #[test]
    fn an_endless_path_is_cut_between_its_characters() {
        let path = format!("/{}", "ä".repeat(200));
        assert_eq!(shown(Form::Grpc, &Method::POST, &path).len(), 127);
    }
}
