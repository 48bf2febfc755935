//! The keys that calls from the browser are made with.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use http::Method;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use torchmesh_tests::{
    bounded,
    portal::{PASSWORD, Visitor, letter, token_of},
};

use super::alone;

async fn call(visitor: &mut Visitor) -> u16 {
    let csrf = visitor.csrf("/console").await;
    let headers = [("content-type", "application/json"), ("x-csrf-token", &*csrf)];
    visitor.ask(Method::POST, "/playground/send/chat", &headers, "{}").await.status
}

#[test]
fn whoever_may_not_make_keys_any_more_does_not_call_with_the_one_they_have() {
    bounded(async {
        let (accounts, portal) = alone(&[]).await;
        let mut owner = portal.member(&accounts, "acme").await;
        owner.send_from("/console", "/console/members", &[("email", "eve@example.org"), ("role", "developer")]).await;
        let letter = letter(&accounts, "eve@example.org", "/letters/invite").await;
        let mut developer = portal.visitor();
        let joined = developer.send_from(&letter, "/letters/invite", &[("token", token_of(&letter)), ("password", PASSWORD)]).await;
        assert_eq!(joined.status, 303, "{}", joined.text());
        developer.sign_in("eve@example.org").await;
        assert_eq!(call(&mut developer).await, 503, "there is no gateway");
        assert!(owner.get("/console/keys").await.text().contains("playground-"), "but there is a key");
        let id = owner.id_of("/console/members", "eve@example.org", "remove").await;
        assert_eq!(owner.send_from("/console", &format!("/console/members/{id}"), &[("role", "viewer")]).await.status, 303);
        assert_eq!(call(&mut developer).await, 403);
    });
}

/// Reads a request whose body is `{}`; gives the key that it shows.
async fn key_of(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n{}") {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "the request ends before its body");
    }
    let request = String::from_utf8(request).unwrap();
    let key = request.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
    key.unwrap_or_else(|| panic!("no key is shown in {request}")).to_owned()
}

type First = Arc<Mutex<Option<String>>>;

async fn answer(mut stream: TcpStream, first: First) {
    let key = key_of(&mut stream).await;
    let is_refused = *first.lock().unwrap().get_or_insert_with(|| key.clone()) == key;
    let status = if is_refused { "401 Unauthorized" } else { "200 OK" };
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 2\r\n\r\n");
    stream.write_all(format!("{head}{{}}").as_bytes()).await.unwrap();
}

/// A gateway that never lets in the first key that it is shown, and every other at once.
async fn gateway_that_refuses_the_first(first: First) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&first)));
        }
    });
    address
}

#[test]
fn a_key_that_is_good_no_more_is_replaced_by_the_next_call() {
    bounded(async {
        let first = First::default();
        let gateway = format!("http://{}", gateway_that_refuses_the_first(Arc::clone(&first)).await);
        let (accounts, portal) = alone(&[("gateway.address", &gateway)]).await;
        let mut member = portal.member(&accounts, "acme").await;
        assert_eq!(call(&mut member).await, 503);
        assert!(first.lock().unwrap().is_some(), "it was shown a key");
        assert_eq!(call(&mut member).await, 200);
    });
}
