//! A credential, which nothing prints.

use std::fmt;

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use thiserror::Error;

/// What goes into the `authorization` of a call. Its `Debug` says nothing of it, and HTTP/2 keeps it out of its tables.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Option<HeaderValue>);

/// A key or token that has letters which no header may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the key or token is empty or has letters that no header may have; take it as it was issued, without a line break")]
pub struct BadToken;

impl Token {
    /// An API key, or a token of an issuer. Blanks and line breaks around it are left out.
    pub fn bearer(secret: &str) -> Result<Self, BadToken> {
        let secret = secret.trim();
        if secret.is_empty() || secret.bytes().any(|byte| byte.is_ascii_whitespace()) {
            return Err(BadToken);
        }
        let mut value = HeaderValue::try_from(format!("Bearer {secret}")).map_err(|_| BadToken)?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }

    pub(crate) fn none() -> Self {
        Self(None)
    }

    pub(crate) fn add_to(&self, headers: &mut HeaderMap) {
        if let Some(value) = &self.0 {
            headers.insert(AUTHORIZATION, value.clone());
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The secret of an OAuth client.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_printed() {
        let token = Token::bearer("tm_secret").unwrap();
        let mut headers = HeaderMap::new();
        token.add_to(&mut headers);
        assert_eq!(headers[AUTHORIZATION], "Bearer tm_secret");
        for printed in [format!("{token:?}"), format!("{headers:?}"), format!("{:?}", Secret("tm_secret".to_owned()))] {
            assert!(!printed.contains("tm_secret"), "{printed}");
        }
    }

    #[test]
    fn a_key_from_a_file_may_end_with_its_line() {
        assert_eq!(Token::bearer("tm_secret\n"), Token::bearer("tm_secret"));
        for wrong in ["", " \n", "two words", "a\u{7}bell"] {
            assert_eq!(Token::bearer(wrong), Err(BadToken), "{wrong:?}");
        }
    }
}
