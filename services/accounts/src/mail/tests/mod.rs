//! Delivery to a server that has its moods.

mod server;

use std::{
    fs::{self, File},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::FutureExt as _;
use rustls::{ServerConfig, crypto::ring};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use torchmesh_runtime::lifecycle::Drain;

use self::server::{Mood, Server};
use super::{
    MailMetrics, Security, SmtpSettings, alone,
    turn::{Turn, Went},
};
use crate::people::{MailSettings, Outbox};

/// An outbox, a server, and who delivers between them.
struct Post {
    folder: TempDir,
    outbox: Outbox,
    server: Server,
    settings: SmtpSettings,
    metrics: MailMetrics,
    turn: Turn,
}

impl Post {
    /// In clear text, which is for this machine.
    async fn clear() -> Self {
        Self::new(Server::start(None).await, Security::None, |_| None)
    }

    fn new(server: Server, security: Security, ca: impl FnOnce(&TempDir) -> Option<PathBuf>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (from, outbox) = ("torchmesh@example.org".to_owned(), folder.path().join("outbox"));
        let password = folder.path().join("password");
        fs::write(&password, "secret\n").unwrap();
        let settings = SmtpSettings {
            host: "localhost".to_owned(),
            port: server.address.port(),
            security,
            login: Some(("torchmesh".to_owned(), password)),
            ca_file: ca(&folder),
            timeout: Duration::from_secs(2),
            from: from.clone(),
        };
        let written = Outbox::open(MailSettings { outbox: outbox.clone(), from, link: None, smtp: Some(settings.clone()) }).unwrap();
        let metrics = MailMetrics::default();
        let turn = Turn::new(outbox, settings.clone(), metrics.clone());
        Self { folder, outbox: written, server, settings, metrics, turn }
    }

    /// As after a restart: nothing is known but what lies there.
    fn again(&mut self) {
        self.turn = Turn::new(self.outbox.folder().to_owned(), self.settings.clone(), self.metrics.clone());
    }

    /// A letter that was written so many seconds ago.
    async fn letter(&self, occasion: &str, to: &str, age_s: u64) {
        let before = self.lying("");
        self.outbox.notice(occasion, to, "Your tokens", &format!("of {occasion}\r\n")).await.unwrap();
        let new = self.lying("").into_iter().find(|name| !before.contains(name)).unwrap();
        let file = File::options().write(true).open(self.outbox.folder().join(new)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age_s)).unwrap();
    }

    /// The letters in the outbox, or in a folder in it.
    fn lying(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.outbox.folder().join(folder)) else { return Vec::new() };
        let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|ending| ending == "eml"));
        paths.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    async fn away(&mut self) -> String {
        match self.turn.take().await {
            Went::Away(why) => why,
            Went::Well => panic!("it went well"),
        }
    }
}

#[tokio::test]
async fn letters_are_sent_oldest_first_and_are_gone_when_they_are_taken() {
    let mut post = Post::clear().await;
    for (occasion, age_s) in [("b", 20), ("a", 30), ("c", 10)] {
        post.letter(occasion, "ada@example.org", age_s).await;
    }
    assert_eq!(post.turn.take().await, Went::Well);
    let taken = post.server.taken();
    for (text, occasion) in taken.iter().zip(["a", "b", "c"]) {
        assert!(text.starts_with("RCPT TO:<ada@example.org>") && text.contains(&format!("\r\n\r\nof {occasion}\r\n")), "{text}");
        assert!(text.contains("\r\nTo: ada@example.org\r\n") && text.contains("\r\nMessage-ID: <"), "{text}");
    }
    assert_eq!((taken.len(), post.lying("").len()), (3, 0));
    assert_eq!((post.metrics.sent.get(), post.metrics.refused.get(), post.metrics.waiting.get()), (3, 0, 3));
    assert_eq!((post.turn.take().await, post.server.taken().len(), post.metrics.waiting.get()), (Went::Well, 0, 0));
}

#[tokio::test]
async fn a_letter_that_is_refused_for_good_is_laid_aside_and_the_others_go() {
    let mut post = Post::clear().await;
    post.letter("a", "gone@example.org", 30).await;
    post.letter("b", "ada@example.org", 20).await;
    post.server.mood(Mood::Answers("550", Some("gone@example.org")));
    assert_eq!(post.turn.take().await, Went::Well);
    assert_eq!((post.server.taken().len(), post.lying("").len(), post.lying("refused").len()), (1, 0, 1));
    assert_eq!(post.metrics.refused.get(), 1);
    assert_eq!(post.outbox.forget(&["gone@example.org".to_owned()]).await.unwrap(), 1, "whoever is erased is erased there too");
}

#[tokio::test]
async fn a_letter_that_is_not_taken_now_waits_and_is_laid_aside_when_it_is_old() {
    let mut post = Post::clear().await;
    post.letter("a", "full@example.org", 30).await;
    post.letter("b", "ada@example.org", 20).await;
    post.server.mood(Mood::Answers("452", Some("full@example.org")));
    assert_eq!((post.turn.take().await, post.server.taken().len(), post.lying("").len()), (Went::Well, 1, 1));
    post.server.mood(Mood::Well);
    assert_eq!((post.turn.take().await, post.server.taken().len()), (Went::Well, 0), "it is not due yet");
    post.again();
    assert_eq!((post.turn.take().await, post.server.taken().len(), post.lying("").len()), (Went::Well, 1, 0));
    post.letter("c", "full@example.org", 3 * 86_400).await;
    post.server.mood(Mood::Answers("452", Some("full@example.org")));
    assert_eq!((post.turn.take().await, post.lying("").len(), post.lying("refused").len()), (Went::Well, 0, 1));
}

