//! A second factor: set up, asked for, used once, lost.

use std::fs;

use sqlx::Row as _;
use tempfile::TempDir;

use super::{
    NOW, outbox,
    people::{EMAIL, PASSWORD, asker, session},
    store, tenant,
};
use crate::{
    access::{Asker, Role},
    error::{Refusal, Result},
    people::{
        self, NewMember, Outbox, Passwords, Session, SignedIn,
        second_factor::{self, Proof, shown},
    },
    sealing::{Keys, reseal},
    store::Store,
};

/// A step of the clock of codes.
const STEP: i64 = 30_000;

/// A member with a password, and what they are asked for.
struct Ada {
    folder: TempDir,
    store: Store,
    passwords: Passwords,
    outbox: Outbox,
    keys: Keys,
    asker: Asker,
}

/// What was written in Base32.
pub(super) fn decoded(text: &str) -> Vec<u8> {
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u64, 0);
    for letter in text.bytes() {
        let five = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|known| *known == letter).unwrap();
        (held, bits) = (held << 5 | five as u64, bits + 5);
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).unwrap());
        }
    }
    bytes
}

impl Ada {
    async fn join() -> Self {
        let ((folder, store), passwords) = (store().await, Passwords::new().unwrap());
        let (outbox, acme) = (outbox(folder.path()), tenant(&store, "acme").await);
        let new = NewMember { tenant: &acme, email: EMAIL, role: Role::Owner };
        people::invite(&store, &outbox, &Asker::Operator, new, NOW).await.unwrap();
        let file = folder.path().join("keys");
        fs::write(&file, "ab".repeat(32)).unwrap();
        let keys = Keys::read(&file).unwrap();
        let ada = Self { folder, store, passwords, outbox, keys, asker: Asker::Anybody };
        ada.set_password(PASSWORD, NOW).await;
        let session = session(ada.sign_in(NOW).await.unwrap());
        let asker = asker(&ada.store, &session.token, NOW).await.unwrap();
        Self { asker, ..ada }
    }

    /// With a second factor since a minute ago; and what codes are made with, and the recovery codes.
    async fn enrolled() -> (Self, Vec<u8>, Vec<String>) {
        let ada = Self::join().await;
        let secret = decoded(&ada.enrol(PASSWORD).await.unwrap());
        let codes = ada.confirm(&shown(&secret, NOW - 2 * STEP), NOW - 2 * STEP).await.unwrap();
        (ada, secret, codes)
    }

    /// With the token of the last letter.
    async fn set_password(&self, password: &str, now: i64) {
        let letter = self.letters().into_iter().rev().find(|letter| letter.contains("tm_letter_")).unwrap();
        let token = letter.lines().find(|line| line.starts_with("tm_letter_")).unwrap();
        people::reset(&self.store, &self.passwords, token, password, now).await.unwrap();
    }

    /// The letters so far, by when they were written.
    fn letters(&self) -> Vec<String> {
        let files = fs::read_dir(self.folder.path().join("outbox")).unwrap().map(|file| file.unwrap());
        let mut files: Vec<_> = files.map(|file| (file.metadata().unwrap().modified().unwrap(), file.path())).collect();
        files.sort();
        files.into_iter().map(|(_, path)| fs::read_to_string(path).unwrap()).collect()
    }

    async fn enrol(&self, password: &str) -> Result<String> {
        second_factor::enrol(&self.store, &self.passwords, &self.keys, &self.asker, password, NOW).await.map(|drawn| drawn.secret)
    }

    async fn confirm(&self, code: &str, now: i64) -> Result<Vec<String>> {
        second_factor::confirm(&self.store, &self.outbox, Some(&self.keys), &self.asker, code, now).await
    }

    async fn remove(&self, proof: Proof<'_>, now: i64) -> Result<()> {
        second_factor::remove(&self.store, &self.passwords, &self.outbox, Some(&self.keys), &self.asker, proof, now).await
    }

