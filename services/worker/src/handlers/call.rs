//! What a call brings beside its message, and how it ends.

use std::{borrow::Borrow, time::Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::Code;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    headers::{
        X_TORCHMESH_ASKED_FOR, X_TORCHMESH_MODEL, X_TORCHMESH_MODEL_VERSION, X_TORCHMESH_PRIORITY, X_TORCHMESH_PRIORITY_LIMIT,
        X_TORCHMESH_TENANT,
    },
};
use tracing::Span;

use crate::{
    admission::{Caller, Part, Priority, Submission, Tenant},
    models::{Model, State, shown},
};

/// What the layers in front of the handlers found out about a call. Absent from the request's extensions when there is nothing to say.
#[derive(Clone, Debug)]
pub struct CallInfo {
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// The span of the call; none when the caller records no trace.
    pub span: Span,
    /// Who asks, and how urgently.
    pub caller: Caller,
}

impl CallInfo {
    /// What the layers left in a request, and what its headers say of who asks.
    pub(super) fn of<T>(request: &tonic::Request<T>) -> Result<Self, ApiError> {
        let info = request.extensions().get().cloned().unwrap_or_else(|| Self::unknown(None, Span::none()));
        Ok(Self { caller: caller(request.metadata().as_ref())?, ..info })
    }

    /// A call of which nobody knows yet who makes it.
    pub fn unknown(deadline: Option<Instant>, span: Span) -> Self {
        Self { deadline, span, caller: Caller::default() }
    }

    /// A request for the queue, made of `parts`.
    pub(super) fn submission(self, parts: Vec<Part>) -> Submission {
        Submission { parts, deadline: self.deadline, caller: self.caller, span: self.span }
    }
}

fn caller(headers: &HeaderMap) -> Result<Caller, ApiError> {
    let tenant = headers.get(X_TORCHMESH_TENANT).map_or_else(Tenant::default, |name| Tenant::named(name.as_bytes()));
    let caller =
        Caller { tenant, priority: priority(headers, &X_TORCHMESH_PRIORITY)?, limit: priority(headers, &X_TORCHMESH_PRIORITY_LIMIT)? };
    Ok(caller.asking(None))
}

fn priority(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Priority>, ApiError> {
    let Some(word) = headers.get(name) else { return Ok(None) };
    Priority::parse(word.as_bytes()).map(Some).ok_or_else(|| {
        let given = String::from_utf8_lossy(word.as_bytes());
        invalid(format!("{name} is \"{}\"; send high, normal or low", shown(&given)))
    })
}

/// The longest id of a caller, in bytes.
const MAX_ID: usize = 128;

/// A mistake of the caller's.
pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::InvalidArgument, message)
}

/// Whether a caller's own id is short enough to be sent back.
pub(super) fn check_id(id: &str) -> Result<(), ApiError> {
    if id.len() > MAX_ID { Err(invalid(format!("id has {} bytes; send at most {MAX_ID}", id.len()))) } else { Ok(()) }
}

/// What a caller is told who asks a model for what it does not do.
pub(super) fn unfit(model: &Model, task: &str, does: &str) -> ApiError {
    ApiError::new(ErrorKind::Unimplemented, format!("model \"{}\" does not {does}; its task is \"{task}\"", model.name))
}

