//! What people type who want more than a page.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use torchmesh_tests::{
    accounts::{Accounts, Database},
    bounded,
    portal::{FOR_ACCOUNTS, PASSWORD, Portal, encoded},
};

use super::alone;

pub(super) const SCRIPT: &str = "<script>alert(1)</script>";
pub(super) const TEMPLATE: &str = "{{7*7}}${7*7}#{7*7}";
const SQL: [&str; 4] = ["' OR '1'='1", "'; DROP TABLE members; --", "\" OR 1=1 --", "1' UNION SELECT password_hash FROM members --"];

/// A page has it as it was typed, and as nothing but text.
pub(super) fn is_text(page: &str, typed: &str) {
    let escaped = typed.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    assert!(page.contains(&escaped), "{typed} is missing in {page}");
    assert!(!page.contains(SCRIPT) && !page.contains(">49<"), "{page}");
}

#[test]
fn what_a_tenant_is_called_is_text_wherever_it_is_shown() {
    bounded(async {
        let (accounts, portal) = alone(&[("operators", "acme@example.org")]).await;
        let (mut visitor, called) = (portal.visitor(), format!("{SCRIPT}\"{TEMPLATE}"));
        let form = [("email", "acme@example.org"), ("password", PASSWORD), ("tenant", "acme"), ("display_name", &*called)];
        assert_eq!(visitor.send("/sign-up", &form).await.status, 200);
        let letter = torchmesh_tests::portal::letter(&accounts, "acme@example.org", "/letters/verify").await;
        let token = torchmesh_tests::portal::token_of(&letter);
        visitor.send_from(&letter, "/letters/verify", &[("token", token)]).await;
        visitor.sign_in("acme@example.org").await;
        for page in ["/console", "/console/keys", "/console/webhooks", "/console/privacy", "/operator/tenants", "/operator/tenants/acme"] {
            is_text(&visitor.get(page).await.text(), &called);
        }
    });
}

#[test]
fn what_is_typed_into_a_form_comes_back_as_text() {
    bounded(async {
        let (accounts, portal) = alone(&[]).await;
        let mut member = portal.member(&accounts, "acme").await;
        for typed in [SCRIPT, TEMPLATE, "\"><img src=x onerror=alert(1)>"] {
            let answer = member.send_from("/console", "/console/keys", &[("name", typed)]).await;
            assert_eq!(answer.status, 400, "{typed}");
            is_text(&answer.text(), typed);
            let answer = portal.visitor().send("/sign-in", &[("email", typed), ("password", "x"), ("next", typed)]).await;
            is_text(&answer.text(), typed);
        }
        let page = member.get("/console?told=%3Cscript%3Ealert(1)%3C/script%3E").await.text();
        assert!(!page.contains(SCRIPT) && !page.contains("role=\"status\""), "only what we have to tell is told");
        let lost = member.get("/nowhere/%3Cscript%3Ealert(1)%3C%2Fscript%3E").await;
        assert!(lost.status == 404 && !lost.text().contains(SCRIPT));
    });
}

#[test]
fn a_database_is_told_nothing_by_what_is_typed() {
    bounded(async {
        let (accounts, portal) = alone(&[("limits.attempts", "1000")]).await;
        let mut member = portal.member(&accounts, "acme").await;
        for typed in SQL {
            let email = format!("{typed}@example.org");
            let answer = portal.visitor().send("/sign-in", &[("email", &email), ("password", typed)]).await;
            assert_eq!(answer.status, 401, "{typed}");
            assert!(!answer.headers.get_all("set-cookie").iter().any(|set| set.to_str().unwrap().contains("session=tm_")));
            let made = member.send_from("/console", "/console/keys", &[("name", typed)]).await;
            assert_eq!(made.status, 400, "{typed}");
            let encoded = encoded(typed);
            assert_eq!(member.get(&format!("/console/keys/{encoded}/revoke")).await.status, 404);
            assert_eq!(member.get(&format!("/console/usage?days=7&by={encoded}")).await.status, 200);
        }
        let mut again = portal.visitor();
        again.sign_in("acme@example.org").await;
        assert_eq!(again.get("/console/members").await.status, 200, "the tables are as they were");
    });
}

/// The status of the answer to a request whose body begins and never goes on.
async fn status_of_a_stalled(portal: &Portal, head: &str) -> String {
    let mut stream = TcpStream::connect(portal.addr()).await.unwrap();
    let request = format!("POST {head}\r\nhost: portal.test\r\ncontent-length: 100\r\n\r\n{{");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).await.unwrap();
    String::from_utf8_lossy(&begin).into_owned()
}

#[test]
fn a_form_that_stops_half_way_gives_its_place_back_in_time() {
    bounded(async {
        let (_accounts, portal) = alone(&[("timeout", "300ms"), ("limits.max_in_flight", "1")]).await;
        let form = "/sign-in HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded";
        assert_eq!(status_of_a_stalled(&portal, form).await, "HTTP/1.1 408");
        assert_eq!(portal.visitor().get("/").await.status, 200, "the only place is free again");
    });
}

#[test]
fn a_call_from_the_browser_that_stops_half_way_is_not_waited_for() {
    bounded(async {
        let (accounts, portal) = alone(&[("timeout", "2s")]).await;
        let mut member = portal.member(&accounts, "acme").await;
        let (csrf, session) = (member.csrf("/console").await, &member.cookies["torchmesh-session"]);
        let head = format!("/playground/send/chat HTTP/1.1\r\ncontent-type: application/json\r\nx-csrf-token: {csrf}");
        let head = format!("{head}\r\ncookie: torchmesh-session={session}");
        assert_eq!(status_of_a_stalled(&portal, &head).await, "HTTP/1.1 408");
    });
}

/// A gateway that says such things of its models.
pub(super) async fn hostile_gateway(name: &str) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let body = serde_json::json!([{ "name": name, "version": name, "state": "READY" }]).to_string();
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // The whole head comes at once.
            let _ = stream.read(&mut [0; 8192]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[test]
fn what_a_model_is_called_is_text_in_pages_and_in_code() {
    bounded(async {
        let accounts = Accounts::start(&Database::Sqlite, &FOR_ACCOUNTS).await;
        let name = format!("{SCRIPT}{TEMPLATE}");
        let gateway = format!("http://{}", hostile_gateway(&name).await);
        let portal = Portal::start(&accounts, None, &[("gateway.address", &gateway)]).await;
        let encoded = encoded(&name);
        for page in ["/models".to_owned(), format!("/models/{encoded}")] {
            let answer = portal.visitor().get(&page).await;
            assert_eq!(answer.status, 200, "{page}");
            is_text(&answer.text(), &name);
        }
    });
}
