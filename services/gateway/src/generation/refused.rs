//! What a caller is told whose request cannot be answered, and which of its fields is the reason.

use torchmesh_api::error::{ApiError, ErrorKind};

/// An error, and the field that is wrong, where one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The message names the field too.
    pub(crate) error: ApiError,
    /// Where it is in the body, for example `messages[0].content[1]`.
    pub(crate) param: Option<String>,
}

impl Refused {
    /// A field that cannot be taken: `what` says what to send.
    pub(crate) fn field(param: impl Into<String>, what: impl std::fmt::Display) -> Self {
        let param = param.into();
        Self { error: ApiError::new(ErrorKind::InvalidArgument, format!("{param}: {what}")), param: Some(param) }
    }

    /// A body that cannot be read at all.
    pub(crate) fn body(what: impl Into<String>) -> Self {
        Self { error: ApiError::new(ErrorKind::InvalidArgument, what), param: None }
    }
}

/// Names of the mesh's fields, and of the callers' where they are others.
const FIELDS: [(&str, &str); 25] = [
    ("model", "model"),
    ("messages", "messages"),
    ("prompt", "prompt"),
    ("tokens", "prompt"),
    ("tools", "tools"),
    ("tool_choice", "tool_choice"),
    ("parallel_tool_calls", "parallel_tool_calls"),
    ("template_variables", "chat_template_kwargs"),
    ("max_tokens", "max_tokens"),
    ("temperature", "temperature"),
    ("top_k", "top_k"),
    ("top_p", "top_p"),
    ("min_p", "min_p"),
    ("repetition_penalty", "repetition_penalty"),
    ("frequency_penalty", "frequency_penalty"),
    ("presence_penalty", "presence_penalty"),
    ("logit_bias", "logit_bias"),
    ("seed", "seed"),
    ("stop", "stop"),
    ("stop_tokens", "stop_token_ids"),
    ("ignore_end", "ignore_eos"),
    ("n", "n"),
    ("best_of", "best_of"),
    ("logprobs", "logprobs"),
    ("format", "response_format"),
];

impl From<ApiError> for Refused {
    /// What the mesh says: its messages begin with the field that is wrong.
    fn from(error: ApiError) -> Self {
        let param = match error.kind {
            ErrorKind::NotFound => Some("model".to_owned()),
            ErrorKind::InvalidArgument => told(&error.message),
            _ => None,
        };
        Self { error, param }
    }
}

fn told(message: &str) -> Option<String> {
    let path = message.split_once(": ")?.0;
    let path = path.strip_prefix("settings.").unwrap_or(path);
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_.[]".contains(letter);
    let field = FIELDS.iter().find(|(ours, _)| *ours == name)?.1;
    (rest.len() <= 64 && rest.chars().all(plain)).then(|| format!("{field}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_read_from_what_the_mesh_says() {
        let param = |kind, message: &str| Refused::from(ApiError::new(kind, message)).param;
        for (message, want) in [
            ("temperature: must be 0 to 2", Some("temperature")),
            ("settings.stop_tokens[3]: there is no such token", Some("stop_token_ids[3]")),
            ("messages[2].role: the template refuses it", Some("messages[2].role")),
            ("tokens: there is none", Some("prompt")),
            ("something: else", None),
            ("no colon", None),
        ] {
            assert_eq!(param(ErrorKind::InvalidArgument, message).as_deref(), want, "{message}");
        }
        assert_eq!(param(ErrorKind::NotFound, "there is none").as_deref(), Some("model"));
        assert_eq!(param(ErrorKind::Unavailable, "model: later"), None);
    }
}