    async fn sign_in(&self, now: i64) -> Result<SignedIn> {
        people::sign_in(&self.store, &self.passwords, EMAIL, PASSWORD, now).await
    }

    /// What the password alone gives.
    async fn challenge(&self, now: i64) -> String {
        match self.sign_in(now).await.unwrap() {
            SignedIn::Challenge(challenge) => challenge,
            SignedIn::Session(_) => panic!("the password alone gives a session"),
        }
    }

    async fn complete(&self, challenge: &str, code: &str, now: i64) -> Result<(Session, i64)> {
        people::complete(&self.store, Some(&self.keys), challenge, code, now).await
    }

    async fn count(&self, query: &'static str) -> i64 {
        sqlx::query(query).fetch_one(self.store.reads().unwrap()).await.unwrap().get(0)
    }
}

#[tokio::test]
async fn the_password_gives_a_challenge_and_with_a_code_that_gives_a_session_once() {
    let (ada, secret, _) = Ada::enrolled().await;
    let sessions = ada.count("SELECT COUNT(*) FROM sessions").await;
    let challenge = ada.challenge(NOW).await;
    assert!(asker(&ada.store, &challenge, NOW).await.is_err(), "a challenge is no session");
    assert_eq!(ada.count("SELECT COUNT(*) FROM sessions").await, sessions);
    let wrong = ada.complete(&challenge, "000000", NOW).await;
    assert!(matches!(wrong, Err(Refusal::Unknown(_))), "{wrong:?}");
    let (session, left) = ada.complete(&challenge, &shown(&secret, NOW), NOW).await.unwrap();
    assert_eq!((session.member.email.as_str(), left), (EMAIL, 10));
    assert!(asker(&ada.store, &session.token, NOW).await.is_ok());
    let again = ada.complete(&challenge, &shown(&secret, NOW + STEP), NOW + STEP).await;
    assert!(matches!(again, Err(Refusal::Invalid(_))), "{again:?}");
}

#[tokio::test]
async fn a_code_is_good_once_and_of_two_at_once_one_is() {
    let (ada, secret, _) = Ada::enrolled().await;
    let challenges = [ada.challenge(NOW).await, ada.challenge(NOW).await, ada.challenge(NOW).await];
    let code = shown(&secret, NOW);
    let both = tokio::join!(ada.complete(&challenges[0], &code, NOW), ada.complete(&challenges[1], &code, NOW));
    assert!(both.0.is_ok() != both.1.is_ok(), "{both:?}");
    let late = ada.complete(&challenges[2], &code, NOW + STEP).await;
    assert!(matches!(late, Err(Refusal::Unknown(_))), "{late:?}");
    let earlier = ada.complete(&challenges[2], &shown(&secret, NOW - STEP), NOW).await;
    assert!(matches!(earlier, Err(Refusal::Unknown(_))), "it was shown before the one that was taken: {earlier:?}");
}

#[tokio::test]
async fn of_two_who_answer_one_challenge_at_once_one_is_let_in() {
    let (ada, secret, recovery) = Ada::enrolled().await;
    let challenge = ada.challenge(NOW).await;
    let code = shown(&secret, NOW);
    let both = tokio::join!(ada.complete(&challenge, &code, NOW), ada.complete(&challenge, &recovery[0], NOW));
    assert!(both.0.is_ok() != both.1.is_ok(), "{both:?}");
}