#[tokio::test]
async fn what_is_the_servers_fault_is_no_letters() {
    let mut post = Post::clear().await;
    post.letter("a", "ada@example.org", 3 * 86_400).await;
    for (mood, why) in [
        (Mood::Shuts("535"), "mail.smtp.username or its password is not taken"),
        (Mood::Answers("421", None), "421"),
        (Mood::Answers("530", None), "530"),
    ] {
        post.server.mood(mood);
        let told = post.away().await;
        assert!(told.contains(why) && !told.contains("secret"), "{mood:?}: {told}");
        assert_eq!((post.lying("").len(), post.lying("refused").len()), (1, 0), "{mood:?}");
    }
    fs::remove_file(post.folder.path().join("password")).unwrap();
    assert!(post.away().await.contains("mail.smtp.password_file"));
    post.settings.login = None;
    post.again();
    post.server.mood(Mood::Well);
    assert_eq!((post.turn.take().await, post.server.taken().len(), post.lying("").len()), (Went::Well, 1, 0));
}

#[tokio::test]
async fn a_letter_that_the_server_is_silent_at_or_breaks_off_at_holds_up_no_other() {
    for mood in [Mood::Hangs("bad@example.org"), Mood::Cuts("bad@example.org")] {
        let mut post = Post::clear().await;
        post.letter("a", "bad@example.org", 30).await;
        post.letter("b", "ada@example.org", 20).await;
        post.server.mood(mood);
        assert_eq!((post.turn.take().await, post.server.taken().len()), (Went::Well, 1), "{mood:?}");
        assert_eq!((post.lying("").len(), post.lying("refused").len()), (1, 0), "{mood:?}");
        assert_eq!((post.turn.take().await, post.server.taken().len()), (Went::Well, 0), "it is not due yet");
    }
}

#[tokio::test]
async fn of_two_processes_with_one_folder_one_delivers_and_the_other_when_it_is_gone() {
    let (folder, drain) = (tempfile::tempdir().unwrap(), Drain::default());
    let first = alone(folder.path(), &drain).await;
    assert!(first.is_some());
    assert!(alone(folder.path(), &drain).now_or_never().is_none(), "the other waits");
    drop(first);
    assert!(alone(folder.path(), &drain).now_or_never().flatten().is_some());
    drain.start();
    assert!(alone(folder.path(), &drain).await.is_none(), "nobody waits who is on their way out");
}

#[tokio::test]
async fn no_server_at_all_is_waited_for() {
    let mut post = Post::clear().await;
    post.letter("a", "ada@example.org", 0).await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    post.settings.port = free.port();
    post.again();
    post.away().await;
    assert_eq!(post.lying("").len(), 1);
}

/// A server's TLS for `localhost`, and its certificate, PEM.
fn tls() -> (TlsAcceptor, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    (TlsAcceptor::from(Arc::new(config)), made.cert.pem())
}

#[tokio::test]
async fn tls_is_begun_with_a_server_that_is_believed_and_with_no_other() {
    let (acceptor, pem) = tls();
    let ca = |pem: String| {
        move |folder: &TempDir| {
            let path = folder.path().join("ca.pem");
            fs::write(&path, pem).unwrap();
            Some(path)
        }
    };
    let mut post = Post::new(Server::start(Some(acceptor.clone())).await, Security::StartTls, ca(pem));
    post.letter("a", "ada@example.org", 0).await;
    assert_eq!((post.turn.take().await, post.server.taken().len()), (Went::Well, 1));
    post.letter("b", "ada@example.org", 0).await;
    post.server.mood(Mood::Clear);
    assert!(post.away().await.contains("STARTTLS"), "nothing goes in clear text");
    let mut stranger = Post::new(Server::start(Some(acceptor)).await, Security::StartTls, ca(tls().1));
    stranger.letter("a", "ada@example.org", 0).await;
    assert!(stranger.away().await.contains("certificate"));
    assert_eq!((post.server.taken().len(), stranger.server.taken().len()), (0, 0));
}

#[tokio::test]
async fn a_letter_of_any_text_is_one_that_mail_can_carry() {
    let mut post = Post::clear().await;
    let body = format!("schön\r\n.\r\n{}\r\n", "x".repeat(5000));
    post.outbox.notice("a", "ada@example.org", "Grüße\r\nBcc: all@example.org", &body).await.unwrap();
    assert_eq!(post.turn.take().await, Went::Well);
    let [text] = &post.server.taken()[..] else { panic!("one letter") };
    assert!(text.is_ascii() && text.split("\r\n").all(|line| line.len() <= 998), "{text}");
    assert!(!text.contains("\r\nBcc:") && text.contains("\r\nSubject: =?utf-8?"), "{text}");
}
