//! What is around every page.

use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use maud::{DOCTYPE, Markup, html};

use super::{encoded, parts};
use crate::visit::{Person, Theme, Visit};

/// Which entry of the navigation a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are called as the pages are")]
pub enum Place {
    Elsewhere,
    Models,
    Docs,
    Playground,
    Overview,
    Keys,
    Usage,
    Members,
    Billing,
    Budgets,
    Listings,
    Webhooks,
    Changes,
    Privacy,
    Security,
    Mesh,
    Traffic,
    Routes,
    Rollouts,
    Tenants,
    Plans,
    AllListings,
    AllChanges,
}

type Entry = (Place, &'static str, &'static str);

const PUBLIC: [Entry; 3] =
    [(Place::Models, "/models", "nav.models"), (Place::Playground, "/playground", "nav.playground"), (Place::Docs, "/docs", "nav.docs")];
const CONSOLE: [Entry; 11] = [
    (Place::Overview, "/console", "nav.overview"),
    (Place::Keys, "/console/keys", "nav.keys"),
    (Place::Usage, "/console/usage", "nav.usage"),
    (Place::Billing, "/console/billing", "nav.billing"),
    (Place::Budgets, "/console/budgets", "nav.budgets"),
    (Place::Members, "/console/members", "nav.members"),
    (Place::Listings, "/console/listings", "nav.listings"),
    (Place::Webhooks, "/console/webhooks", "nav.webhooks"),
    (Place::Changes, "/console/changes", "nav.changes"),
    (Place::Privacy, "/console/privacy", "nav.privacy"),
    (Place::Security, "/console/security", "nav.security"),
];
const OPERATOR: [Entry; 8] = [
    (Place::Mesh, "/operator", "nav.mesh"),
    (Place::Traffic, "/operator/traffic", "nav.traffic"),
    (Place::Routes, "/operator/routes", "nav.routes"),
    (Place::Rollouts, "/operator/rollouts", "nav.rollouts"),
    (Place::Tenants, "/operator/tenants", "nav.tenants"),
    (Place::Plans, "/operator/plans", "nav.plans"),
    (Place::AllListings, "/operator/listings", "nav.marketplace"),
    (Place::AllChanges, "/operator/changes", "nav.audit"),
];

/// A page, without what is around it.
#[derive(Debug, Clone)]
pub struct Page {
    title: String,
    place: Place,
    status: StatusCode,
    body: Markup,
}

impl Page {
    /// A page with a title.
    pub fn new(place: Place, title: impl Into<String>, body: Markup) -> Self {
        Self { title: title.into(), place, status: StatusCode::OK, body }
    }

    /// With another status than 200.
    #[must_use]
    pub fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The answer.
    pub fn answer(self, visit: &Visit) -> Response {
        (self.status, Html(self.whole(visit).into_string())).into_response()
    }

    fn whole(&self, visit: &Visit) -> Markup {
        let sides = self.place.is_inside().then(|| visit.person()).flatten();
        html! {
            (DOCTYPE)
            html lang=(visit.language.tag()) data-theme=(visit.theme.as_str()) {
                (self.head(visit))
                body {
                    a.skip href="#main" { (visit.say("nav.skip")) }
                    (top(visit, self.place))
                    @if let Some(person) = sides {
                        div.with-side {
                            (side(visit, person, self.place))
                            main #main tabindex="-1" { (self.body) }
                        }
                    } @else {
                        main #main tabindex="-1" { (self.body) }
                    }
                    (foot(visit))
                }
            }
        }
    }

    fn head(&self, visit: &Visit) -> Markup {
        let assets = &visit.app().assets;
        html! {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content=(match visit.theme { Theme::Auto => "light dark", other => other.as_str() });
                title { (self.title) " · torchmesh" }
                link rel="icon" href=(assets.path("icon.svg")) type="image/svg+xml";
                link rel="stylesheet" href=(assets.path("portal.css"));
                script src=(assets.path("portal.js")) defer {}
            }
        }
    }
}

impl Place {
    /// Whether it is for members, who have a navigation at the side.
    fn is_inside(self) -> bool {
        CONSOLE.iter().chain(&OPERATOR).any(|(place, ..)| *place == self)
    }
}

fn link(visit: &Visit, (place, path, name): Entry, here: Place) -> Markup {
    html! { a href=(path) aria-current=[(place == here).then_some("page")] { (visit.say(name)) } }
}

fn top(visit: &Visit, here: Place) -> Markup {
    html! {
        header.top {
            a.brand href="/" { (mark()) span { "torchmesh" } }
            nav.main aria-label=(visit.say("nav.main")) { @for entry in PUBLIC { (link(visit, entry, here)) } }
            div.tools {
                (preference(visit, "language", visit.say("preference.other_language_tag"), visit.say("preference.other_language"), &html! { (visit.say("preference.other_language")) }))
                (theme_switch(visit))
                (account(visit, here))
            }
        }
    }
}

