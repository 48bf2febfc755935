//! Which pipeline a call is for: what its message says, as far as the router sees it the same way.

use http::{HeaderMap, HeaderValue};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    headers::{X_TORCHMESH_ASKED_FOR, X_TORCHMESH_MODEL, X_TORCHMESH_MODEL_VERSION},
};

use crate::registry::shown;

/// What the router in front went by.
#[derive(Debug, Clone, Default)]
pub(super) struct Routed {
    model: Option<HeaderValue>,
    version: Option<HeaderValue>,
    asked_for: Option<HeaderValue>,
}

impl Routed {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let header = |name| headers.get(name).cloned();
        Self { model: header(X_TORCHMESH_MODEL), version: header(X_TORCHMESH_MODEL_VERSION), asked_for: header(X_TORCHMESH_ASKED_FOR) }
    }

    /// The name and the version: the message's, or the router's where a route leads there or the message leaves it open. A message that says something else than
    /// it was routed by is refused: what was checked on the way here was checked for that.
    pub(super) fn target<'a>(&'a self, name: &'a str, version: &'a str) -> Result<(&'a str, &'a str), ApiError> {
        let mismatch = |what: &str, given: &str| {
            let message =
                format!("the message names {what} \"{}\", and the call was routed by another one; send the same in both", shown(given));
            ApiError::new(ErrorKind::InvalidArgument, message)
        };
        let routed_by = self.asked_for.as_ref().or(self.model.as_ref());
        if routed_by.is_some_and(|routed| routed.as_bytes() != name.as_bytes()) {
            return Err(mismatch("model", name));
        }
        let text = |value: &'a HeaderValue, what, given| value.to_str().map_err(|_| mismatch(what, given));
        let version = match &self.version {
            None => version,
            Some(routed) if version.is_empty() => text(routed, "version", version)?,
            Some(routed) if routed.as_bytes() == version.as_bytes() => version,
            Some(_) => return Err(mismatch("version", version)),
        };
        match (&self.asked_for, &self.model) {
            (Some(_), Some(model)) => Ok((text(model, "model", name)?, version)),
            _ => Ok((name, version)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_goes_where_the_router_and_the_message_agree() {
        let header = |text| Some(HeaderValue::from_static(text));
        let routed = Routed { model: header("p"), version: header("3"), asked_for: None };
        assert_eq!(routed.target("p", "").unwrap(), ("p", "3"));
        assert_eq!(routed.target("p", "3").unwrap(), ("p", "3"));
        assert!(routed.target("p", "2").is_err() && routed.target("q", "").is_err());
        let alias = Routed { asked_for: header("short"), ..routed };
        assert_eq!(alias.target("short", "").unwrap(), ("p", "3"));
        assert!(alias.target("p", "").is_err());
        assert_eq!(Routed::default().target("p", "1").unwrap(), ("p", "1"));
    }
}