#[tokio::test]
async fn ten_codes_may_be_wrong_and_no_more_whatever_else_is_right_meanwhile() {
    let (ada, secret, recovery) = Ada::enrolled().await;
    for at in 0..10 {
        let challenge = ada.challenge(NOW).await;
        let wrong = ada.complete(&challenge, if at % 2 == 0 { "000000" } else { "AAAA-AAAA-AAAA-AAAA" }, NOW).await;
        assert!(matches!(wrong, Err(Refusal::Unknown(_))), "{at}: {wrong:?}");
    }
    people::request_reset(&ada.store, &ada.outbox, EMAIL, NOW).await.unwrap();
    ada.set_password(PASSWORD, NOW).await;
    let challenge = ada.challenge(NOW).await;
    for code in [&shown(&secret, NOW), &recovery[0]] {
        let refused = ada.complete(&challenge, code, NOW).await;
        assert!(matches!(refused, Err(Refusal::TooOften(_))), "{refused:?}");
    }
    let later = NOW + 15 * 60_000;
    let challenge = ada.challenge(later).await;
    ada.complete(&challenge, &shown(&secret, later), later).await.unwrap();
}

#[tokio::test]
async fn a_challenge_ends_after_five_minutes_and_with_a_new_password() {
    let (ada, secret, _) = Ada::enrolled().await;
    let (first, later) = (ada.challenge(NOW).await, NOW + 300_000);
    let refused = ada.complete(&first, &shown(&secret, later), later).await;
    assert!(matches!(refused, Err(Refusal::Invalid(_))), "{refused:?}");
    let second = ada.challenge(later).await;
    people::request_reset(&ada.store, &ada.outbox, EMAIL, later).await.unwrap();
    ada.set_password(PASSWORD, later).await;
    let refused = ada.complete(&second, &shown(&secret, later), later).await;
    assert!(matches!(refused, Err(Refusal::Invalid(_))), "{refused:?}");
    let third = ada.challenge(later).await;
    ada.complete(&third, &shown(&secret, later), later).await.expect("the second factor stays");
}

#[tokio::test]
async fn a_recovery_code_is_good_once_however_it_is_typed() {
    let (ada, _, recovery) = Ada::enrolled().await;
    assert_eq!(recovery.len(), 10);
    let typed = format!(" {} ", recovery[3].to_lowercase().replace('-', " "));
    let challenge = ada.challenge(NOW).await;
    let (_, left) = ada.complete(&challenge, &typed, NOW).await.unwrap();
    assert_eq!(left, 9);
    let challenge = ada.challenge(NOW).await;
    assert!(ada.complete(&challenge, &recovery[3], NOW).await.is_err());
    assert_eq!(ada.complete(&challenge, &recovery[4], NOW).await.unwrap().1, 8);
    let kept = sqlx::query("SELECT sha256 FROM recovery_codes").fetch_all(ada.store.reads().unwrap()).await.unwrap();
    assert!(kept.iter().all(|row| !recovery.contains(&row.get("sha256"))), "they are kept as hashes");
}

#[tokio::test]
async fn it_is_set_up_by_whoever_knows_the_password_and_asked_for_when_it_was_confirmed() {
    let ada = Ada::join().await;
    assert!(matches!(ada.confirm("000000", NOW).await, Err(Refusal::State(_))), "there is none yet");
    assert!(matches!(ada.enrol("a wrong one").await, Err(Refusal::Unknown(_))));
    let first = decoded(&ada.enrol(PASSWORD).await.unwrap());
    session(ada.sign_in(NOW).await.unwrap());
    let secret = decoded(&ada.enrol(PASSWORD).await.unwrap());
    assert_eq!((secret.len(), secret == first), (20, false), "another one each time");
    assert!(matches!(ada.confirm(&shown(&first, NOW), NOW).await, Err(Refusal::Unknown(_))));
    ada.confirm(&shown(&secret, NOW), NOW).await.unwrap();
    assert!(matches!(ada.enrol(PASSWORD).await, Err(Refusal::State(_))), "there is one already");
    let challenge = ada.challenge(NOW).await;
    assert!(ada.complete(&challenge, &shown(&secret, NOW), NOW).await.is_err(), "that code has confirmed it");
    let state = second_factor::state(&ada.store, &ada.asker).await.unwrap();
    assert_eq!((state.confirmed_ms, state.recovery_codes_left, state.has_password), (Some(NOW), 10, true));
    let sealed: String =
        sqlx::query("SELECT sealed FROM second_factors").fetch_one(ada.store.reads().unwrap()).await.unwrap().get("sealed");
    assert!(!sealed.as_bytes().windows(secret.len()).any(|window| window == secret));
}

