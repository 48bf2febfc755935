//! How a listing goes on: published, deprecated, retired.

use axum::extract::Path;
use http::StatusCode;
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{DeprecateListingRequest, Listing, ListingState, PublishListingRequest, RetireListingRequest};

use super::{
    super::{
        parts::{self, Field},
        see_other,
    },
    Side, form, path,
};
use crate::{
    fail::{Answer, Fail},
    figures::{self, DAY_MS},
    guard::Sent,
    visit::Visit,
};

/// What can be done next.
pub(super) fn forms<S: Side>(visit: &Visit, listing: &Listing) -> Markup {
    match listing.state() {
        ListingState::Draft if S::IS_OPERATOR => one::<S>(visit, listing, "publish", "listing.publish", &html! {}),
        ListingState::Draft if listing.submitted_unix_ms > 0 => html! { div.notice { p { (visit.say("listing.waits")) } } },
        ListingState::Draft => one::<S>(visit, listing, "publish", "listing.submit", &html! {}),
        ListingState::Published => deprecation::<S>(visit, listing),
        ListingState::Deprecated => html! {
            (deprecation::<S>(visit, listing))
            @if S::IS_OPERATOR { (one::<S>(visit, listing, "retire", "listing.retire", &html! {})) }
        },
        ListingState::Retired | ListingState::Unspecified => html! {},
    }
}

fn one<S: Side>(visit: &Visit, listing: &Listing, step: &str, text: &'static str, fields: &Markup) -> Markup {
    html! {
        section.form {
            form method="post" action={ (path::<S>(&listing.model)) "/" (step) } {
                (parts::csrf(visit))
                // What is published is what was read.
                input type="hidden" name="revision" value=(listing.revision);
                (fields)
                button.danger[step == "retire"] type="submit" { (visit.say(text)) }
            }
        }
    }
}

fn deprecation<S: Side>(visit: &Visit, listing: &Listing) -> Markup {
    let day = if listing.retires_unix_ms > 0 { figures::day(listing.retires_unix_ms) } else { String::new() };
    let hint = visit.say(if S::IS_OPERATOR { "listing.retires_hint" } else { "listing.retires_hint_own" });
    let fields = html! {
        (Field { kind: "date", ..Field::text("retires", visit.say("listing.retires"), &day).hint(hint) }.show())
        (Field::text("successor", visit.say("listing.successor"), &listing.successor).optional().hint(visit.say("listing.successor_hint")).show())
    };
    html! {
        details.gone open[listing.state() == ListingState::Deprecated] {
            summary { (visit.say("listing.deprecate_title")) }
            (one::<S>(visit, listing, "deprecate", "listing.deprecate", &fields))
        }
    }
}

/// Takes a step.
pub async fn step<S: Side>(visit: Visit, side: S, Path((model, step)): Path<(String, String)>, sent: Sent) -> Answer {
    let revision = sent.text("revision").parse().map_err(|_| Fail::new(StatusCode::BAD_REQUEST))?;
    let (mut listings, accounts) = (side.listings(&visit)?, &visit.app().accounts);
    let told = match step.as_str() {
        "publish" => {
            let asked = PublishListingRequest { model: model.clone(), revision };
            let word = if S::IS_OPERATOR { "published" } else { "submitted" };
            listings.publish_listing(accounts.ask(asked)).await.map(|_| word)
        }
        "deprecate" => {
            let retires_unix_ms = figures::end_of_day(sent.text("retires")).map_or(0, |end| end - DAY_MS);
            let successor = sent.text("successor").to_owned();
            let asked = DeprecateListingRequest { model: model.clone(), revision, retires_unix_ms, successor };
            listings.deprecate_listing(accounts.ask(asked)).await.map(|_| "deprecated")
        }
        "retire" => {
            let asked = RetireListingRequest { model: model.clone(), revision };
            listings.retire_listing(accounts.ask(asked)).await.map(|_| "retired")
        }
        _ => return Err(Fail::absent()),
    };
    match told.map_err(Fail::from) {
        Ok(word) => Ok(see_other(&format!("{}?told={word}", path::<S>(&model)))),
        Err(fail) if fail.is_about_the_form() => {
            let listing = form::read(&visit, &side, &model).await?;
            Ok(form::page::<S>(&visit, &listing, None, Some(&fail)))
        }
        Err(fail) => Err(fail),
    }
}
