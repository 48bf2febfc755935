//! What the router's own readers refuse (a path that is no UTF-8, a query that names a thing twice) they tell in plain text; here it is told in the
//! form of the door.

use axum::{body::to_bytes, extract::Request, middleware::Next, response::Response};
use http::{StatusCode, header};
use torchmesh_api::error::{ApiError, ErrorKind};

use crate::form::Form;

/// The longest of their texts, in bytes.
const LONGEST: usize = 4 << 10;

/// See the module.
pub(crate) async fn tell_in_form(request: Request, next: Next) -> Response {
    let form = Form::of(request.uri(), request.headers());
    let response = next.run(request).await;
    let plain = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !(plain && response.status().is_client_error()) {
        return response;
    }
    let status = response.status();
    let text = to_bytes(response.into_body(), LONGEST).await.unwrap_or_default();
    let kind = if status == StatusCode::PAYLOAD_TOO_LARGE { ErrorKind::TooLarge } else { ErrorKind::InvalidArgument };
    form.render(&ApiError::new(kind, format!("the request cannot be read: {}", String::from_utf8_lossy(&text))))
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, extract::Path, middleware::from_fn, routing::get};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_path_that_is_no_utf8_is_refused_in_the_form_of_the_door() {
        let read = get(|Path(name): Path<String>| async move { name });
        let router: Router =
            Router::new().route("/v2/models/{name}", read.clone()).route("/predictions/{name}", read).layer(from_fn(tell_in_form));
        for (path, field) in [("/v2/models/%ff", "error"), ("/predictions/%ff", "message")] {
            let response = router.clone().oneshot(Request::builder().uri(path).body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(response.status(), 400);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert!(told[field].as_str().unwrap().contains("UTF-8"), "{told}");
        }
        let fine = router.oneshot(Request::builder().uri("/v2/models/m").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(fine.into_body().collect().await.unwrap().to_bytes(), "m");
    }
}
