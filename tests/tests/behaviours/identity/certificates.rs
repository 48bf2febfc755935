//! Client certificates, and certificates that change while a gateway runs.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use http::{Method, Request};
use torchmesh_tests::{
    KEY, MeshSandbox, bounded, client, eventually,
    instance::Signal,
    tls::{Authority, Certificate, Shown},
};

use super::{SOON, ask, builder};

const WORKLOAD: &str = "[[workload]]\nspiffe = \"spiffe://example.org/ns/*/sa/api\"\ntenant = \"acme\"\n";

async fn mesh(certificate: &Certificate, authority: &Authority, asked: &str) -> MeshSandbox {
    let settings = [("cert", &*certificate.cert), ("key", &certificate.key), ("client_ca", &authority.ca), ("client_certificate", asked)];
    let mesh = settings.into_iter().fold(builder(), |mesh, (key, value)| mesh.set("gateway", &format!("tls.{key}"), value));
    mesh.keys(WORKLOAD).start().await
}

/// The status of a list of models, asked for without a key; `None` when there is no connection to ask over.
async fn models(mesh: &MeshSandbox, certificate: &Certificate, shown: Option<&Shown>, protocol: &str) -> Option<u16> {
    let (mut connection, _) = certificate.connect_as(mesh.gateway(), &[protocol], shown).await.ok()?;
    let request = Request::builder().method(Method::GET).uri("/v1/models").body(bytes::Bytes::new()).unwrap();
    connection.send(request).await.ok().map(|answer| answer.status)
}

#[test]
fn a_client_certificate_with_a_listed_spiffe_id_is_a_credential() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, authority) = (Certificate::make(folder.path()), Authority::make(folder.path(), "ca.pem"));
        let mesh = mesh(&certificate, &authority, "optional").await;
        let listed = authority.workload("spiffe://example.org/ns/search/sa/api");
        for protocol in ["h2", "http/1.1"] {
            assert_eq!(models(&mesh, &certificate, Some(&listed), protocol).await, Some(200), "{protocol}");
        }
        let other = authority.workload("spiffe://example.org/ns/search/sa/other");
        assert_eq!(models(&mesh, &certificate, Some(&other), "h2").await, Some(401));
        assert_eq!(models(&mesh, &certificate, None, "h2").await, Some(401), "a certificate is optional, and then a key is needed");
        let stranger = Authority::make(folder.path(), "stranger.pem").workload("spiffe://example.org/ns/search/sa/api");
        assert_eq!(models(&mesh, &certificate, Some(&stranger), "h2").await, None, "signed by somebody else");
        mesh.rewrite_keys("");
        let gone = async || (models(&mesh, &certificate, Some(&listed), "h2").await == Some(401)).then_some(());
        eventually("a workload that was taken out is refused", SOON, gone).await;
    });
}

#[test]
fn where_a_client_certificate_is_required_there_is_no_connection_without_one() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, authority) = (Certificate::make(folder.path()), Authority::make(folder.path(), "ca.pem"));
        let mesh = mesh(&certificate, &authority, "required").await;
        assert_eq!(models(&mesh, &certificate, None, "h2").await, None);
        let listed = authority.workload("spiffe://example.org/ns/search/sa/api");
        assert_eq!(models(&mesh, &certificate, Some(&listed), "h2").await, Some(200));
    });
}

#[test]
fn a_certificate_that_was_renewed_is_shown_without_a_restart() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let (old, authority) = (Certificate::make(folder.path()), Authority::make(folder.path(), "ca.pem"));
        let mesh = mesh(&old, &authority, "optional").await;
        assert_eq!(models(&mesh, &old, None, "h2").await, Some(401));
        let new = Certificate::make(folder.path());
        eventually("the new certificate is shown", SOON * 2, async || models(&mesh, &new, None, "h2").await.map(|_| ())).await;
        assert_eq!(models(&mesh, &old, None, "h2").await, None, "whoever trusts the old one only");
    });
}

const SERVICE: &str = "spiffe://example.org/ns/mesh/sa/torchmesh";

/// Services that show each other a certificate, which runs out then.
async fn showing_each_other(folder: &Path, authority: &Authority, end: Option<SystemTime>) -> MeshSandbox {
    named(SERVICE, authority, authority.service_until(folder, SERVICE, end)).await
}

/// Services that show each other this certificate, and a gateway that takes a router for one by this name.
async fn named(name: &str, authority: &Authority, [cert, key]: [String; 2]) -> MeshSandbox {
    let mesh = ["router", "worker"].into_iter().fold(builder(), |mesh, service| {
        let mesh = mesh.set(service, "tls.cert", &cert).set(service, "tls.key", &key);
        mesh.set(service, "tls.client_ca", &authority.ca)
    });
    let mesh = [("gateway", name), ("router", "spiffe://example.org/ns/mesh/*")].into_iter().fold(mesh, |mesh, (service, name)| {
        let mesh = mesh.set(service, "mesh_tls.ca", &authority.ca).set(service, "mesh_tls.name", name);
        mesh.set(service, "mesh_tls.cert", &cert).set(service, "mesh_tls.key", &key)
    });
    mesh.start().await
}

#[test]
fn services_that_show_each_other_certificates_let_nobody_else_in() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::make(folder.path(), "ca.pem");
        let status =
            async |mesh: &MeshSandbox| ask(mesh.gateway(), Method::GET, "/v2/models/noop", &format!("Bearer {KEY}"), "").await.status;
        let mesh = showing_each_other(folder.path(), &authority, None).await;
        assert_eq!(status(&mesh).await, 200);
        mesh.inference().model_infer(client::noop()).await.unwrap();
        for service in [&mesh.routers[0], &mesh.workers[0]] {
            assert!(client::inference(service.addr).model_infer(client::noop()).await.is_err(), "{} let somebody in", service.name);
        }
        let strict = named("spiffe://example.org/ns/mesh/sa/router", &authority, authority.service(folder.path(), SERVICE)).await;
        assert_eq!(status(&strict).await, 503, "the routers are not those that the gateway looks for");
    });
}

#[test]
fn services_whose_certificates_were_renewed_in_time_go_on_without_a_restart() {
    bounded(async {
        let (folder, end) = (tempfile::tempdir().unwrap(), SystemTime::now() + Duration::from_secs(15));
        let authority = Authority::make(folder.path(), "ca.pem");
        let mut mesh = showing_each_other(folder.path(), &authority, Some(end)).await;
        mesh.inference().model_infer(client::noop()).await.unwrap();
        authority.service(folder.path(), SERVICE);
        eventually("the old ones have run out", SOON * 10, async || (SystemTime::now() > end).then_some(())).await;
        mesh.inference().model_infer(client::noop()).await.expect("connections that are open stay");
        mesh.workers[0].signal(Signal::KILL);
        mesh.start_again("worker", 0).await;
        let answered = async || mesh.inference().model_infer(client::noop()).await.ok();
        eventually("the router and the new worker take each other for what they are", SOON * 4, answered).await;
    });
}
