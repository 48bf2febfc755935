//! Browsers: a real one, and what it is told.

use http::{HeaderName, Method, Request, header};
use torchmesh_tests::{
    KEY, MeshSandbox, bounded,
    models::Model,
    places,
    python::{is_content, script},
    sandbox::Builder,
    web::{self, Answer},
};

use super::secured::Secured;

const LISTED: &str = "https://app.example.com";

fn listing_one_origin() -> Builder {
    MeshSandbox::builder().model(Model::minilm()).model(Model::stories()).set("gateway", "cors.origins", LISTED)
}

/// A browser calls by JSON and gRPC-Web from the listed origin, and from no other.
async fn a_browser_is_content(secured: &Secured) {
    let mut browser = script("browser.py", &secured.mesh);
    browser.env("GATEWAY", format!("localhost:{}", secured.mesh.gateway().port())).env("KEY", &secured.credential);
    browser.env("BROWSER", places::browser()).env("GRPC_WEB", places::cache().join("grpc-web-2.1.1/index.js"));
    is_content(browser).await;
}

#[test]
fn a_browser_calls_from_a_listed_origin_only_with_a_key() {
    bounded(async { a_browser_is_content(&Secured::by_key(listing_one_origin()).await).await });
}

#[test]
fn a_browser_calls_from_a_listed_origin_only_with_a_token_of_an_issuer() {
    bounded(async { a_browser_is_content(&Secured::by_token(listing_one_origin()).await).await });
}

#[test]
fn a_browser_calls_from_a_listed_origin_only_with_client_credentials() {
    bounded(async { a_browser_is_content(&Secured::by_client_credentials(listing_one_origin()).await).await });
}

/// Asks by gRPC-Web over HTTP/1.1 whether `noop` is ready.
async fn ask_in_form(mesh: &MeshSandbox, form: &str, body: &'static [u8]) -> Answer {
    let request = Request::builder().method(Method::POST).uri("/inference.GRPCInferenceService/ModelReady");
    let request =
        request.header(header::CONTENT_TYPE, form).header(header::ACCEPT, form).header(header::AUTHORIZATION, format!("Bearer {KEY}"));
    web::Connection::http1(mesh.gateway()).await.unwrap().send(request.body(body.into()).unwrap()).await.unwrap()
}

#[test]
fn an_answer_by_grpc_web_over_http_1_ends_with_its_status() {
    bounded(async {
        // Where calls are metered, an answer's length is known before it leaves.
        let folder = tempfile::tempdir().unwrap();
        let mesh = MeshSandbox::builder().model(Model::noop()).set("gateway", "metering.folder", folder.path().to_str().unwrap());
        let mesh = mesh.start().await;
        let told = b"\0\0\0\0\x02\x08\x01\x80\0\0\0\x0fgrpc-status:0\r\n";
        let binary = ask_in_form(&mesh, "application/grpc-web+proto", b"\0\0\0\0\x06\x0a\x04noop").await;
        assert_eq!(binary.body.as_ref(), told);
        let text = ask_in_form(&mesh, "application/grpc-web-text+proto", b"AAAAAAYKBG5vb3A=").await;
        // Both parts by themselves.
        assert_eq!(text.text(), "AAAAAAIIAQ==gAAAAA9ncnBjLXN0YXR1czowDQo=");
    });
}

/// Asks by HTTP/1.1 with these headers.
async fn ask(mesh: &MeshSandbox, method: Method, headers: &[(HeaderName, &str)]) -> Answer {
    let request = Request::builder().method(method).uri("/v1/models");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(name, *value));
    web::Connection::http1(mesh.gateway()).await.unwrap().send(request.body(bytes::Bytes::new()).unwrap()).await.unwrap()
}

#[test]
fn leave_is_asked_without_a_credential_and_told_to_listed_origins_only() {
    bounded(async {
        let mesh = MeshSandbox::builder().model(Model::noop()).set("gateway", "cors.origins", LISTED).start().await;
        let wanted =
            [(header::ACCESS_CONTROL_REQUEST_METHOD, "POST"), (header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization,x-stainless-os")];
        let asked = async |origin| {
            let answer = ask(&mesh, Method::OPTIONS, &[&wanted[..], &[(header::ORIGIN, origin)]].concat()).await;
            assert_eq!(answer.status, 200);
            answer.headers
        };
        let told = asked(LISTED).await;
        assert_eq!(told["access-control-allow-origin"], LISTED);
        assert_eq!(told["access-control-allow-headers"], "authorization,x-stainless-os");
        assert!(!told.contains_key("access-control-allow-credentials"));
        let told = asked("https://evil.example.com").await;
        assert!(!told.contains_key("access-control-allow-origin"), "{told:?}");
        let key = format!("Bearer {KEY}");
        let answer = ask(&mesh, Method::GET, &[(header::ORIGIN, LISTED), (header::AUTHORIZATION, &key)]).await;
        assert_eq!((answer.status, answer.headers["access-control-allow-origin"].as_bytes()), (200, LISTED.as_bytes()));
        assert!(answer.headers["access-control-expose-headers"].to_str().unwrap().contains("x-request-id"));
    });
}

#[test]
fn without_the_setting_no_origin_has_leave() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::noop()]).await;
        let answer = ask(&mesh, Method::OPTIONS, &[(header::ORIGIN, LISTED), (header::ACCESS_CONTROL_REQUEST_METHOD, "POST")]).await;
        assert!(answer.status >= 400 && !answer.headers.contains_key("access-control-allow-origin"), "{answer:?}");
    });
}

#[test]
fn answers_stay_out_of_caches_and_are_taken_for_nothing_else() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::noop()]).await;
        let key = format!("Bearer {KEY}");
        for headers in [&[(header::AUTHORIZATION, &*key)][..], &[]] {
            let answer = ask(&mesh, Method::GET, headers).await;
            assert_eq!(
                (answer.headers["cache-control"].as_bytes(), answer.headers["x-content-type-options"].as_bytes()),
                (&b"no-store"[..], &b"nosniff"[..])
            );
        }
    });
}
