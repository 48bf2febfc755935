//! Forms are good only from whom they were shown to.

use http::Method;
use torchmesh_tests::{bounded, portal::Visitor};

use super::alone;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn keys(visitor: &mut Visitor) -> usize {
    visitor.get("/console/keys").await.text().matches("/revoke\"").count()
}

#[test]
fn a_form_without_the_token_of_its_session_changes_nothing() {
    bounded(async {
        let (accounts, portal) = alone(&[]).await;
        let mut member = portal.member(&accounts, "acme").await;
        let mut other = portal.member(&accounts, "other").await;
        let (own, foreign) = (member.csrf("/console").await, other.csrf("/console").await);
        let of_a_visitor = portal.visitor().csrf("/").await;
        for (name, token) in [("none", ""), ("another session's", &*foreign), ("a visitor's", &of_a_visitor), ("a wrong one", "AAAA")] {
            let answer = member.send_with(token, "/console/keys", &[("name", "stolen")]).await;
            assert_eq!(answer.status, 403, "{name}");
            assert!(answer.text().contains("You may not do that"), "{name}");
        }
        let without = member.ask(Method::POST, "/console/keys", &[FORM], "name=stolen").await;
        assert_eq!(without.status, 403);
        assert_eq!(keys(&mut member).await, 0);
        let made = member.send_with(&own, "/console/keys", &[("name", "mine")]).await;
        assert_eq!((made.status, keys(&mut member).await), (200, 1));
    });
}

#[test]
fn what_another_site_sends_is_refused_even_with_the_token() {
    bounded(async {
        let (accounts, portal) = alone(&[]).await;
        let mut member = portal.member(&accounts, "acme").await;
        let body = format!("csrf={}&name=stolen", member.csrf("/console").await);
        let answer = member.ask(Method::POST, "/console/keys", &[FORM, ("sec-fetch-site", "cross-site")], body.clone()).await;
        assert_eq!((answer.status, keys(&mut member).await), (403, 0));
        let answer = member.ask(Method::POST, "/console/keys", &[("content-type", "text/plain")], body).await;
        assert_eq!((answer.status, keys(&mut member).await), (403, 0), "a form that needs no leave of the browser's");
    });
}

#[test]
fn signing_in_and_out_need_the_token_too() {
    bounded(async {
        let (accounts, portal) = alone(&[]).await;
        let mut member = portal.member(&accounts, "acme").await;
        assert_eq!(member.send_with("", "/sign-out", &[]).await.status, 403);
        assert_eq!(member.get("/console").await.status, 200, "nobody is signed out by somebody else");
        let form = [("email", "acme@example.org"), ("password", torchmesh_tests::portal::PASSWORD)];
        assert_eq!(portal.visitor().send_with("", "/sign-in", &form).await.status, 403);
        assert_eq!(member.ask(Method::POST, "/playground/send/chat", &[("content-type", "application/json")], "{}").await.status, 403);
        let long = "x".repeat(300 << 10);
        let csrf = member.csrf("/console").await;
        assert_eq!(member.send_with(&csrf, "/console/keys", &[("name", &long)]).await.status, 413, "a form has an end");
    });
}
