//! The pages for people: made from the document by templates, once.

mod curl;
mod fields;
mod view;

use axum::response::Response;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, Uri, header};
use minijinja::{Environment, Value as Seen, context, value::Serde};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::told;

/// Stands in the page where the gateway's own address belongs.
const BASE: &str = "@GATEWAY@";
const STYLE: &str = include_str!("style.css").trim_ascii_end();

/// The pages.
#[derive(Debug)]
pub(super) struct Pages {
    docs: String,
    errors: String,
    policy: HeaderValue,
    scheme: &'static str,
}

impl Pages {
    /// Those of a document.
    pub(super) fn of(document: &Value, scheme: &'static str) -> Self {
        let sections = view::sections(document);
        let schemas = view::schemas(document);
        let facts = context! { document => Serde(document), sections => Serde(sections), schemas => Serde(schemas) };
        // Nothing but the style that stands in the page itself may be loaded or run.
        let hash = STANDARD.encode(Sha256::digest(STYLE));
        let policy = format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
        Self {
            docs: render(include_str!("docs.html"), facts),
            errors: render(include_str!("errors.html"), context! { kinds => Serde(view::kinds()) }),
            policy: HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'")),
            scheme,
        }
    }

    /// The page of all doors, with the address that the reader has called.
    pub(super) fn docs(&self, uri: &Uri, headers: &HeaderMap) -> Response {
        let host = uri.authority().map(http::uri::Authority::as_str).or_else(|| headers.get(header::HOST)?.to_str().ok());
        let host = host.filter(|host| is_plain(host)).unwrap_or("localhost");
        // Who ends TLS in front of a gateway says so.
        let scheme = if headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https") { "https" } else { self.scheme };
        self.page(self.docs.replace(BASE, &format!("{scheme}://{host}")))
    }

    /// The page of errors.
    pub(super) fn errors(&self) -> Response {
        self.page(self.errors.clone())
    }

    fn page(&self, html: String) -> Response {
        let mut response = told("text/html; charset=utf-8", html.into());
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("Host, X-Forwarded-Proto"));
        response
    }
}

/// Whether a host is written with the letters that hosts and ports have: it goes into the page as it is.
fn is_plain(host: &str) -> bool {
    (1..=255).contains(&host.len()) && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
}

fn render(template: &str, facts: Seen) -> String {
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|_| minijinja::AutoEscape::Html);
    templates.add_filter("words", fields::words);
    let rendered = templates.add_template("style", STYLE).and_then(|()| templates.render_str(template, facts));
    // The templates are part of the program, and a test renders them.
    rendered.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::openapi::document;

    async fn docs(host: &str) -> (HeaderMap, String) {
        let pages = Pages::of(&document::write(64 << 20, true), "http");
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_str(host).unwrap())]);
        let (parts, body) = pages.docs(&Uri::from_static("/docs"), &headers).into_parts();
        let page = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        // As a browser shows it.
        (parts.headers, page.replace("&#x2f;", "/"))
    }

    #[tokio::test]
    async fn the_page_has_every_operation_and_the_address_that_was_called() {
        let (_, page) = docs("mesh.example:8080").await;
        for operation in document::operations(true) {
            assert!(page.contains(&format!("<code>{}</code>", operation.path)), "{} is not on the page", operation.path);
        }
        assert!(page.contains("curl -s http://mesh.example:8080/v1/models"));
        assert!(!page.contains("GATEWAY"), "an address was not filled in");
    }

    #[tokio::test]
    async fn a_host_cannot_write_into_the_page() {
        let (_, page) = docs("a\"><script>alert(1)</script>").await;
        assert!(!page.contains("<script>alert"));
    }

    #[tokio::test]
    async fn nothing_is_loaded_and_the_style_is_the_one_that_the_policy_allows() {
        let (headers, page) = docs("a").await;
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        assert!(policy.contains(&STANDARD.encode(Sha256::digest(style))), "{policy}");
        for loads in [" src=", "<link", "<script", "url(", "@import", " style="] {
            assert!(!page.contains(loads), "the page has {loads}");
        }
    }

    #[test]
    fn the_page_of_errors_has_an_anchor_for_every_kind() {
        let pages = Pages::of(&document::write(1, true), "http");
        for kind in crate::openapi::errors::KINDS {
            let code = crate::openapi::errors::explained(kind).code;
            assert!(pages.errors.contains(&format!("id=\"{code}\"")), "{code}");
        }
    }
}