/// What the proxy in front routed by.
#[derive(Clone, Debug, Default)]
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

    /// The model and the version to use: the message's, or the router's where a route sends that name to another model, or the message has no version.
    ///
    /// A message that names another model (or version) than it was routed by is refused: what was checked on the way here
    /// was checked for that one.
    pub(super) fn target<'a>(&'a self, name: &'a str, version: &'a str) -> Result<(&'a str, &'a str), ApiError> {
        let (routed_by, header) = match &self.asked_for {
            Some(asked_for) => (Some(asked_for), &X_TORCHMESH_ASKED_FOR),
            None => (self.model.as_ref(), &X_TORCHMESH_MODEL),
        };
        if routed_by.is_some_and(|routed| routed.as_bytes() != name.as_bytes()) {
            return Err(mismatch("model", name, header));
        }
        let version = self.version(version)?;
        let Some((_, model)) = self.asked_for.as_ref().zip(self.model.as_ref()) else { return Ok((name, version)) };
        Ok((model.to_str().map_err(|_| mismatch("model", name, &X_TORCHMESH_MODEL))?, version))
    }

    fn version<'a>(&'a self, version: &'a str) -> Result<&'a str, ApiError> {
        let Some(routed) = &self.version else { return Ok(version) };
        if version.is_empty() {
            return routed.to_str().map_err(|_| mismatch("version", version, &X_TORCHMESH_MODEL_VERSION));
        }
        if routed.as_bytes() == version.as_bytes() { Ok(version) } else { Err(mismatch("version", version, &X_TORCHMESH_MODEL_VERSION)) }
    }
}

fn mismatch(what: &str, given: &str, header: &HeaderName) -> ApiError {
    let message =
        format!("the message names {what} \"{}\", and the call was routed by another one ({header}); send the same in both", shown(given));
    ApiError::new(ErrorKind::InvalidArgument, message)
}

/// Counts a call when it ends. Until it is told how, the call counts as cancelled: a caller who leaves drops it as it is.
pub(super) struct Outcome<M: Borrow<Model>> {
    model: M,
    began: Instant,
    deadline: Option<Instant>,
    code: Option<Code>,
}

impl<M: Borrow<Model>> Outcome<M> {
    pub(super) fn begin(model: M, deadline: Option<Instant>) -> Self {
        Self { model, began: Instant::now(), deadline, code: None }
    }

    /// Notes how the call ended, and passes the result on.
    pub(super) fn end<T>(mut self, result: Result<T, ApiError>) -> Result<T, ApiError> {
        self.code = Some(result.as_ref().err().map_or(Code::Ok, |error| error.kind.code()));
        result
    }
}

impl<M: Borrow<Model>> Drop for Outcome<M> {
    fn drop(&mut self) {
        let code = self.code.unwrap_or_else(|| {
            let late = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
            if late { Code::DeadlineExceeded } else { Code::Cancelled }
        });
        let model = self.model.borrow();
        model.metrics.count(code);
        if let (true, State::Ready(serving)) = (code != Code::Ok, model.state()) {
            serving.stats.failed(self.began.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(model: &'static str, version: &'static str) -> Routed {
        let header = |text| (!str::is_empty(text)).then(|| HeaderValue::from_static(text));
        Routed { model: header(model), version: header(version), asked_for: None }
    }

    #[test]
    fn a_message_that_names_another_model_than_it_was_routed_by_is_refused() {
        let refused = routed("cheap", "").target("costly", "").unwrap_err();
        assert_eq!(refused.kind, ErrorKind::InvalidArgument);
        assert!(refused.message.contains("\"costly\"") && !refused.message.contains("cheap"), "{refused}");
        assert!(routed("m", "1").target("m", "2").is_err());
    }

    #[test]
    fn the_routers_version_fills_an_empty_one() {
        assert_eq!(routed("m", "3").target("m", "").unwrap(), ("m", "3"));
        assert_eq!(routed("m", "3").target("m", "3").unwrap(), ("m", "3"));
        assert_eq!(routed("m", "").target("m", "2").unwrap(), ("m", "2"));
        assert_eq!(routed("", "").target("m", "").unwrap(), ("m", ""));
    }

    #[test]
    fn a_name_that_a_route_sends_elsewhere_is_the_routers_model() {
        let alias = Routed { asked_for: Some(HeaderValue::from_static("small")), ..routed("tiny-bert", "3") };
        assert_eq!(alias.target("small", "").unwrap(), ("tiny-bert", "3"));
        assert_eq!(alias.target("tiny-bert", "").unwrap_err().kind, ErrorKind::InvalidArgument);
    }
}
