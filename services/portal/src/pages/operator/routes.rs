//! `/operator/routes`: the text that says which version answers.

use axum::response::Response;
use http::StatusCode;
use maud::html;

use super::{
    super::{Page, Place, parts, see_other},
    router,
};
use crate::{
    fail::{Answer, Fail},
    guard::Sent,
    visit::{Operator, Visit},
};

/// The routes as they are.
pub async fn show(visit: Visit, _who: Operator) -> Answer {
    let told = router(visit.app())?.routes().await?;
    let text = Text { routes: &told.routes, version: &told.version.to_string(), can_set: told.can_set };
    Ok(page(&visit, &text, None, None))
}

struct Text<'a> {
    routes: &'a str,
    version: &'a str,
    can_set: bool,
}

fn page(visit: &Visit, text: &Text<'_>, fail: Option<&Fail>, good: Option<&str>) -> Response {
    let body = html! {
        (parts::told(visit))
        (parts::head(visit.say("nav.routes"), visit.say("routes.lead"), html! {}))
        (parts::wrong(visit, fail))
        @if let Some(good) = good { div.notice.good role="status" { p { (good) } } }
        form method="post" action="/operator/routes" {
            (parts::csrf(visit))
            input type="hidden" name="version" value=(text.version);
            div.field {
                label for="field-routes" { (visit.say("routes.text")) }
                textarea.mono #field-routes name="routes" rows="18" spellcheck="false" readonly[!text.can_set] { (text.routes) }
            }
            @if text.can_set {
                div.actions {
                    button.primary type="submit" name="do" value="set" { (visit.say("routes.set")) }
                    button type="submit" name="do" value="check" { (visit.say("routes.check")) }
                }
            } @else { p.faint { (visit.say("routes.fixed")) } }
        }
    };
    let status = fail.map_or(StatusCode::OK, |fail| fail.status);
    Page::new(Place::Routes, visit.say("nav.routes"), body).status(status).answer(visit)
}

/// Replaces them, or says what is wrong with the text.
pub async fn set(visit: Visit, _who: Operator, sent: Sent) -> Answer {
    let (routes, dry_run) = (sent.exact("routes").replace("\r\n", "\n"), sent.text("do") != "set");
    let version = sent.text("version").parse().map_err(|_| Fail::new(StatusCode::BAD_REQUEST))?;
    let text = Text { routes: &routes, version: sent.text("version"), can_set: true };
    match router(visit.app())?.set_routes(&routes, version, dry_run).await {
        Ok(()) if dry_run => Ok(page(&visit, &text, None, Some(visit.say("routes.good")))),
        Ok(()) => Ok(see_other("/operator/routes?told=routes")),
        Err(fail) if fail.is_about_the_form() => Ok(page(&visit, &text, Some(&fail), None)),
        Err(fail) => Err(fail),
    }
}
