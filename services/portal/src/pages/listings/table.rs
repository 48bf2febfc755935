//! The listings there are, and the form that begins one.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{ListListingsRequest, Listing, ListingState};

use super::{
    super::{
        Page, encoded,
        parts::{self, Field},
    },
    Side, path,
};
use crate::{
    fail::{Answer, Fail},
    guard::Sent,
    visit::Visit,
};

const SHOWN: i32 = 100;

/// The page.
pub async fn list<S: Side>(visit: Visit, side: S) -> Answer {
    shown(&visit, &side, &Sent::default(), None).await
}

/// The page, with what was typed and what was wrong with it.
pub(super) async fn shown<S: Side>(visit: &Visit, side: &S, sent: &Sent, fail: Option<&Fail>) -> Answer {
    let query = visit.path.split_once('?').map_or("", |(_, query)| query);
    let after = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "after");
    let page_token = after.map(|(_, value)| value.into_owned()).unwrap_or_default();
    let asked = ListListingsRequest { own: !S::IS_OPERATOR, page_size: SHOWN, page_token, brief: true, ..Default::default() };
    let told = side.listings(visit)?.list_listings(visit.app().accounts.ask(asked)).await?.into_inner();
    Ok(page::<S>(visit, &told.listings, &told.next_page_token, sent, fail))
}

fn page<S: Side>(visit: &Visit, listings: &[Listing], next: &str, sent: &Sent, fail: Option<&Fail>) -> Response {
    let (title, lead, none) = if S::IS_OPERATOR {
        ("listing.all", "listing.all_lead", "listing.none_at_all")
    } else {
        ("listing.own", "listing.own_lead", "listing.none")
    };
    let heads = ["models.name", "listing.provider", "models.task", "models.state", "listing.retires"];
    // What waits for an operator comes first.
    let (waiting, others): (Vec<_>, Vec<_>) = listings.iter().partition(|listing| listing.submitted_unix_ms > 0);
    let table = html! {
        table {
            thead { tr { @for head in heads { th scope="col" { (visit.say(head)) } } } }
            tbody { @for listing in waiting.into_iter().chain(others) { (row::<S>(visit, listing)) } }
        }
    };
    let body = html! {
        (parts::told(visit))
        (parts::head(visit.say(title), visit.say(lead), html! {}))
        (parts::wrong(visit, fail))
        @if listings.is_empty() { (parts::empty(visit.say(none), html! {})) } @else { (parts::scroll(visit.say(title), table)) }
        @if !next.is_empty() { p.actions { a.button href={ (S::BASE) "?after=" (encoded(next)) } { (visit.say("models.next")) } } }
        (beginning::<S>(visit, sent))
    };
    let status = fail.map_or(StatusCode::OK, |fail| fail.status);
    Page::new(S::PLACE, visit.say(title), body).status(status).answer(visit)
}

fn row<S: Side>(visit: &Visit, listing: &Listing) -> Markup {
    html! {
        tr {
            th.mono scope="row" { a href=(path::<S>(&listing.model)) { (listing.model) } }
            td { @if listing.provider.is_empty() { (visit.say("listing.platform")) } @else { (listing.provider) } }
            td { (listing.task) }
            td { (state(visit, listing)) }
            td { (parts::day(if listing.state() == ListingState::Retired { 0 } else { listing.retires_unix_ms }, "")) }
        }
    }
}

/// Where a listing is; of a draft, whether it waits for an operator.
pub(super) fn state(visit: &Visit, listing: &Listing) -> Markup {
    match listing.state() {
        ListingState::Draft if listing.submitted_unix_ms > 0 => parts::badge("waiting", visit.say("listing.state.submitted")),
        ListingState::Draft | ListingState::Unspecified => parts::badge("plain", visit.say("listing.state.draft")),
        ListingState::Published => parts::badge("good", visit.say("listing.state.published")),
        ListingState::Deprecated => parts::badge("waiting", visit.say("listing.state.deprecated")),
        ListingState::Retired => parts::badge("bad", visit.say("listing.state.retired")),
    }
}

fn beginning<S: Side>(visit: &Visit, sent: &Sent) -> Markup {
    html! {
        section.form.card-form {
            h2 { (visit.say("listing.new")) }
            p.faint { (visit.say(if S::IS_OPERATOR { "listing.new_for" } else { "listing.new_own" })) }
            form method="post" action=(S::BASE) {
                (parts::csrf(visit))
                (Field::text("model", visit.say("listing.model"), sent.text("model")).show())
                @if S::IS_OPERATOR { (Field::text("provider", visit.say("listing.provider_tenant"), sent.text("provider")).optional().hint(visit.say("listing.provider_hint")).show()) }
                (Field::text("task", visit.say("models.task"), sent.text("task")).hint(visit.say("listing.task_hint")).show())
                (Field::text("summary_en", visit.say("listing.summary_en"), sent.text("summary_en")).hint(visit.say("listing.summary_hint")).show())
                button.primary type="submit" { (visit.say("listing.begin")) }
            }
        }
    }
}
