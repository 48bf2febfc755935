//! A second factor: codes by the time of day (`code`), and recovery codes for whoever has lost what shows them (`recovery`). Each is good once (`spend`).

mod base32;
mod code;
mod recovery;
mod spend;

use ring::rand::{SecureRandom as _, SystemRandom};
use sqlx::{AnyConnection, Row as _};

#[cfg(test)]
pub(crate) use code::shown;
pub(super) use spend::{attempt, forgive, spend};

use super::{Member, Outbox, Passwords, attempts, members};
use crate::{
    access::Asker,
    error::{Refusal, Result},
    sealing::Keys,
    store::{Change, Store, Told},
};

/// The bytes of a secret: as many as SHA-1 has (RFC 4226, section 4).
const BYTES: usize = 20;
/// What authenticators show beside the address.
const ISSUER: &str = "torchmesh";

/// What there is of a member's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Since when codes are asked for.
    pub confirmed_ms: Option<i64>,
    /// Recovery codes that have not been used.
    pub recovery_codes_left: i64,
    /// Whether the member has a password.
    pub has_password: bool,
}

/// A secret as it is shown, once.
pub struct Enrolment {
    /// In Base32.
    pub secret: String,
    /// As a QR code has it.
    pub uri: String,
}

/// What is shown to have it removed.
#[derive(Clone, Copy)]
pub enum Proof<'a> {
    /// A code, or a recovery code.
    Code(&'a str),
    /// The member's password.
    Password(&'a str),
}

/// Whose it is, as it is sealed.
fn owner(member_id: &str) -> String {
    format!("second factor {member_id}")
}

/// The member whose session it is.
async fn own(store: &Store, asker: &Asker) -> Result<Member> {
    let Asker::Member { id, .. } = asker else {
        return Err(Refusal::Invalid("the token is not that of a session".to_owned()));
    };
    members::find(store, asker, id).await
}

/// Whether a member is asked for codes.
pub(super) async fn is_asked(connection: &mut AnyConnection, member_id: &str) -> Result<bool> {
    let query = sqlx::query("SELECT confirmed_ms FROM second_factors WHERE member_id = $1 AND confirmed_ms IS NOT NULL");
    Ok(query.bind(member_id.to_owned()).fetch_optional(connection).await?.is_some())
}

/// What there is of whoever asks.
pub async fn state(store: &Store, asker: &Asker) -> Result<State> {
    let member = own(store, asker).await?;
    let query = "SELECT (SELECT confirmed_ms FROM second_factors WHERE member_id = $1) AS confirmed_ms, \
                 (SELECT COUNT(*) FROM recovery_codes WHERE member_id = $1) AS recovery_codes_left, \
                 (SELECT COUNT(*) FROM members WHERE id = $1 AND password_hash IS NOT NULL) AS passwords";
    let row = sqlx::query(query).bind(member.id).fetch_one(store.reads()?).await?;
    let has_password = row.try_get::<i64, _>("passwords")? > 0;
    Ok(State { confirmed_ms: row.try_get("confirmed_ms")?, recovery_codes_left: row.try_get("recovery_codes_left")?, has_password })
}

/// Draws a secret for whoever asks, and knows their password, where they have one.
pub async fn enrol(store: &Store, passwords: &Passwords, keys: &Keys, asker: &Asker, password: &str, now: i64) -> Result<Enrolment> {
    let member = own(store, asker).await?;
    if let Some(hash) = password_hash(store, &member).await? {
        knows(store, passwords, &member, password, hash, now).await?;
    }
    let mut secret = [0; BYTES];
    SystemRandom::new().fill(&mut secret).map_err(|_| Refusal::Fault)?;
    let mut change = Change::begin(store, asker, now).await?;
    let row = "INSERT INTO second_factors (member_id, sealed, created_ms, last_step) VALUES ($1, $2, $3, 0) ON CONFLICT (member_id) \
               DO UPDATE SET sealed = $2, created_ms = $3, last_step = 0 WHERE second_factors.confirmed_ms IS NULL";
    let row = sqlx::query(row).bind(member.id.clone()).bind(keys.seal(&owner(&member.id), &secret)?).bind(now);
    if row.execute(change.connection()).await?.rows_affected() == 0 {
        return Err(Refusal::State("there is a second factor already; remove it first".to_owned()));
    }
    change.commit(Told { tenant_id: &member.tenant_id, subject: &member.id, what: "second factor drawn", detail: "" }).await?;
    let secret = base32::encode(&secret);
    let address: String = form_urlencoded::byte_serialize(member.email.as_bytes()).collect();
    let uri = format!("otpauth://totp/{ISSUER}:{address}?secret={secret}&issuer={ISSUER}&algorithm=SHA1&digits=6&period=30");
    Ok(Enrolment { secret, uri })
}

/// Asks for codes from now on, since whoever asks has shown one; gives the recovery codes.
pub async fn confirm(store: &Store, outbox: &Outbox, keys: Option<&Keys>, asker: &Asker, told: &str, now: i64) -> Result<Vec<String>> {
    let member = own(store, asker).await?;
    attempt(store, &member.email, now).await?;
    let mut change = Change::begin(store, asker, now).await?;
    let query = sqlx::query("SELECT sealed FROM second_factors WHERE member_id = $1 AND confirmed_ms IS NULL");
    let row = query.bind(member.id.clone()).fetch_optional(change.connection()).await?;
    let row = row.ok_or_else(|| Refusal::State("there is nothing to confirm; set up a second factor first".to_owned()))?;
    let secret = spend::open(keys, &member.id, row.try_get("sealed")?)?;
    let step = code::step_of(&secret, &told.split_whitespace().collect::<String>(), 0, now).ok_or(spend::WRONG)?;
    let query = sqlx::query("UPDATE second_factors SET confirmed_ms = $2, last_step = $3 WHERE member_id = $1");
    query.bind(member.id.clone()).bind(now).bind(step).execute(change.connection()).await?;
    let codes = recovery::draw(&mut change, &member.id).await?;
    change.commit(Told { tenant_id: &member.tenant_id, subject: &member.id, what: "second factor added", detail: "" }).await?;
    forgive(store, &member.email).await?;
    tell(outbox, &member, now, "added", "Codes are asked for when you sign in from now on.").await?;
    Ok(codes)
}

/// Asks whoever asks for codes no more.
pub async fn remove(
    store: &Store,
    passwords: &Passwords,
    outbox: &Outbox,
    keys: Option<&Keys>,
    asker: &Asker,
    proof: Proof<'_>,
    now: i64,
) -> Result<()> {
    let member = own(store, asker).await?;
    if let Proof::Password(password) = proof {
        let hash = password_hash(store, &member).await?;
        let hash = hash.ok_or_else(|| Refusal::Invalid("code: must be said; there is no password".to_owned()))?;
        knows(store, passwords, &member, password, hash, now).await?;
    } else {
        attempt(store, &member.email, now).await?;
    }
    let mut change = Change::begin(store, asker, now).await?;
    if let Proof::Code(told) = proof {
        spend(&mut change, keys, &member.id, told).await?;
    }
    forget(&mut change, &member.id).await?;
    change.commit(Told { tenant_id: &member.tenant_id, subject: &member.id, what: "second factor removed", detail: "" }).await?;
    forgive(store, &member.email).await?;
    tell(outbox, &member, now, "removed", "Your password alone signs you in from now on.").await
}

/// Removes that of a member who has lost it. Operators only.
pub async fn reset(store: &Store, outbox: &Outbox, asker: &Asker, named: &str, now: i64) -> Result<Member> {
    asker.is_operator()?;
    let member = members::find_named(store, asker, named).await?;
    let mut change = Change::begin(store, asker, now).await?;
    forget(&mut change, &member.id).await?;
    let detail = member.email.clone();
    change.commit(Told { tenant_id: &member.tenant_id, subject: &member.id, what: "second factor reset", detail: &detail }).await?;
    forgive(store, &member.email).await?;
    tell(outbox, &member, now, "reset", "An operator has removed it. Your password alone signs you in until you set up another one.")
        .await?;
    Ok(member)
}

/// Removes all that there is of it.
async fn forget(change: &mut Change, member_id: &str) -> Result<()> {
    recovery::forget(change, member_id).await?;
    sqlx::query("DELETE FROM sign_in_challenges WHERE member_id = $1").bind(member_id.to_owned()).execute(change.connection()).await?;
    let gone = sqlx::query("DELETE FROM second_factors WHERE member_id = $1").bind(member_id.to_owned());
    if gone.execute(change.connection()).await?.rows_affected() == 0 {
        return Err(Refusal::State("there is no second factor to remove".to_owned()));
    }
    Ok(())
}

async fn password_hash(store: &Store, member: &Member) -> Result<Option<String>> {
    let query = sqlx::query("SELECT password_hash FROM members WHERE id = $1").bind(member.id.clone());
    Ok(query.fetch_one(store.reads()?).await?.try_get("password_hash")?)
}

/// Refuses whoever does not know the password.
async fn knows(store: &Store, passwords: &Passwords, member: &Member, password: &str, hash: String, now: i64) -> Result<()> {
    attempts::attempt(store, &member.email, now).await?;
    if !passwords.fits(password, Some(hash)).await? {
        return Err(Refusal::Unknown("the password is wrong"));
    }
    attempts::forgive(store, &member.email).await
}

/// Tells the member by a letter: it was somebody else, perhaps.
async fn tell(outbox: &Outbox, member: &Member, now: i64, what: &str, more: &str) -> Result<()> {
    let occasion = format!("second factor {what} {} {now}", member.id);
    let body = format!("{more}\r\n\r\nIf you know nothing of this, set a new password, and tell an owner of your tenant.\r\n");
    outbox.notice(&occasion, &member.email, &format!("Your second factor was {what}"), &body).await
}
