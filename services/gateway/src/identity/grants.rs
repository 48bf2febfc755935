//! Which models a caller may use: decided here for every way to the routers, which is [`crate::mesh`] alone.

use bytes::Bytes;
use http::Method;
use prost::Message as _;
use torchmesh_api::{
    access::ModelGrants,
    error::{ApiError, ErrorKind},
    inference::RepositoryIndexResponse,
    method, peek,
};

use super::{
    needs::{Need, need},
    principal::Principal,
};

const INFERENCE: &str = "/inference.GRPCInferenceService/";

/// Whether the method changes the model that its message names in the second field.
pub fn changes_a_model(path: &str) -> bool {
    matches!(path.strip_prefix(INFERENCE), Some("RepositoryModelLoad" | "RepositoryModelUnload"))
}

/// Whether the answer lists models, of which a caller sees only those that they may use.
pub fn lists_models(path: &str) -> bool {
    path.strip_prefix(INFERENCE) == Some("RepositoryIndex")
}

/// Whether this caller may use every model.
pub fn has_all(principal: Option<&Principal>) -> bool {
    principal.is_some_and(|principal| principal.models == ModelGrants::All)
}

/// Decides whether a message may go to the mesh; `routing` is what the message says.
///
/// Errors: PERMISSION_DENIED, when the model was not granted; UNAUTHENTICATED, when nobody is known to be calling, and the method is not for anybody.
pub fn check(principal: Option<&Principal>, path: &str, routing: peek::Routing<'_>) -> Result<(), ApiError> {
    let Some(principal) = principal else {
        let open = need(&Method::POST, path) == Need::Nothing;
        return if open { Ok(()) } else { Err(ApiError::new(ErrorKind::Unauthenticated, "this call needs a credential")) };
    };
    if changes_a_model(path) {
        return may_use(principal, routing.version);
    }
    match method::find(path) {
        Some(method) if method.names_a_model => may_use(principal, routing.name),
        _ => Ok(()),
    }
}

/// The same for a message that is there in pieces.
pub fn check_framed<'a>(
    principal: Option<&Principal>,
    path: &str,
    pieces: impl Iterator<Item = &'a Bytes> + Clone,
) -> Result<(), ApiError> {
    if has_all(principal) {
        return Ok(());
    }
    let mut pieces = pieces.peekable();
    let Some(first) = pieces.next() else { return check(principal, path, peek::Routing::default()) };
    match peek::routing(first, pieces.peek().is_none()) {
        peek::Peek::Found(routing) => check(principal, path, routing),
        // The name is in front, and so in the first piece, unless the message has none.
        peek::Peek::More | peek::Peek::Malformed(_) => check(principal, path, peek::Routing::default()),
    }
}

/// Decides whether a caller may use a model, or be told of it.
pub fn may_use(principal: &Principal, model: &str) -> Result<(), ApiError> {
    if principal.models.allow(model) {
        return Ok(());
    }
    let message = if model.is_empty() {
        "the request names no model, and this credential is for some models only; name one of those that GET /v1/models lists".to_owned()
    } else {
        let shown: String = model.chars().take(64).collect();
        format!("this credential may not use the model {shown:?}; GET /v1/models lists those it may, and whoever gave it can grant more")
    };
    Err(ApiError::new(ErrorKind::PermissionDenied, message))
}

/// An answer of [`lists_models`] without the models that the caller may not use. What cannot be read tells nothing.
pub fn only_granted(principal: Option<&Principal>, answer: Bytes) -> Bytes {
    if has_all(principal) {
        return answer;
    }
    let mut index = RepositoryIndexResponse::decode(answer).unwrap_or_default();
    index.models.retain(|listed| principal.is_some_and(|principal| principal.models.allow(&listed.name)));
    index.encode_to_vec().into()
}

#[cfg(test)]
mod tests {
    use torchmesh_api::{
        access::Scopes,
        frame,
        ids::TenantId,
        inference::{ModelInferRequest, RepositoryModelLoadRequest, repository_index_response::ModelIndex},
    };

    use super::{super::principal::CredentialKind, *};

    fn principal(models: &[&str]) -> Principal {
        let models = ModelGrants::parse(models.iter().copied()).unwrap();
        Principal::new(TenantId::parse("acme").unwrap(), "n", CredentialKind::ApiKey, Scopes::USUAL, models)
    }

    fn infer(model: &str) -> [Bytes; 1] {
        [frame::encode(&ModelInferRequest { model_name: model.to_owned(), id: "i".to_owned(), ..Default::default() })]
    }

    fn checked(principal: Option<&Principal>, method: &str, message: &[Bytes]) -> Result<(), ApiError> {
        check_framed(principal, &format!("{INFERENCE}{method}"), message.iter())
    }

    #[test]
    fn a_granted_model_is_used_and_another_is_refused_by_its_name() {
        let mini = principal(&["mini*"]);
        checked(Some(&mini), "ModelInfer", &infer("minilm")).unwrap();
        let refused = checked(Some(&mini), "ModelInfer", &infer("smollm2")).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::PermissionDenied);
        assert!(refused.message.contains("\"smollm2\"") && refused.message.contains("GET /v1/models"), "{refused}");
        checked(Some(&principal(&["*"])), "ModelInfer", &infer("smollm2")).unwrap();
    }

    #[test]
    fn a_message_without_a_model_is_for_those_who_may_use_all() {
        assert!(checked(Some(&principal(&["m"])), "ModelStatistics", &infer("")).unwrap_err().message.contains("names no model"));
        checked(Some(&principal(&["*"])), "ModelStatistics", &infer("")).unwrap();
    }

    #[test]
    fn loading_goes_by_the_second_field() {
        let load = |model: &str| [frame::encode(&RepositoryModelLoadRequest { model_name: model.to_owned(), ..Default::default() })];
        checked(Some(&principal(&["m"])), "RepositoryModelLoad", &load("m")).unwrap();
        checked(Some(&principal(&["m"])), "RepositoryModelLoad", &load("n")).unwrap_err();
    }

    #[test]
    fn nobody_may_only_ask_what_anybody_may() {
        checked(None, "ServerReady", &[]).unwrap();
        assert_eq!(checked(None, "ModelInfer", &infer("m")).unwrap_err().kind, ErrorKind::Unauthenticated);
        assert_eq!(checked(None, "RepositoryIndex", &[]).unwrap_err().kind, ErrorKind::Unauthenticated);
    }

    #[test]
    fn a_list_has_only_what_was_granted() {
        let named = |name: &str| ModelIndex { name: name.to_owned(), ..Default::default() };
        let answer = Bytes::from(RepositoryIndexResponse { models: vec![named("minilm"), named("spam")] }.encode_to_vec());
        let shown = |principal| RepositoryIndexResponse::decode(only_granted(principal, answer.clone())).unwrap().models.len();
        assert_eq!((shown(Some(&principal(&["mini*"]))), shown(Some(&principal(&["*"]))), shown(None)), (1, 2, 0));
    }
}
