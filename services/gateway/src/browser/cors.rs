//! Leave for scripts of other origins (the Fetch standard, section 3.2, "CORS protocol"); `tower-http` speaks it.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body::Body;
use torchmesh_relay::BoxError;
use torchmesh_runtime::{
    config::{FromSetting, Section},
    server::Incoming,
};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::{Boxed, web::Translated};

/// `cors`: which origins' scripts may call from a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsSettings {
    /// `cors.origins`: such as `https://app.example.com`, or `*` alone for all. Default none.
    pub origins: Vec<Origin>,
    /// `cors.max_age`: how long a browser need not ask again. Default 1h.
    pub max_age: Duration,
}

/// An origin (RFC 6454), or any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `*`.
    Any,
    /// A scheme, a host, and a port that is not the scheme's own.
    One(HeaderValue),
}

impl FromSetting for Origin {
    const EXPECTED: &'static str = "an origin such as \"https://app.example.com\", without a path, or \"*\"";

    fn from_setting(value: &toml::Value) -> Result<Self, String> {
        let wrong = || format!("must be {}, not {value}", Self::EXPECTED);
        let text = value.as_str().ok_or_else(wrong)?;
        if text == "*" {
            return Ok(Self::Any);
        }
        let parts = text.parse::<Uri>().map_err(|_| wrong())?.into_parts();
        let scheme = parts.scheme.as_ref().is_some_and(|scheme| ["http", "https"].contains(&scheme.as_str()));
        // As browsers write it: without a path or a name before the host, in small letters.
        let bare = parts.path_and_query.as_ref().is_none_or(|path| path == "/") && !text.ends_with('/');
        let plain = !text.contains('@') && text.to_ascii_lowercase() == text;
        if !(scheme && bare && plain) {
            return Err(wrong());
        }
        HeaderValue::from_str(text).map(Self::One).map_err(|_| wrong())
    }
}

impl CorsSettings {
    /// Reads the table.
    pub fn read(s: &mut Section) -> Self {
        s.section("cors", |s| {
            let origins = s.or("origins", Vec::new());
            s.check(!origins.contains(&Origin::Any) || origins.len() == 1, "origins", "has \"*\" and others: leave one of the two out");
            let max_age = s.or("max_age", Duration::from_secs(3600));
            s.check(max_age <= Duration::from_secs(86_400), "max_age", "must be at most 24h: no browser remembers longer");
            Self { origins, max_age }
        })
    }

    /// What is told to browsers; `None` where no origin may call.
    pub(super) fn leave(&self) -> Option<Leave> {
        let allowed = match self.origins.first()? {
            Origin::Any => AllowOrigin::any(),
            Origin::One(_) => AllowOrigin::list(self.origins.iter().filter_map(|origin| match origin {
                Origin::Any => None,
                Origin::One(origin) => Some(origin.clone()),
            })),
        };
        // Credentials come in the authorization header, which scripts set themselves: cookies and client certificates are of no use here, and stay out. For the same
        // reason every header may be asked for, which `*` would not say of that one.
        let layer = CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(READABLE)
            .max_age(self.max_age);
        Some(Leave(layer))
    }
}

/// What scripts may read of an answer's headers, beside the few that they always may.
const READABLE: [HeaderName; 17] = [
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
    HeaderName::from_static("grpc-retry-pushback-ms"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-cache"),
    HeaderName::from_static("x-torchmesh-redacted"),
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
    HeaderName::from_static("inference-header-content-length"),
    header::AGE,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
];

/// What is told to browsers. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Leave(CorsLayer);

impl Leave {
    /// Answers a request for leave itself, and tells the leave with the answer to any other.
    pub(super) fn call<S, B>(&self, inner: Translated<S>, request: Request<Incoming>) -> Boxed<B>
    where
        S: tower::Service<Request<super::Asked>, Response = http::Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        let inner = service_fn(move |request| inner.clone().answer(request));
        Box::pin(self.0.layer(inner).oneshot(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Result<Origin, String> {
        Origin::from_setting(&toml::Value::String(text.into()))
    }

    #[test]
    fn an_origin_is_as_browsers_write_it() {
        for good in ["https://app.example.com", "http://localhost:3000", "https://[::1]:8443"] {
            assert_eq!(origin(good), Ok(Origin::One(HeaderValue::from_str(good).unwrap())), "{good}");
        }
        for bad in
            ["app.example.com", "https://app.example.com/", "https://a/b", "ftp://a", "https://App.example.com", "https://u@a", "null", ""]
        {
            assert!(origin(bad).unwrap_err().contains("without a path"), "{bad}");
        }
    }

    #[test]
    fn without_an_origin_nobody_has_leave() {
        let settings = CorsSettings { origins: Vec::new(), max_age: Duration::ZERO };
        assert!(settings.leave().is_none());
    }
}
