//! The portal, with real accounts and a real mesh: as people use it, and as those do who should not.

mod attacks;
mod belonging;
mod billing;
mod browser;
mod forms;
mod listings;
mod measure;
mod playground;
mod sessions;
mod shown;
mod signing_in;

use torchmesh_tests::{
    accounts::{Accounts, Database},
    portal::{FOR_ACCOUNTS, Portal},
};

/// Accounts and a portal, without a mesh.
async fn alone(more: &[(&str, &str)]) -> (Accounts, Portal) {
    let accounts = Accounts::start(&Database::Sqlite, &FOR_ACCOUNTS).await;
    let portal = Portal::start(&accounts, None, more).await;
    (accounts, portal)
}
