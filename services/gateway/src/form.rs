//! The form in which each door tells of errors: its clients read no other.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, Uri, header};
use torchmesh_api::error::{ApiError, ErrorKind};
use torchmesh_layers::errors::Door;

use crate::{openai, rest_v2, tei, torchserve};

/// A door's form, told by what is asked for, so that a call refused before it reached its door is still answered in the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// gRPC: in trailers.
    Grpc,
    /// OpenAI's, and that of every path which is no door's.
    OpenAi,
    /// That of the Open Inference Protocol over REST.
    Rest,
    /// That of text-embeddings-inference.
    Tei,
    /// TorchServe's.
    TorchServe,
}

impl Form {
    /// Tells by the content type and the first part of the path.
    pub fn of(uri: &Uri, headers: &HeaderMap) -> Self {
        if Door::of(headers) == Door::Grpc {
            return Self::Grpc;
        }
        match uri.path().split('/').nth(1) {
            Some("v2") => Self::Rest,
            Some("embed" | "predict" | "rerank" | "info") => Self::Tei,
            Some("predictions" | "ping") => Self::TorchServe,
            _ => Self::OpenAi,
        }
    }

    /// An error in this form; in OpenAI's where the caller is to be answered over HTTP and speaks gRPC.
    pub fn render(self, error: &ApiError) -> Response {
        let mut response = match self {
            Self::Grpc | Self::OpenAi => openai::render(error, None),
            Self::Rest => rest_v2::render(error),
            Self::Tei => tei::render(error),
            Self::TorchServe => torchserve::render(error),
        };
        if error.kind == ErrorKind::Unauthenticated {
            // RFC 6750, section 3: how to show a credential here.
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Tells when to try again, where the error knows it.
pub fn tell_when_to_retry(error: &ApiError, headers: &mut HeaderMap) {
    if let Some(wait) = error.retry_after {
        // Whole seconds are all that the header can say (RFC 9110, section 10.2.3); less than one still means "not at once".
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &'static str) -> Form {
        Form::of(&Uri::from_static(path), &HeaderMap::new())
    }

    #[test]
    fn a_path_tells_the_form() {
        assert_eq!(of("/v2/models/m/infer"), Form::Rest);
        assert_eq!(of("/v2"), Form::Rest);
        assert_eq!(of("/embed"), Form::Tei);
        assert_eq!(of("/predictions/m/1"), Form::TorchServe);
        assert_eq!(of("/v1/embeddings"), Form::OpenAi);
        assert_eq!(of("/v20/x"), Form::OpenAi);
        assert_eq!(of("/"), Form::OpenAi);
    }

    #[test]
    fn whoever_is_not_known_is_told_how_to_show_a_credential() {
        for form in [Form::OpenAi, Form::Rest, Form::Tei, Form::TorchServe] {
            let told = |kind| form.render(&ApiError::new(kind, "no")).headers().contains_key(header::WWW_AUTHENTICATE);
            assert!(told(ErrorKind::Unauthenticated) && !told(ErrorKind::PermissionDenied), "{form:?}");
        }
    }

    #[test]
    fn grpc_is_told_by_its_content_type_whatever_the_path() {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc+proto"))]);
        assert_eq!(Form::of(&Uri::from_static("/v2/models/m"), &headers), Form::Grpc);
    }
}
