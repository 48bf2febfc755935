//! One listing: what is said, to whom, and how it goes on.

use axum::{extract::Path, response::Response};
use http::StatusCode;
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{
    CreateListingRequest, GetListingRequest, Listing, ListingAudience, ListingState, ListingText, ListingVersion, UpdateListingRequest,
};

use super::{
    super::{
        Page, encoded,
        parts::{self, Area, Field},
        see_other,
    },
    Side, path, steps,
    table::{self, state},
};
use crate::{
    fail::{Answer, Fail},
    figures,
    guard::Sent,
    visit::Visit,
};

/// The languages of the form; the first must be filled in.
const LANGUAGES: [&str; 2] = ["en", "zh"];

/// The listing of a model, if this side may see it.
pub(super) async fn read<S: Side>(visit: &Visit, side: &S, model: &str) -> Answer<Listing> {
    let asked = visit.app().accounts.ask(GetListingRequest { model: model.to_owned() });
    side.listings(visit)?.get_listing(asked).await?.into_inner().listing.ok_or_else(Fail::absent)
}

/// The page. What somebody may see and not change is shown among the models.
pub async fn show<S: Side>(visit: Visit, side: S, Path(model): Path<String>) -> Answer {
    let listing = read(&visit, &side, &model).await?;
    // Whom it is for is told to those alone who may change it.
    if listing.audience.is_none() {
        return Err(Fail::absent());
    }
    Ok(page::<S>(&visit, &listing, None, None))
}

/// The page, with what was typed, where that was wrong.
pub(super) fn page<S: Side>(visit: &Visit, listing: &Listing, sent: Option<&Sent>, fail: Option<&Fail>) -> Response {
    let ended = listing.state() == ListingState::Retired;
    let actions = html! {
        (state(visit, listing))
        a.button href={ "/models/" (encoded(&listing.model)) } { (visit.say("listing.look")) }
    };
    let title = if S::IS_OPERATOR { "listing.all" } else { "listing.own" };
    let body = html! {
        (parts::told(visit))
        p.crumb { a href=(S::BASE) { (visit.say(title)) } }
        (parts::head(&listing.model, "", actions))
        (parts::wrong(visit, fail))
        @if !ended { (steps::forms::<S>(visit, listing)) (editor::<S>(visit, listing, sent)) }
    };
    let status = fail.map_or(StatusCode::OK, |fail| fail.status);
    Page::new(S::PLACE, &listing.model, body).status(status).answer(visit)
}

/// What a field has in it: what was typed, else what is kept.
struct Filled<'a> {
    listing: &'a Listing,
    sent: Option<&'a Sent>,
}

impl Filled<'_> {
    fn or(&self, field: &str, kept: impl Into<String>) -> String {
        self.sent.map_or_else(|| kept.into(), |sent| sent.text(field).to_owned())
    }

    fn text(&self, field: &str, language: &str, of: fn(&ListingText) -> &str) -> String {
        let kept = self.listing.texts.iter().find(|text| text.language == language).map_or("", of);
        self.or(field, kept)
    }
}

fn editor<S: Side>(visit: &Visit, listing: &Listing, sent: Option<&Sent>) -> Markup {
    let filled = Filled { listing, sent };
    // A form that was refused keeps what it was read at: whoever else has changed the listing since is not overwritten.
    let revision = filled.or("revision", listing.revision.to_string());
    html! {
        section.form.wide-form {
            h2 { (visit.say("listing.said")) }
            form method="post" action=(path::<S>(&listing.model)) {
                (parts::csrf(visit))
                input type="hidden" name="revision" value=(revision);
                (Field::text("task", visit.say("models.task"), &filled.or("task", &*listing.task)).hint(visit.say("listing.task_hint")).show())
                @for language in LANGUAGES { (texts(visit, &filled, language)) }
                (version(visit, &filled))
                @if S::IS_OPERATOR { (audience(visit, &filled)) }
                button.primary type="submit" { (visit.say("form.save")) }
            }
        }
    }
}

fn texts(visit: &Visit, filled: &Filled<'_>, language: &str) -> Markup {
    let [summary, description, terms] = ["summary", "description", "terms"].map(|field| format!("{field}_{language}"));
    let chinese = language == "zh";
    let label = |english: &'static str, other: &'static str| visit.say(if chinese { other } else { english });
    let line = filled.text(&summary, language, |text| &text.summary);
    let field = Field::text(&summary, label("listing.summary_en", "listing.summary_zh"), &line).hint(visit.say("listing.summary_hint"));
    let area = |name: &str, label: &str, value: &str, rows| Area { name, label, value, rows, hint: visit.say("listing.plain") }.show();
    html! {
        @if chinese { (field.optional().show()) } @else { (field.show()) }
        (area(&description, label("listing.description_en", "listing.description_zh"), &filled.text(&description, language, |text| &text.description), 8))
        (area(&terms, label("listing.terms_en", "listing.terms_zh"), &filled.text(&terms, language, |text| &text.terms), 4))
    }
}