#[tokio::test]
async fn it_is_removed_with_a_code_or_the_password_and_its_owner_gets_a_letter() {
    let (ada, secret, recovery) = Ada::enrolled().await;
    assert!(ada.remove(Proof::Code("000000"), NOW).await.is_err() && ada.remove(Proof::Password("a wrong one"), NOW).await.is_err());
    ada.remove(Proof::Code(&shown(&secret, NOW)), NOW).await.unwrap();
    session(ada.sign_in(NOW).await.unwrap());
    assert!(ada.letters().iter().any(|letter| letter.contains("Subject: Your second factor was removed")));
    assert!(matches!(ada.remove(Proof::Password(PASSWORD), NOW).await, Err(Refusal::State(_))), "there is none");
    let secret = decoded(&ada.enrol(PASSWORD).await.unwrap());
    ada.confirm(&shown(&secret, NOW), NOW).await.unwrap();
    let challenge = ada.challenge(NOW).await;
    assert!(ada.complete(&challenge, &recovery[0], NOW).await.is_err(), "those of the one before went with it");
    ada.remove(Proof::Password(PASSWORD), NOW).await.unwrap();
    session(ada.sign_in(NOW).await.unwrap());
    assert_eq!(ada.count("SELECT COUNT(*) FROM recovery_codes").await, 0);
}

#[tokio::test]
async fn an_operator_resets_it_for_whoever_has_lost_it_and_nobody_else_does() {
    let (ada, ..) = Ada::enrolled().await;
    let own = second_factor::reset(&ada.store, &ada.outbox, &ada.asker, EMAIL, NOW).await;
    assert!(matches!(own, Err(Refusal::Denied(_))), "{own:?}");
    let challenge = ada.challenge(NOW).await;
    second_factor::reset(&ada.store, &ada.outbox, &Asker::Operator, EMAIL, NOW).await.unwrap();
    assert!(matches!(ada.complete(&challenge, "000000", NOW).await, Err(Refusal::Invalid(_))));
    session(ada.sign_in(NOW).await.unwrap());
    assert!(ada.letters().iter().any(|letter| letter.contains("An operator has removed it")));
    assert_eq!(ada.count("SELECT COUNT(*) FROM changes WHERE what = 'second factor reset' AND actor = 'operator'").await, 1);
    let again = second_factor::reset(&ada.store, &ada.outbox, &Asker::Operator, EMAIL, NOW).await;
    assert!(matches!(again, Err(Refusal::State(_))), "{again:?}");
}

#[tokio::test]
async fn a_key_that_is_changed_keeps_codes_good_and_without_one_a_recovery_code_is() {
    let (ada, secret, recovery) = Ada::enrolled().await;
    let file = ada.folder.path().join("keys");
    fs::write(&file, format!("{}\n{}", "cd".repeat(32), "ab".repeat(32))).unwrap();
    assert!(ada.keys.look());
    reseal(&ada.keys, &ada.store).await.unwrap();
    fs::write(&file, "cd".repeat(32)).unwrap();
    assert!(ada.keys.look());
    let challenge = ada.challenge(NOW).await;
    ada.complete(&challenge, &shown(&secret, NOW), NOW).await.unwrap();
    fs::write(&file, "ef".repeat(32)).unwrap();
    assert!(ada.keys.look());
    let challenge = ada.challenge(NOW).await;
    let code = shown(&secret, NOW + STEP);
    assert_eq!(ada.complete(&challenge, &code, NOW + STEP).await.unwrap_err(), Refusal::Fault, "nobody can know whether it is good");
    assert_eq!(people::complete(&ada.store, None, &challenge, &code, NOW).await.unwrap_err(), Refusal::Fault);
    ada.complete(&challenge, &recovery[0], NOW).await.unwrap();
}
