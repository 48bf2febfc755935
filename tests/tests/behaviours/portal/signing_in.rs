//! Signing in with a code beside the password, and through a provider.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use http::header;
use serde_json::{Value, json};
use torchmesh_tests::{
    accounts::{Accounts, Database},
    authenticator::code,
    bounded,
    issuer::{Signer, key_set},
    origin::Origin,
    portal::{FOR_ACCOUNTS, PASSWORD, Portal, Visitor},
};

const EMAIL: &str = "acme@example.org";

/// What stands in the pages' boxes of code.
fn shown(page: &str) -> String {
    let text = page.split("<pre tabindex=\"0\"><code>").nth(1).and_then(|rest| rest.split('<').next());
    text.unwrap_or_else(|| panic!("nothing is shown in {page}")).to_owned()
}

/// A hidden field of the page's forms.
fn hidden(page: &str, name: &str) -> String {
    let field = page.split(&format!("name=\"{name}\" value=\"")).nth(1).and_then(|rest| rest.split('"').next());
    field.unwrap_or_else(|| panic!("there is no {name} in {page}")).to_owned()
}

async fn is_in(visitor: &mut Visitor) -> bool {
    visitor.get("/console").await.status == 200
}

/// Accounts that can seal, and a portal.
async fn sealing(database: &Database, more: &[(&str, &str)]) -> (tempfile::TempDir, Accounts, Portal) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    fs::write(&file, "ab".repeat(32)).unwrap();
    let keys = [("webhooks.key_file", file.to_str().unwrap())];
    let accounts = Accounts::start(database, &[&FOR_ACCOUNTS[..], &keys, more].concat()).await;
    let portal = Portal::start(&accounts, None, &[]).await;
    (folder, accounts, portal)
}

/// The status of whoever signs in with the password and then a recovery code.
async fn signs_in_with(portal: &Portal, recovery: &str) -> u16 {
    let mut visitor = portal.visitor();
    let asked = visitor.send("/sign-in", &[("email", EMAIL), ("password", PASSWORD)]).await.text();
    visitor.send("/sign-in/code", &[("challenge", &hidden(&asked, "challenge")), ("recovery", recovery)]).await.status
}

async fn sets_up_a_second_factor(database: &Database) {
    let (_folder, accounts, portal) = sealing(database, &[]).await;
    let mut ada = portal.member(&accounts, "acme").await;
    let here = "/console/security";
    let wrong = ada.send_from(here, here, &[("password", "a wrong one")]).await;
    assert!(wrong.status == 400 && wrong.text().contains("the password is wrong"), "{}", wrong.text());
    let page = ada.send_from(here, here, &[("password", PASSWORD)]).await.text();
    assert!(page.contains("<svg class=\"qr\"") && page.contains("autocomplete=\"one-time-code\""), "{page}");
    let secret = shown(&page);
    let wrong = ada.send_from(here, "/console/security/confirm", &[("code", "000000")]).await;
    assert!(wrong.status == 400 && wrong.text().contains("inputmode=\"numeric\""), "{}", wrong.text());
    let page = ada.send_from(here, "/console/security/confirm", &[("code", &code(&secret, 0))]).await;
    let recovery: Vec<String> = shown(&page.text()).lines().map(str::to_owned).collect();
    assert_eq!((page.status, recovery.len()), (200, 10));

    let mut visitor = portal.visitor();
    let asked = visitor.send("/sign-in", &[("email", EMAIL), ("password", PASSWORD), ("next", "/console/usage")]).await;
    assert!(asked.status == 200 && !is_in(&mut visitor).await, "{}", asked.text());
    let asked = asked.text();
    // Behind those of the head, which lead back to where one is.
    let (challenge, next) = (hidden(&asked, "challenge"), hidden(asked.split("name=\"challenge\"").nth(1).unwrap(), "next"));
    let answer = async |visitor: &mut Visitor, field: &str, said: &str| {
        visitor.send("/sign-in/code", &[("challenge", &challenge), ("next", &next), (field, said)]).await
    };
    let wrong = answer(&mut visitor, "code", "000000").await;
    assert!(wrong.status == 401 && hidden(&wrong.text(), "challenge") == challenge, "it is asked for again");
    let right = answer(&mut visitor, "code", &code(&secret, 1)).await;
    assert_eq!((right.status, right.headers[header::LOCATION].to_str().unwrap()), (303, "/console/usage"));
    assert!(is_in(&mut visitor).await);
    let mut thief = portal.visitor();
    let late = answer(&mut thief, "recovery", &recovery[0]).await;
    assert!(late.status == 401 && late.text().contains("Sign in again") && !is_in(&mut thief).await, "a challenge is good once");

    let (one, other) = tokio::join!(signs_in_with(&portal, &recovery[1]), signs_in_with(&portal, &recovery[1]));
    assert_eq!([one.min(other), one.max(other)], [303, 401], "a code is good once, for two at once as well");

    let removed = visitor.send_from(here, "/console/security/remove", &[("code", &recovery[0])]).await;
    assert_eq!(removed.headers[header::LOCATION], "/console/security?told=unguarded");
    portal.visitor().sign_in(EMAIL).await;
}

