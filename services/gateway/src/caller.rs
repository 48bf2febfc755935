//! Whom an HTTP door answers, as the calls that the door makes into the mesh take it over.

use std::{convert::Infallible, time::Instant};

use axum::extract::FromRequestParts;
use http::{HeaderMap, HeaderValue, request::Parts};
use torchmesh_api::headers::X_TORCHMESH_TENANT;
use torchmesh_layers::call::CallContext;

/// The call that a door answers.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Its trace, its id, its deadline.
    pub call: CallContext,
    tenant: Option<HeaderValue>,
}

impl Caller {
    /// When the caller's time is up.
    pub fn deadline(&self) -> Instant {
        self.call.deadline.unwrap_or_else(Instant::now)
    }

    /// The headers of a call that is made on the caller's behalf.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        self.call.write(&mut headers);
        if let Some(tenant) = &self.tenant {
            headers.insert(X_TORCHMESH_TENANT, tenant.clone());
        }
        headers
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // The layers in front have put it there; a call that came past them has no time left.
        let call = parts.extensions.get::<CallContext>().cloned();
        let call = call.unwrap_or_else(|| CallContext::read(&parts.headers, Instant::now(), |_| false));
        Ok(Self { call, tenant: parts.headers.get(X_TORCHMESH_TENANT).cloned() })
    }
}
