//! Tokens that are shown with a call.

use std::{fs, path::Path};

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
};

use crate::fail::Fail;

/// Shows a token with every call. It is never part of what is logged.
#[derive(Debug, Clone)]
pub struct WithToken(Option<MetadataValue<Ascii>>);

impl WithToken {
    /// Shows none.
    pub fn none() -> Self {
        Self(None)
    }

    /// Shows this one; none, where it cannot be a header: whoever sends such a cookie is nobody.
    pub fn new(token: &str) -> Self {
        let value = MetadataValue::try_from(format!("Bearer {token}"));
        Self(value.ok().map(|mut value| {
            value.set_sensitive(true);
            value
        }))
    }
}

impl Interceptor for WithToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// The token in a file now: it may be changed while we run.
pub fn token_in(path: &Path) -> Result<String, Fail> {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).map_err(|error| {
        tracing::error!(file = %path.display(), %error, "a token cannot be read");
        Fail::away()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_header_is_not_shown_and_a_token_is_not_printed() {
        let shown = |token| WithToken::new(token).call(Request::new(())).unwrap().metadata().get("authorization").is_some();
        assert!(shown("tm_session_x") && !shown("a\r\nb"));
        assert!(!format!("{:?}", WithToken::new("tm_session_x")).contains("tm_session"));
    }
}
