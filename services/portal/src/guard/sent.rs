//! What a form has sent.

use std::{fmt, sync::Arc};

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::fail::Fail;

/// The fields of a form whose token was good. Handlers that take it cannot be reached without.
#[derive(Clone, Default)]
pub struct Sent(Arc<Vec<(String, String)>>);

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // There are passwords among the values.
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Sent {
    /// Reads a body of the form that browsers send.
    pub fn read(body: &[u8]) -> Self {
        Self(Arc::new(form_urlencoded::parse(body).into_owned().collect()))
    }

    /// A field without the blanks around it; empty when it was not sent.
    pub fn text(&self, name: &str) -> &str {
        self.exact(name).trim()
    }

    /// A field as it was typed: a password may begin with a blank.
    pub fn exact(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    /// Every value of a field that may be sent more than once, such as boxes that are ticked.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(field, _)| field == name).map(|(_, value)| value.clone()).collect()
    }

    /// The words of a field, which commas or blanks are between.
    pub fn words(&self, name: &str) -> Vec<String> {
        self.text(name).split([',', ' ', '\n', '\r', '\t']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }
}

impl<S: Sync> FromRequestParts<S> for Sent {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fail> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Fail::new(http::StatusCode::FORBIDDEN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_were_typed() {
        let sent = Sent::read(b"name=%20a+b%20&password=+x+&models=mini*%2C+spam&name=second");
        assert_eq!((sent.text("name"), sent.exact("password"), sent.text("absent")), ("a b", " x ", ""));
        assert_eq!(sent.words("models"), ["mini*", "spam"]);
        assert_eq!((sent.all("name").len(), sent.all("absent").len()), (2, 0));
        assert!(!format!("{sent:?}").contains(" x "), "what was typed is not printed");
    }
}
