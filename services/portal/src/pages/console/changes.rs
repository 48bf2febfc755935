//! `GET /console/changes`: who did what.

use axum::response::Response;
use maud::html;
use torchmesh_api::accounts::v1::{Change, ListChangesRequest};

use super::super::{Page, Place, parts};
use crate::{
    fail::Answer,
    visit::{Person, Visit},
};

const SHOWN: i32 = 100;

/// The page.
pub async fn list(visit: Visit, person: Person) -> Answer {
    let asked = visit.app().accounts.ask(ListChangesRequest { page_size: SHOWN, ..Default::default() });
    let changes = person.accounts(&visit).list_changes(asked).await?.into_inner().changes;
    Ok(page(&visit, Place::Changes, visit.say("nav.changes"), visit.say("changes.lead"), &changes))
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
                        td { (change.detail) }
                        td.mono.faint { (change.actor) }
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