fn account(visit: &Visit, here: Place) -> Markup {
    let console = (Place::Overview, "/console", "nav.console");
    html! {
        @if visit.person().is_some() {
            @if !here.is_inside() { a.button.quiet href="/console" { (visit.say(console.2)) } }
            form method="post" action="/sign-out" { (parts::csrf(visit)) button.quiet type="submit" { (visit.say("nav.sign_out")) } }
        } @else {
            a.button.quiet href=(sign_in_path(visit)) { (visit.say("nav.sign_in")) }
            @if visit.app().config.sign_up { a.button.primary href="/sign-up" { (visit.say("nav.sign_up")) } }
        }
    }
}

/// Where somebody signs in to come back to this page.
fn sign_in_path(visit: &Visit) -> String {
    let worth = ["/models", "/docs", "/playground", "/console", "/operator"].iter().any(|begin| visit.path.starts_with(begin));
    if worth { format!("/sign-in?next={}", encoded(&visit.path)) } else { "/sign-in".to_owned() }
}

/// A button that sets a preference, and comes back here.
fn preference(visit: &Visit, name: &str, value: &str, label: &str, shown: &Markup) -> Markup {
    html! {
        form method="post" action="/preferences" {
            (parts::csrf(visit))
            input type="hidden" name="next" value=(visit.path);
            button.icon type="submit" name=(name) value=(value) aria-label=(label) title=(label) { (shown) }
        }
    }
}

fn theme_switch(visit: &Visit) -> Markup {
    let (now, next) = (visit.theme.as_str(), visit.theme.next().as_str());
    let (now, then) = (format!("theme.{now}"), format!("theme.{next}"));
    let texts = visit.texts();
    let of = |key: &str| texts.find(key).unwrap_or_default();
    let label = texts.fill("preference.theme", &[("now", of(&now)), ("next", of(&then))]);
    let shape = match visit.theme {
        Theme::Auto => html! { circle cx="8" cy="8" r="6" fill="none" {} path d="M8 2a6 6 0 0 1 0 12z" {} },
        Theme::Light => html! {
            circle cx="8" cy="8" r="3.2" {}
            path.stroke d="M8 .8v2M8 13.2v2M.8 8h2M13.2 8h2M2.9 2.9l1.4 1.4M11.7 11.7l1.4 1.4M2.9 13.1l1.4-1.4M11.7 4.3l1.4-1.4" {}
        },
        Theme::Dark => html! { path d="M13.5 10A6 6 0 0 1 6 2.5 6 6 0 1 0 13.5 10z" {} },
    };
    let icon = html! { svg.glyph viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" { (shape) } };
    preference(visit, "theme", next, &label, &icon)
}

fn side(visit: &Visit, person: &Person, here: Place) -> Markup {
    html! {
        nav.side aria-label=(visit.say("nav.console")) {
            p.tenant { span.name { (person.tenant.display_name) } span.email { (person.member.email) } }
            div.links {
                @for entry in CONSOLE {
                    @if shown(person, entry.0) { (link(visit, entry, here)) }
                }
            }
            @if person.is_operator {
                p.heading { (visit.say("nav.operator")) }
                div.links { @for entry in OPERATOR { (link(visit, entry, here)) } }
            }
        }
    }
}

/// What a role is refused is not offered.
fn shown(person: &Person, place: Place) -> bool {
    match place {
        Place::Members => person.may_see_members(),
        Place::Listings | Place::Changes => person.may_change_members(),
        Place::Billing | Place::Budgets => person.may_see_bills(),
        Place::Webhooks => person.may_change_webhooks(),
        _ => true,
    }
}

/// Three nodes of a mesh.
pub(super) fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" {
            path.line d="M5 17 12 5l7 12z" {}
            circle cx="12" cy="5" r="3.2" {}
            circle cx="5" cy="17.5" r="3.2" {}
            circle cx="19" cy="17.5" r="3.2" {}
        }
    }
}

fn foot(visit: &Visit) -> Markup {
    html! {
        footer.foot {
            p { "torchmesh " (env!("CARGO_PKG_VERSION")) " · " (visit.say("foot.open")) }
            nav aria-label=(visit.say("foot.more")) {
                a href="/models" { (visit.say("nav.models")) }
                a href="/docs" { (visit.say("nav.docs")) }
                a href={ (visit.app().config.gateway.public_address) "/docs" } rel="noreferrer" { (visit.say("foot.reference")) }
            }
        }
    }
}
