//! Pages for operators: members whom the settings list. What they ask is asked with the operators' token, which never leaves this process.

pub mod mesh;
pub mod plans;
pub mod rollouts;
pub mod routes;
pub mod tenant;
pub mod tenants;
pub mod traffic;

use axum::response::Response;
use torchmesh_api::accounts::v1::ListChangesRequest;

use super::{Place, console};
use crate::{
    app::App,
    fail::{Answer, Fail},
    upstream::Router,
    visit::{Operator, Visit},
};

const SHOWN: i32 = 200;

/// The router that the settings name.
fn router(app: &App) -> Answer<&Router> {
    app.router.as_ref().ok_or_else(Fail::absent)
}

/// `GET /operator/changes`: what anybody changed.
pub async fn changes(visit: Visit, _who: Operator) -> Answer<Response> {
    let accounts = &visit.app().accounts;
    let asked = accounts.ask(ListChangesRequest { page_size: SHOWN, ..Default::default() });
    let changes = accounts.operator()?.list_changes(asked).await?.into_inner().changes;
    Ok(console::changes::page(&visit, Place::AllChanges, visit.say("nav.audit"), visit.say("changes.all_lead"), &changes))
}
