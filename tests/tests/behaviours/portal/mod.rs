//! The portal, with real accounts and a real mesh: as people use it, and as those do who should not.

mod attacks;
mod belonging;
mod billing;
mod browser;
mod budgets;
mod forms;
mod listings;
mod measure;
mod operators;
mod playground;
mod privacy;
mod sessions;
mod shown;
mod signing_in;
mod statements;
mod webhooks;

use torchmesh_tests::{
    accounts::{Accounts, Database},
    portal::{FOR_ACCOUNTS, PASSWORD, Portal, Visitor, letter, token_of},
};

/// Accounts and a portal, without a mesh.
async fn alone(more: &[(&str, &str)]) -> (Accounts, Portal) {
    let accounts = Accounts::start(&Database::Sqlite, &FOR_ACCOUNTS).await;
    let portal = Portal::start(&accounts, None, more).await;
    (accounts, portal)
}

/// Somebody whom an owner has invited to their tenant, signed in.
async fn joined(accounts: &Accounts, portal: &Portal, owner: &mut Visitor, email: &str, role: &str) -> Visitor {
    let invited = owner.send_from("/console", "/console/members", &[("email", email), ("role", role)]).await;
    assert_eq!(invited.status, 303, "{}", invited.text());
    let letter = letter(accounts, email, "/letters/invite").await;
    let mut member = portal.visitor();
    let joined = member.send_from(&letter, "/letters/invite", &[("token", token_of(&letter)), ("password", PASSWORD)]).await;
    assert_eq!(joined.status, 303, "{}", joined.text());
    member.sign_in(email).await;
    member
}

/// Each of these forms is refused without the token of whoever sends it.
async fn need_their_token(who: &mut Visitor, paths: &[&str], fields: &[(&str, &str)]) {
    for path in paths {
        assert_eq!(who.send_with("", path, fields).await.status, 403, "{path}");
    }
}
