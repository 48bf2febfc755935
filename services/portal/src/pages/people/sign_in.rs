//! `/sign-in` and `/sign-out`.

use axum::{extract::RawQuery, response::Response};
use http::{StatusCode, header};
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{ListProvidersRequest, Provider, SignInRequest, SignOutRequest};

use super::{
    super::{
        Page, Place, encoded,
        parts::{self, Field},
        see_other,
    },
    attempt, code, narrow,
};
use crate::{
    fail::{Answer, Fail},
    guard::{
        Sent,
        cookies::{self, Kind},
        local_path,
    },
    visit::{Person, Visit},
};

/// Where one is when nothing else was asked for.
pub(super) const INSIDE: &str = "/console";

/// The form.
pub async fn show(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let next = next_of(query.as_deref().unwrap_or_default());
    if visit.person().is_some() {
        return see_other(local_path(&next, INSIDE));
    }
    form(&visit, &next, "", None).await
}

fn next_of(query: &str) -> String {
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "next").map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// Signs in. The session's cookie is always a new one, whatever the browser has shown.
pub async fn send(visit: Visit, sent: Sent) -> Answer {
    attempt(&visit)?;
    let (email, next) = (sent.text("email"), local_path(sent.text("next"), INSIDE));
    let asked = SignInRequest { email: email.to_owned(), password: sent.exact("password").to_owned() };
    match visit.app().accounts.anybody().sign_in(visit.app().accounts.ask(asked)).await {
        Ok(told) => {
            visit.app().attempts.forgive(&visit.address);
            let told = told.into_inner();
            if !told.challenge.is_empty() {
                return Ok(code::form(&visit, &told.challenge, next, false));
            }
            Ok(begin(&visit, &told.session_token, next))
        }
        Err(status) => {
            let fail = Fail::from(status);
            if fail.status == StatusCode::UNAUTHORIZED || fail.is_about_the_form() {
                Ok(form(&visit, next, email, Some(visit.say("sign_in.wrong"))).await)
            } else {
                Err(fail)
            }
        }
    }
}

/// Begins the session in the browser.
pub(super) fn begin(visit: &Visit, token: &str, next: &str) -> Response {
    let secure = visit.app().config.is_secure();
    let mut response = see_other(next);
    response.headers_mut().append(header::SET_COOKIE, cookies::set(Kind::Session, token, secure));
    response.headers_mut().append(header::SET_COOKIE, cookies::remove(Kind::Visitor, secure));
    response
}

/// The form, with what went wrong.
pub(super) async fn form(visit: &Visit, next: &str, email: &str, wrong: Option<&str>) -> Response {
    let providers = providers(visit).await;
    let form = html! {
        @if let Some(wrong) = wrong { div.notice.bad role="alert" { p { (wrong) } } }
        (parts::told(visit))
        form method="post" action="/sign-in" {
            (parts::csrf(visit))
            input type="hidden" name="next" value=(local_path(next, INSIDE));
            (Field::email(visit.say("people.email"), email).show())
            (Field::password(visit.say("people.password"), "current-password").show())
            button.primary.wide type="submit" { (visit.say("nav.sign_in")) }
        }
        @for provider in &providers { (button(visit, provider, next)) }
    };
    let below = html! {
        p.below {
            a href="/forgotten" { (visit.say("sign_in.forgotten")) }
            @if visit.app().config.sign_up { span { (visit.say("sign_in.new")) " " a href="/sign-up" { (visit.say("nav.sign_up")) } } }
        }
    };
    let status = if wrong.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    let body = narrow(visit.say("sign_in.title"), visit.say("sign_in.lead"), &form, &below);
    Page::new(Place::Elsewhere, visit.say("sign_in.title"), body).status(status).answer(visit)
}

/// Whom members may sign in through; nobody, where the accounts do not say.
async fn providers(visit: &Visit) -> Vec<Provider> {
    let asked = visit.app().accounts.ask(ListProvidersRequest {});
    visit.app().accounts.sign_in(None).list_providers(asked).await.map(|told| told.into_inner().providers).unwrap_or_default()
}

fn button(visit: &Visit, provider: &Provider, next: &str) -> Markup {
    html! {
        form.through method="post" action={ "/sign-in/with/" (encoded(&provider.name)) } {
            (parts::csrf(visit))
            input type="hidden" name="next" value=(local_path(next, INSIDE));
            button.wide type="submit" { (visit.texts().fill("sign_in.with", &[("provider", &provider.title)])) }
        }
    }
}

/// Ends the session, at the accounts as well.
pub async fn out(visit: Visit, person: Person, _sent: Sent) -> Answer {
    visit.app().keys.forget(&visit, &person).await;
    let ended = person.accounts(&visit).sign_out(visit.app().accounts.ask(SignOutRequest {})).await;
    // Without the accounts it goes on there until it ends by itself: whoever wants to be out should know.
    ended?;
    let mut response = see_other("/");
    response.headers_mut().append(header::SET_COOKIE, cookies::remove(Kind::Session, visit.app().config.is_secure()));
    Ok(response)
}