#[test]
fn a_member_sets_up_a_second_factor_and_their_password_alone_lets_nobody_in_with_either_database() {
    bounded(async {
        sets_up_a_second_factor(&Database::Sqlite).await;
        sets_up_a_second_factor(&Database::postgres().await).await;
    });
}

/// A provider, as far as a sign-in asks one: its token is put before it is asked for.
struct Provider {
    origin: Origin,
    signer: Signer,
}

impl Provider {
    async fn start() -> Self {
        let provider = Self { origin: Origin::start().await, signer: Signer::new("one") };
        let url = |path| provider.origin.url(path);
        let said = json!({
            "issuer": provider.issuer(), "authorization_endpoint": url("authorize"), "token_endpoint": url("token"), "jwks_uri": url("keys"),
        });
        provider.origin.put(".well-known/openid-configuration", said.to_string());
        provider.origin.put("keys", key_set([&provider.signer]));
        provider
    }

    fn issuer(&self) -> String {
        self.origin.url("").trim_end_matches('/').to_owned()
    }

    /// What accounts need to be told to believe it.
    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("sign_in.oidc[0].name", "example".to_owned()),
            ("sign_in.oidc[0].title", "Example ID".to_owned()),
            ("sign_in.oidc[0].issuer", self.issuer()),
            ("sign_in.oidc[0].client_id", "mesh".to_owned()),
            ("sign_in.oidc[0].redirect", "https://portal.test/sign-in/with/example/back".to_owned()),
        ]
    }

    /// Somebody signs in there, whom a page has led there; gives the path that they come back by.
    fn sends_back(&self, page: &str, changed: &Value) -> String {
        let there = page.split("href=\"").find(|rest| rest.starts_with("http://127.0.0.1")).and_then(|rest| rest.split('"').next());
        let there = there.unwrap_or_else(|| panic!("nothing leads to the provider in {page}")).replace("&amp;", "&");
        let field = |name: &str| there.split(['?', '&']).find_map(|pair| pair.strip_prefix(&format!("{name}="))).unwrap().to_owned();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims = json!({
            "iss": self.issuer(), "sub": "ada-1", "aud": "mesh", "exp": now + 300, "nonce": field("nonce"), "email": EMAIL, "email_verified": true,
        });
        for (name, value) in changed.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.origin.put("token", json!({ "id_token": self.signer.sign(&claims) }).to_string());
        format!("/sign-in/with/example/back?state={}&code=good", field("state"))
    }
}

async fn comes_back_from_a_provider(database: &Database) {
    let provider = Provider::start().await;
    let settings = provider.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let (_folder, accounts, portal) = sealing(database, &settings).await;
    portal.member(&accounts, "acme").await;
    let mut ada = portal.visitor();
    assert!(ada.get("/sign-in").await.text().contains("Sign in with Example ID"));
    let begin = async |visitor: &mut Visitor| visitor.send_from("/sign-in", "/sign-in/with/example", &[("next", "/console/usage")]).await;
    let led = begin(&mut ada).await;
    assert!(led.status == 200 && led.headers["refresh"].to_str().unwrap().starts_with("0;url=http://127.0.0.1"), "{}", led.text());
    let back = provider.sends_back(&led.text(), &json!({}));
    let mut victim = portal.visitor();
    victim.get("/").await;
    let planted = victim.get(&back).await;
    assert!(planted.status == 401 && !is_in(&mut victim).await, "nobody is signed in as somebody else by a link");
    assert_eq!(ada.get(&back).await.status, 401, "and that state is used up");
    let back = provider.sends_back(&begin(&mut ada).await.text(), &json!({}));
    let done = ada.get(&back).await;
    assert_eq!((done.status, done.headers[header::LOCATION].to_str().unwrap()), (303, "/console/usage"), "{}", done.text());
    assert!(is_in(&mut ada).await && ada.get("/console").await.text().contains(EMAIL));

    let mut eve = portal.visitor();
    let back = provider.sends_back(&begin(&mut eve).await.text(), &json!({ "sub": "eve-1", "email_verified": false }));
    let refused = eve.get(&back).await;
    assert!(refused.status == 401 && refused.text().contains("does not say that your address is confirmed"), "{}", refused.text());
    let refused = eve.get("/sign-in/with/example/back?error=access_denied&state=x").await;
    assert!(refused.status == 401 && refused.text().contains("You were not signed in") && !is_in(&mut eve).await);
}

#[test]
fn whoever_comes_back_from_a_provider_is_in_in_the_browser_that_began_and_once_with_either_database() {
    bounded(async {
        comes_back_from_a_provider(&Database::Sqlite).await;
        comes_back_from_a_provider(&Database::postgres().await).await;
    });
}
