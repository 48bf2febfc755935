//! `/console/security`: the second factor of whoever looks.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{
    ConfirmSecondFactorRequest, EnrolSecondFactorRequest, EnrolSecondFactorResponse, GetSecondFactorRequest, GetSecondFactorResponse,
    RemoveSecondFactorRequest,
};

use super::{
    super::{
        Page, Place,
        parts::{self, Field},
        see_other,
    },
    qr,
};
use crate::{
    fail::{Answer, Fail},
    guard::Sent,
    upstream::SignIn,
    visit::{Person, Visit},
};

const HERE: &str = "/console/security";

fn asked(visit: &Visit, person: &Person) -> SignIn {
    visit.app().accounts.sign_in(Some(person.token()))
}

/// Whoever comes to a step by its address begins at the beginning.
pub async fn begin_again() -> Response {
    see_other(HERE)
}

/// What there is, and the form that sets it up or removes it.
pub async fn show(visit: Visit, person: Person) -> Answer {
    page(&visit, &person, None).await
}

/// Whether a form may be shown again with it. A password or a code that is wrong is no reason to sign in again.
fn is_about_the_form(fail: &Fail) -> bool {
    fail.is_about_the_form() || fail.status == StatusCode::UNAUTHORIZED
}

async fn page(visit: &Visit, person: &Person, fail: Option<&Fail>) -> Answer {
    let told = asked(visit, person).get_second_factor(visit.app().accounts.ask(GetSecondFactorRequest {})).await?.into_inner();
    let form = match (told.available, told.confirmed_unix_ms > 0) {
        (_, true) => removal(visit, &told),
        (true, false) => enrolment(visit, &told),
        (false, false) => html! { p { (visit.say("security.off")) } },
    };
    let body = html! {
        (parts::told(visit))
        (parts::head(visit.say("security.title"), visit.say("security.lead"), html! {}))
        (parts::wrong(visit, fail))
        section.form.card-form { h2 { (visit.say("security.factor")) } (form) }
    };
    Ok(answer(visit, body, fail))
}

fn answer(visit: &Visit, body: Markup, fail: Option<&Fail>) -> Response {
    let status = fail.map_or(StatusCode::OK, |_| StatusCode::BAD_REQUEST);
    Page::new(Place::Security, visit.say("security.title"), body).status(status).answer(visit)
}

fn enrolment(visit: &Visit, told: &GetSecondFactorResponse) -> Markup {
    html! {
        p { (visit.say("security.none")) }
        form method="post" action=(HERE) {
            (parts::csrf(visit))
            @if told.has_password { (Field::password(visit.say("people.password"), "current-password").hint(visit.say("security.password_hint")).show()) }
            div.actions { button.primary type="submit" { (visit.say("security.begin")) } }
        }
    }
}

fn removal(visit: &Visit, told: &GetSecondFactorResponse) -> Markup {
    html! {
        p { (parts::badge("good", visit.say("security.on"))) " " (visit.say("security.since")) " " (parts::moment(told.confirmed_unix_ms, "")) }
        p { (visit.texts().fill("security.left", &[("count", &told.recovery_codes_left.to_string())])) }
        form method="post" action={ (HERE) "/remove" } {
            (parts::csrf(visit))
            (Field::text("code", visit.say("security.code_or_recovery"), "").hint(visit.say("security.remove_hint")).optional().show())
            @if told.has_password { (Field::password(visit.say("security.or_password"), "current-password").optional().show()) }
            div.actions { button.danger type="submit" { (visit.say("security.remove")) } }
        }
    }
}

/// Draws a secret, and shows it, which is done on this page alone.
pub async fn enrol(visit: Visit, person: Person, sent: Sent) -> Answer {
    let password = sent.exact("password").to_owned();
    let drawn = asked(&visit, &person).enrol_second_factor(visit.app().accounts.ask(EnrolSecondFactorRequest { password })).await;
    match drawn.map_err(Fail::from) {
        Ok(drawn) => Ok(secret(&visit, &drawn.into_inner())),
        Err(fail) if is_about_the_form(&fail) => page(&visit, &person, Some(&fail)).await,
        Err(fail) => Err(fail),
    }
}

fn secret(visit: &Visit, drawn: &EnrolSecondFactorResponse) -> Response {
    let groups: Vec<&str> =
        (0..drawn.secret.len()).step_by(4).filter_map(|at| drawn.secret.get(at..(at + 4).min(drawn.secret.len()))).collect();
    let body = html! {
        p.crumb { a href=(HERE) { (visit.say("security.title")) } }
        section.form {
            h1 { (visit.say("security.scan")) }
            p.lead { (visit.say("security.scan_lead")) }
            (qr::picture(&drawn.uri, visit.say("security.picture")))
            p { (visit.say("security.by_hand")) }
            (parts::code(visit, &groups.join(" ")))
            (confirmation(visit))
        }
    };
    answer(visit, body, None)
}

fn confirmation(visit: &Visit) -> Markup {
    html! {
        form method="post" action={ (HERE) "/confirm" } {
            (parts::csrf(visit))
            (Field::code(visit.say("security.code")).hint(visit.say("security.code_hint")).show())
            div.actions { button.primary type="submit" { (visit.say("security.confirm")) } a.button href=(HERE) { (visit.say("form.cancel")) } }
        }
    }
}

/// Takes the first code, and shows the recovery codes, which is done on this page alone.
pub async fn confirm(visit: Visit, person: Person, sent: Sent) -> Answer {
    let code = sent.text("code").to_owned();
    let done = asked(&visit, &person).confirm_second_factor(visit.app().accounts.ask(ConfirmSecondFactorRequest { code })).await;
    match done.map_err(Fail::from) {
        Ok(done) => Ok(recovery(&visit, &done.into_inner().recovery_codes)),
        Err(fail) if fail.status == StatusCode::UNAUTHORIZED => {
            let body = html! {
                p.crumb { a href=(HERE) { (visit.say("security.title")) } }
                section.form { h1 { (visit.say("security.scan")) } (parts::wrong(&visit, Some(&fail))) (confirmation(&visit)) }
            };
            Ok(answer(&visit, body, Some(&fail)))
        }
        Err(fail) if is_about_the_form(&fail) => page(&visit, &person, Some(&fail)).await,
        Err(fail) => Err(fail),
    }
}

fn recovery(visit: &Visit, codes: &[String]) -> Response {
    let body = html! {
        p.crumb { a href=(HERE) { (visit.say("security.title")) } }
        section.form {
            h1 { (visit.say("security.done")) }
            div.notice.warn { p { (visit.say("security.once")) } }
            (parts::code(visit, &codes.join("\n")))
            p.actions { a.button.primary href=(HERE) { (visit.say("security.kept")) } }
        }
    };
    answer(visit, body, None)
}

/// Removes it.
pub async fn remove(visit: Visit, person: Person, sent: Sent) -> Answer {
    let proof = RemoveSecondFactorRequest { code: sent.text("code").to_owned(), password: sent.exact("password").to_owned() };
    match asked(&visit, &person).remove_second_factor(visit.app().accounts.ask(proof)).await.map_err(Fail::from) {
        Ok(_) => Ok(see_other("/console/security?told=unguarded")),
        Err(fail) if is_about_the_form(&fail) => page(&visit, &person, Some(&fail)).await,
        Err(fail) => Err(fail),
    }
}
