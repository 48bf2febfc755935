//! `GET /console/changes`: who did what.

use axum::response::Response;
use maud::html;
use torchmesh_api::accounts::v1::{Change, ListChangesRequest, Member};

use super::{
    super::{Page, Place, parts},
    members,
};
use crate::{
    fail::Answer,
    visit::{Person, Visit},
};

const SHOWN: i32 = 100;

/// The page.
pub async fn list(visit: Visit, person: Person) -> Answer {
    let asked = visit.app().accounts.ask(ListChangesRequest { page_size: SHOWN, ..Default::default() });
    let mut changes = person.accounts(&visit).list_changes(asked).await?.into_inner().changes;
    let members = members::all(&visit, &person).await?;
    for change in &mut changes {
        name(change, &members);
    }
    Ok(page(&visit, Place::Changes, visit.say("nav.changes"), visit.say("changes.lead"), &changes))
}

/// Says who did it by their address, while they are a member.
fn name(change: &mut Change, members: &[Member]) {
    let of = |id: &str| members.iter().find(|member| member.id == id).map(|member| member.email.clone());
    if let Some(email) = change.actor.strip_prefix("member:").and_then(of) {
        change.actor = email;
    }
}

/// The same of every tenant: the operators' page has this, too.
pub(in crate::pages) fn page(visit: &Visit, place: Place, title: &str, lead: &str, changes: &[Change]) -> Response {
    let heads = ["changes.when", "changes.what", "changes.detail", "changes.who"];
    let table = html! {
        table {
            thead { tr { @for head in heads { th scope="col" { (visit.say(head)) } } } }
            tbody {
                @for change in changes {
                    tr {
                        td { (parts::moment(change.time_unix_ms, "")) }
                        th scope="row" { (change.what) }
                        td.wrap { (change.detail) }
                        td.wrap.faint { (change.actor) }
                    }
                }
            }
        }
    };
    let body = html! {
        (parts::head(title, lead, html! {}))
        @if changes.is_empty() { (parts::empty(visit.say("changes.none"), html! {})) } @else { (parts::scroll(title, table)) }
    };
    Page::new(place, title, body).answer(visit)
}