/// One more entry of the changelog; those that there are stay.
fn version(visit: &Visit, filled: &Filled<'_>) -> Markup {
    html! {
        fieldset {
            legend { (visit.say("listing.new_version")) }
            p.hint { (visit.texts().fill("listing.new_version_hint", &[("count", &filled.listing.versions.len().to_string())])) }
            (Field::text("version", visit.say("models.version"), &filled.or("version", "")).optional().show())
            (Area { name: "version_text", label: visit.say("listing.what_is_new"), value: &filled.or("version_text", ""), rows: 3, hint: "" }.show())
        }
    }
}

fn audience(visit: &Visit, filled: &Filled<'_>) -> Markup {
    let kept = filled.listing.audience.clone().unwrap_or_default();
    let chosen = filled.or("audience", if kept.everyone { "everyone" } else { "tenants" });
    let options = [("everyone", visit.say("listing.everyone")), ("tenants", visit.say("listing.these"))];
    html! {
        (parts::select("audience", visit.say("listing.audience"), &options, &chosen))
        (Field::text("tenants", visit.say("listing.these"), &filled.or("tenants", kept.tenants.join(", "))).optional().hint(visit.say("listing.these_hint")).show())
    }
}

/// What a form says in each language; the Chinese text may be left out whole.
fn said(sent: &Sent) -> Vec<ListingText> {
    let of = |language: &str| {
        let field = |name: &str| sent.text(&format!("{name}_{language}")).to_owned();
        ListingText { language: language.to_owned(), summary: field("summary"), description: field("description"), terms: field("terms") }
    };
    let has_text = |text: &ListingText| [&text.summary, &text.description, &text.terms].into_iter().any(|said| !said.is_empty());
    LANGUAGES.map(of).into_iter().filter(|text| text.language == LANGUAGES[0] || has_text(text)).collect()
}

fn said_audience<S: Side>(sent: &Sent) -> Option<ListingAudience> {
    let everyone = sent.text("audience") == "everyone";
    let tenants = if everyone { Vec::new() } else { sent.words("tenants") };
    S::IS_OPERATOR.then_some(ListingAudience { everyone, tenants })
}

/// Makes a draft.
pub async fn create<S: Side>(visit: Visit, side: S, sent: Sent) -> Answer {
    let asked = CreateListingRequest {
        model: sent.text("model").to_owned(),
        provider: sent.text("provider").to_owned(),
        task: sent.text("task").to_owned(),
        texts: said(&sent),
        versions: Vec::new(),
        audience: None,
    };
    match side.listings(&visit)?.create_listing(visit.app().accounts.ask(asked)).await.map_err(Fail::from) {
        Ok(_) => Ok(see_other(&format!("{}?told=listed", path::<S>(sent.text("model"))))),
        Err(fail) if fail.is_about_the_form() => table::shown(&visit, &side, &sent, Some(&fail)).await,
        Err(fail) => Err(fail),
    }
}

/// Changes what is said.
pub async fn change<S: Side>(visit: Visit, side: S, Path(model): Path<String>, sent: Sent) -> Answer {
    let listing = read(&visit, &side, &model).await?;
    let mut versions = listing.versions.clone();
    if !sent.text("version").is_empty() || !sent.text("version_text").is_empty() {
        let (version, text) = (sent.text("version").to_owned(), sent.text("version_text").to_owned());
        versions.push(ListingVersion { version, day_unix_ms: figures::day_of(figures::now_ms()), text });
    }
    let asked = UpdateListingRequest {
        model: model.clone(),
        revision: sent.text("revision").parse().map_err(|_| Fail::new(StatusCode::BAD_REQUEST))?,
        task: sent.text("task").to_owned(),
        texts: said(&sent),
        versions,
        audience: said_audience::<S>(&sent),
    };
    match side.listings(&visit)?.update_listing(visit.app().accounts.ask(asked)).await.map_err(Fail::from) {
        Ok(_) => Ok(see_other(&format!("{}?told=listed", path::<S>(&model)))),
        Err(fail) if fail.is_about_the_form() => Ok(page::<S>(&visit, &listing, Some(&sent), Some(&fail))),
        Err(fail) => Err(fail),
    }
}
