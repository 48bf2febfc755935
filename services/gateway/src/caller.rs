//! Whom an HTTP door answers, as the calls that the door makes into the mesh take it over.

use std::{convert::Infallible, sync::Arc, time::Instant};

use axum::extract::FromRequestParts;
use http::{HeaderMap, HeaderName, HeaderValue, header::CACHE_CONTROL, request::Parts};
use torchmesh_api::headers::{X_TORCHMESH_PRIORITY, X_TORCHMESH_PRIORITY_LIMIT, X_TORCHMESH_TENANT};
use torchmesh_layers::call::CallContext;

use crate::{identity::Principal, limits::Ticket, metering::Measured};

/// The call that a door answers.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Its trace, its id, its deadline.
    pub call: CallContext,
    /// What it has used so far.
    pub measured: Arc<Measured>,
    /// What it is charged, where anything is limited.
    pub ticket: Option<Arc<Ticket>>,
    /// Who it is; nobody is known on the paths that anybody may ask.
    pub principal: Option<Arc<Principal>>,
    /// What else the mesh is to know of it: who it is, how urgent, and whether its answer may be kept.
    told: [(HeaderName, Option<HeaderValue>); 4],
}

impl Caller {
    /// Whoever sent this.
    pub fn of(parts: &Parts) -> Self {
        // The layers in front have put it there; a call that came past them has no time left.
        let call = parts.extensions.get::<CallContext>().cloned();
        let call = call.unwrap_or_else(|| CallContext::read(&parts.headers, Instant::now(), |_| false));
        let told = [X_TORCHMESH_TENANT, X_TORCHMESH_PRIORITY, X_TORCHMESH_PRIORITY_LIMIT, CACHE_CONTROL].map(|name| {
            let value = parts.headers.get(&name).cloned();
            (name, value)
        });
        let extensions = &parts.extensions;
        Self {
            call,
            measured: extensions.get().cloned().unwrap_or_default(),
            ticket: extensions.get().cloned(),
            principal: extensions.get().cloned(),
            told,
        }
    }

    /// When the caller's time is up.
    pub fn deadline(&self) -> Instant {
        self.call.deadline.unwrap_or_else(Instant::now)
    }

    /// The headers of a call that is made on the caller's behalf.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        self.call.write(&mut headers);
        for (name, value) in &self.told {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
        headers
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}
