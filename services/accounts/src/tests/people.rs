//! Members: signing up, in and out.

use std::{fs, path::Path};

use super::{NOW, outbox, store, tenant};
use crate::{
    access::{Access, Asker, Role},
    error::Refusal,
    people::{self, MailSettings, NewMember, NewTenant, Outbox, Passwords, Session, SignedIn},
    store::Store,
};

pub(super) const EMAIL: &str = "ada@example.org";
pub(super) const PASSWORD: &str = "correct horse battery";

fn new(name: &str) -> NewTenant<'_> {
    NewTenant { email: EMAIL, password: PASSWORD, name, display_name: "" }
}

/// The letters so far, the last one last.
fn letters(folder: &Path) -> Vec<String> {
    let mut files: Vec<_> = fs::read_dir(folder.join("outbox")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

/// The token of the last letter.
fn token(folder: &Path) -> String {
    let letters = letters(folder);
    let line = letters.last().unwrap().lines().find(|line| line.starts_with("tm_letter_"));
    line.unwrap().to_owned()
}

/// What somebody gets who has no second factor.
pub(super) fn session(signed_in: SignedIn) -> Session {
    match signed_in {
        SignedIn::Session(session) => session,
        SignedIn::Challenge(_) => panic!("a code is asked for"),
    }
}

pub(super) async fn asker(store: &Store, token: &str, now: i64) -> Result<Asker, Refusal> {
    let mut metadata = tonic::metadata::MetadataMap::new();
    metadata.insert("authorization", format!("Bearer {token}").parse().unwrap());
    Access::new(store.clone(), None, None).asker(&metadata, now).await
}

#[tokio::test]
async fn whoever_signs_up_confirms_their_address_and_signs_in() {
    let ((folder, store), passwords) = (store().await, Passwords::new().unwrap());
    let outbox = outbox(folder.path());
    people::sign_up(&store, &passwords, &outbox, new("acme"), NOW).await.unwrap();
    let sign_in = async |now| people::sign_in(&store, &passwords, "Ada@Example.org", PASSWORD, now).await;
    assert!(matches!(sign_in(NOW).await, Err(Refusal::Unknown(_))), "the address is not confirmed");
    let letter = token(folder.path());
    people::verify(&store, &letter, NOW).await.unwrap();
    assert!(matches!(people::verify(&store, &letter, NOW).await, Err(Refusal::Invalid(_))), "a letter is good once");
    let session = session(sign_in(NOW).await.unwrap());
    assert_eq!(session.member.role, Role::Owner);
    let known = asker(&store, &session.token, NOW).await.unwrap();
    assert!(matches!(&known, Asker::Member { tenant_id, role: Role::Owner, .. } if *tenant_id == session.member.tenant_id));
    assert!(asker(&store, &session.token, session.expires_ms).await.is_err(), "sessions end");
    people::sign_out(&store, &known, &session.token, NOW).await.unwrap();
    assert!(asker(&store, &session.token, NOW).await.is_err());
}

#[tokio::test]
async fn a_letters_link_says_what_it_is_for() {
    let ((folder, store), passwords) = (store().await, Passwords::new().unwrap());
    let link = Some("https://portal.example.org/letters/{purpose}?token=".to_owned());
    let outbox =
        Outbox::open(MailSettings { outbox: folder.path().join("outbox"), from: "t@localhost".to_owned(), link, smtp: None }).unwrap();
    people::sign_up(&store, &passwords, &outbox, new("acme"), NOW).await.unwrap();
    people::request_reset(&store, &outbox, EMAIL, NOW).await.unwrap();
    let letters = letters(folder.path());
    for (letter, purpose) in letters.iter().zip(["verify", "reset"]) {
        assert!(letter.contains(&format!("\r\nhttps://portal.example.org/letters/{purpose}?token=tm_letter_")), "{letter}");
    }
}

#[tokio::test]
async fn whether_an_address_is_known_is_told_to_its_owner_alone() {
    let ((folder, store), passwords) = (store().await, Passwords::new().unwrap());
    let outbox = outbox(folder.path());
    people::sign_up(&store, &passwords, &outbox, new("acme"), NOW).await.unwrap();
    people::sign_up(&store, &passwords, &outbox, new("bolt"), NOW).await.unwrap();
    assert!(letters(folder.path())[1].contains("which is known"));
    assert!(matches!(people::sign_up(&store, &passwords, &outbox, new("acme"), NOW).await, Err(Refusal::Exists(_))));
    let unknown = NewTenant { email: "bob@example.org", ..new("acme") };
    assert!(matches!(people::sign_up(&store, &passwords, &outbox, unknown, NOW).await, Err(Refusal::Exists(_))), "the same answer");
    people::request_reset(&store, &outbox, "nobody@example.org", NOW).await.unwrap();
    assert_eq!(letters(folder.path()).len(), 2, "nobody gets no letter");
    let wrong = people::sign_in(&store, &passwords, EMAIL, "another password", NOW).await.unwrap_err();
    assert_eq!(people::sign_in(&store, &passwords, "nobody@example.org", PASSWORD, NOW).await.unwrap_err(), wrong);
}

#[tokio::test]
async fn ten_attempts_may_fail_and_no_more_whether_the_address_is_known_or_not() {
    let ((_folder, store), passwords) = (store().await, Passwords::new().unwrap());
    for email in [EMAIL, "nobody@example.org"] {
        for _ in 0..10 {
            assert!(matches!(people::sign_in(&store, &passwords, email, "a wrong one", NOW).await, Err(Refusal::Unknown(_))));
        }
        assert!(matches!(people::sign_in(&store, &passwords, email, "a wrong one", NOW + 60_000).await, Err(Refusal::TooOften(_))));
        let later = people::sign_in(&store, &passwords, email, "a wrong one", NOW + 15 * 60_000).await;
        assert!(matches!(later, Err(Refusal::Unknown(_))), "{later:?}");
    }
}

#[tokio::test]
async fn a_new_password_ends_the_old_one_and_every_session() {
    let ((folder, store), passwords) = (store().await, Passwords::new().unwrap());
    let outbox = outbox(folder.path());
    people::sign_up(&store, &passwords, &outbox, new("acme"), NOW).await.unwrap();
    people::verify(&store, &token(folder.path()), NOW).await.unwrap();
    let session = session(people::sign_in(&store, &passwords, EMAIL, PASSWORD, NOW).await.unwrap());
    people::request_reset(&store, &outbox, EMAIL, NOW).await.unwrap();
    let letter = token(folder.path());
    let late = people::reset(&store, &passwords, &letter, "another password", NOW + 3_600_000).await;
    assert!(matches!(late, Err(Refusal::Invalid(_))), "a letter is good for an hour");
    people::reset(&store, &passwords, &letter, "another password", NOW + 1).await.unwrap();
    assert!(asker(&store, &session.token, NOW + 1).await.is_err());
    assert!(people::sign_in(&store, &passwords, EMAIL, PASSWORD, NOW + 2).await.is_err());
    people::sign_in(&store, &passwords, EMAIL, "another password", NOW + 2).await.unwrap();
}

#[tokio::test]
async fn whoever_is_invited_sets_a_password_and_is_in_and_one_owner_stays() {
    let ((folder, store), passwords) = (store().await, Passwords::new().unwrap());
    let (outbox, acme) = (outbox(folder.path()), tenant(&store, "acme").await);
    let invited = NewMember { tenant: &acme, email: EMAIL, role: Role::Owner };
    let owner = people::invite(&store, &outbox, &Asker::Operator, invited, NOW).await.unwrap();
    people::reset(&store, &passwords, &token(folder.path()), PASSWORD, NOW).await.unwrap();
    let session = session(people::sign_in(&store, &passwords, EMAIL, PASSWORD, NOW).await.unwrap());
    let asker = asker(&store, &session.token, NOW).await.unwrap();
    let last = people::update(&store, &asker, &owner.id, Some(Role::Viewer), false, NOW).await;
    assert!(matches!(last, Err(Refusal::State(_))), "{last:?}");
    assert!(matches!(people::update(&store, &asker, &owner.id, None, true, NOW).await, Err(Refusal::State(_))));
    let other = tenant(&store, "bolt").await;
    let strangers = super::member(&other, Role::Owner);
    assert!(matches!(people::update(&store, &strangers, &owner.id, None, true, NOW).await, Err(Refusal::Absent(_))));
}
