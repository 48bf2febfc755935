//! Signing in and out, and the cookies of it.

use http::{Method, header};
use torchmesh_tests::{
    bounded,
    portal::{Visitor, letter, token_of},
    web::Answer,
};

use super::alone;

const SESSION: &str = "torchmesh-session";

fn set_cookies(answer: &Answer) -> Vec<String> {
    answer.headers.get_all(header::SET_COOKIE).iter().map(|set| set.to_str().unwrap().to_owned()).collect()
}

/// Whether they are let in.
async fn is_in(visitor: &mut Visitor) -> bool {
    let answer = visitor.get("/console").await;
    assert!(matches!(answer.status, 200 | 303), "{}", answer.text());
    answer.status == 200
}

#[test]
fn a_session_that_somebody_else_has_put_there_is_not_the_one_that_signs_in() {
    bounded(async {
        let (accounts, portal) = alone(&[]).await;
        portal.member(&accounts, "acme").await;
        let mut victim = portal.visitor();
        victim.cookies.insert(SESSION.to_owned(), "tm_session_planted0planted0planted0planted".to_owned());
        victim.sign_in("acme@example.org").await;
        let given = victim.cookies[SESSION].clone();
        assert_ne!(given, "tm_session_planted0planted0planted0planted");
        assert!(is_in(&mut victim).await);
        let mut attacker = portal.visitor();
        attacker.cookies.insert(SESSION.to_owned(), "tm_session_planted0planted0planted0planted".to_owned());
        assert!(!is_in(&mut attacker).await, "what was planted is worth nothing");
        let mut second = portal.visitor();
        second.sign_in("acme@example.org").await;
        assert_ne!(second.cookies[SESSION], given, "each session is a new one");
    });
}

#[test]
fn the_cookies_are_out_of_reach_of_scripts_and_of_other_sites() {
    bounded(async {
        let (_accounts, portal) = alone(&[("public_address", "https://portal.example.org")]).await;
        let mut visitor = portal.visitor();
        let set = set_cookies(&visitor.get("/").await);
        let [cookie] = &set[..] else { panic!("{set:?}") };
        assert!(cookie.starts_with("__Host-torchmesh-visitor="), "{cookie}");
        for part in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
            assert!(cookie.contains(part), "{part} is missing in {cookie}");
        }
    });
}

#[test]
fn a_session_ends_at_the_accounts_when_it_is_signed_out_of() {
    bounded(async {
        let (accounts, portal) = alone(&[]).await;
        let mut member = portal.member(&accounts, "acme").await;
        let thief = member.clone();
        assert!(is_in(&mut member).await);
        let answer = member.send_from("/console", "/sign-out", &[]).await;
        assert_eq!(answer.status, 303);
        let set = set_cookies(&answer);
        assert!(set.iter().any(|set| set.starts_with("torchmesh-session=;") && set.contains("Max-Age=0")), "{set:?}");
        for mut other in [member, thief] {
            assert!(!is_in(&mut other).await, "a copy of the cookie is worth nothing either");
        }
    });
}

#[test]
fn a_new_password_ends_all_sessions_and_a_letter_is_good_once() {
    bounded(async {
        let (accounts, portal) = alone(&[]).await;
        let mut member = portal.member(&accounts, "acme").await;
        let mut visitor = portal.visitor();
        for email in ["acme@example.org", "nobody@example.org"] {
            let answer = visitor.send("/forgotten", &[("email", email)]).await;
            assert!(answer.status == 200 && answer.text().contains("If the address is a member"), "the same is said of both");
        }
        let letter = letter(&accounts, "acme@example.org", "/letters/reset").await;
        let opened = visitor.get(&letter).await;
        assert!(opened.status == 200 && is_in(&mut member).await, "opening it changes nothing");
        let form = [("token", token_of(&letter)), ("password", "another horse battery")];
        assert_eq!(visitor.send_from(&letter, "/letters/reset", &form).await.status, 303);
        assert!(!is_in(&mut member).await);
        assert_eq!(visitor.send_from(&letter, "/letters/reset", &form).await.status, 400);
        let answer = visitor.send("/sign-in", &[("email", "acme@example.org"), ("password", "another horse battery")]).await;
        assert_eq!(answer.status, 303);
    });
}

#[test]
fn after_so_many_attempts_from_one_address_the_rest_wait_whichever_letter_box_they_try() {
    bounded(async {
        let (_accounts, portal) = alone(&[("limits.attempts", "5")]).await;
        let mut visitor = portal.visitor();
        let csrf = visitor.csrf("/sign-in").await;
        for number in 0..5 {
            let email = format!("somebody{number}@example.org");
            let answer = visitor.send_with(&csrf, "/sign-in", &[("email", &email), ("password", "password123")]).await;
            assert_ne!(answer.status, 429, "{number}");
        }
        let mut another = portal.visitor();
        let answer = another.send("/sign-in", &[("email", "else@example.org"), ("password", "password123")]).await;
        assert_eq!(answer.status, 429);
        let wait: u64 = answer.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
        assert!((1..=900).contains(&wait) && answer.text().contains("Too many attempts"), "{wait}");
        let spoofed = another.ask(
            Method::POST,
            "/sign-in",
            &[("x-forwarded-for", "9.9.9.9"), ("content-type", "application/x-www-form-urlencoded")],
            "",
        );
        assert_eq!(spoofed.await.status, 403, "without a token nothing is counted");
        let csrf = another.csrf("/sign-in").await;
        let headers = [("x-forwarded-for", "9.9.9.9"), ("content-type", "application/x-www-form-urlencoded")];
        let body = format!("csrf={csrf}&email=else%40example.org&password=password123");
        assert_eq!(another.ask(Method::POST, "/sign-in", &headers, body).await.status, 429, "nobody makes up where they are");
    });
}

#[test]
fn the_way_back_after_signing_in_leads_to_no_other_site() {
    bounded(async {
        let (accounts, portal) = alone(&[]).await;
        portal.member(&accounts, "acme").await;
        for (next, wanted) in [
            ("//evil.example", "/console"),
            ("https://evil.example/", "/console"),
            ("/\\evil.example", "/console"),
            ("javascript:alert(1)", "/console"),
            ("/console/usage?days=7", "/console/usage?days=7"),
        ] {
            let form = [("email", "acme@example.org"), ("password", torchmesh_tests::portal::PASSWORD), ("next", next)];
            let answer = portal.visitor().send("/sign-in", &form).await;
            assert_eq!((answer.status, answer.headers[header::LOCATION].to_str().unwrap()), (303, wanted), "{next}");
            let answer = portal.visitor().send("/preferences", &[("theme", "dark"), ("next", next)]).await;
            let there = answer.headers[header::LOCATION].to_str().unwrap();
            assert!(there == "/" || there == wanted, "{next} leads to {there}");
        }
        let asked = portal.visitor().get("/console/usage?days=7").await;
        assert_eq!(asked.headers[header::LOCATION], "/sign-in?next=%2Fconsole%2Fusage%3Fdays%3D7");
    });
}
