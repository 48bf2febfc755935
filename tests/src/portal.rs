//! A portal that runs, and somebody who looks at it without a browser: they keep cookies and fill in forms, and see what comes back as it is.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::PathBuf, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use tempfile::TempDir;

use crate::{
    Instance, KEY, MeshSandbox,
    accounts::Accounts,
    eventually,
    web::{Answer, Connection},
};

/// What letters' tokens are put behind: the path is what matters.
pub const LINK: &str = "http://portal.test/letters/{purpose}?token=";
/// Everybody's.
pub const PASSWORD: &str = "correct horse battery";

/// What accounts need to be told for a portal.
pub const FOR_ACCOUNTS: [(&str, &str); 2] = [("sign_up", "true"), ("mail.link", LINK)];

/// A portal.
#[derive(Debug)]
pub struct Portal {
    /// The process.
    pub instance: Instance,
    folder: TempDir,
}

impl Portal {
    /// Starts one that asks these accounts and, where there is one, this mesh.
    pub async fn start(accounts: &Accounts, mesh: Option<&MeshSandbox>, more: &[(&str, &str)]) -> Self {
        // The port of nobody: such a portal has no models to show.
        let gateway = mesh.map_or_else(|| "http://127.0.0.1:9".to_owned(), |mesh| format!("http://{}", mesh.gateway()));
        let mut settings = vec![("gateway.address".to_owned(), gateway)];
        if let Some(router) = mesh.and_then(|mesh| mesh.routers.first()) {
            settings.push(("router.address".to_owned(), format!("http://{}", router.addr)));
        }
        settings.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        Self::start_with(accounts, settings).await
    }

    async fn start_with(accounts: &Accounts, mut settings: Vec<(String, String)>) -> Self {
        let folder = TempDir::new().expect("a folder for the portal");
        let key = folder.path().join("key");
        fs::write(&key, KEY).expect("the portal's key");
        settings.push(("gateway.key_file".to_owned(), key.display().to_string()));
        settings.push(("accounts.address".to_owned(), format!("http://{}", accounts.addr())));
        settings.push(("accounts.operator_token_file".to_owned(), accounts.path("operator.token").display().to_string()));
        let mut instance = Instance::start("portal", "portal", folder.path(), settings).await;
        instance.ready().await;
        Self { instance, folder }
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.instance.addr
    }

    /// A path in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Somebody who has never been here.
    pub fn visitor(&self) -> Visitor {
        Visitor { portal: self.addr(), cookies: BTreeMap::new() }
    }

    /// Somebody who has signed up with a tenant of this name, and is signed in.
    pub async fn member(&self, accounts: &Accounts, tenant: &str) -> Visitor {
        let (mut visitor, email) = (self.visitor(), format!("{tenant}@example.org"));
        let form = [("email", &*email), ("password", PASSWORD), ("tenant", tenant)];
        assert_eq!(visitor.send("/sign-up", &form).await.status, 200, "{tenant} signs up");
        let letter = letter(accounts, &email, "/letters/").await;
        assert_eq!(visitor.send_from(&letter, "/letters/verify", &[("token", token_of(&letter))]).await.status, 303);
        visitor.sign_in(&email).await;
        visitor
    }
}

/// The path that the newest letter to somebody leads to, once there is one which leads to such a path.
pub async fn letter(accounts: &Accounts, to: &str, path: &str) -> String {
    let outbox = accounts.path("kept/outbox");
    eventually(&format!("a letter to {to}"), Duration::from_secs(10), async || {
        let mut files: Vec<_> = fs::read_dir(&outbox)
            .ok()?
            .flatten()
            .map(|file| file.path())
            .filter(|file| file.extension().is_some_and(|e| e == "eml"))
            .collect();
        files.sort();
        let letters = files.iter().rev().filter_map(|file| fs::read_to_string(file).ok());
        let line = |letter: String| letter.lines().find_map(|line| line.strip_prefix("http://portal.test")).map(str::to_owned);
        letters.filter(|letter| letter.contains(&format!("To: {to}\r\n"))).filter_map(line).find(|line| line.starts_with(path))
    })
    .await
}

/// The token of a letter's path.
pub fn token_of(path: &str) -> &str {
    path.split_once("token=").map_or("", |(_, token)| token)
}

/// Every byte as an address and a form may have it.
pub fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| encoded + &format!("%{byte:02x}"))
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Visitor {
    portal: SocketAddr,
    /// What their browser keeps.
    pub cookies: BTreeMap<String, String>,
}

impl Visitor {
    /// Sends a request with the cookies, and keeps those that come back.
    pub async fn ask(&mut self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::builder().method(method).uri(path);
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(body.into()).expect("a request");
        let answer = Connection::http1(self.portal).await.expect("a connection").send(request).await.expect("an answer");
        self.keep(&answer.headers);
        answer
    }

    fn keep(&mut self, headers: &HeaderMap) {
        for set in headers.get_all(header::SET_COOKIE) {
            let set = set.to_str().expect("a cookie is text");
            let (name, value) = set.split(';').next().and_then(|pair| pair.split_once('=')).expect("a name and a value");
            if set.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Opens a page.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], Bytes::new()).await
    }

    /// The token of the forms that they are shown.
    pub async fn csrf(&mut self, page: &str) -> String {
        let page = self.get(page).await.text();
        let token = page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        token.unwrap_or_else(|| panic!("there is no form in {page}")).to_owned()
    }

    /// Fills in the form of the page that it is sent to.
    pub async fn send(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send_from("/", path, fields).await
    }

    /// Fills in a form of another page.
    pub async fn send_from(&mut self, page: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf(page).await;
        self.send_with(&csrf, path, fields).await
    }

    /// Sends a form with this token.
    pub async fn send_with(&mut self, csrf: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let fields = [("csrf", csrf)].iter().chain(fields).map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>();
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        self.ask(Method::POST, path, &kind, fields.join("&")).await
    }

    /// Signs in.
    pub async fn sign_in(&mut self, email: &str) {
        let answer = self.send("/sign-in", &[("email", email), ("password", PASSWORD)]).await;
        assert_eq!(answer.status, 303, "{email} signs in: {}", answer.text());
    }

    /// The id that the page's links to `…/{id}/{act}` have, of the line that has `text` in it.
    pub async fn id_of(&mut self, page: &str, text: &str, act: &str) -> String {
        let page = self.get(page).await.text();
        let line = page.split("<tr").find(|line| line.contains(text)).unwrap_or_else(|| panic!("no line has {text:?} in {page}"));
        let before = line.split(&format!("/{act}\"")).next().unwrap_or_default();
        before.rsplit('/').next().unwrap_or_default().to_owned()
    }
}
