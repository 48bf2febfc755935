//! `/sign-up`.

use axum::response::Response;
use http::StatusCode;
use maud::html;
use torchmesh_api::accounts::v1::SignUpRequest;

use super::{
    super::{
        Page, Place,
        parts::{self, Field},
    },
    attempt, narrow,
};
use crate::{
    fail::{Answer, Fail},
    guard::Sent,
    visit::Visit,
};

/// The form; there is none where people come by invitation alone.
pub async fn show(visit: Visit) -> Answer {
    if !visit.app().config.sign_up {
        return Err(Fail::absent());
    }
    Ok(form(&visit, &Sent::default(), None))
}

/// Makes a tenant and its owner. Whether the address is known is told to nobody but whoever reads its letters.
pub async fn send(visit: Visit, sent: Sent) -> Answer {
    if !visit.app().config.sign_up {
        return Err(Fail::absent());
    }
    attempt(&visit)?;
    let asked = SignUpRequest {
        email: sent.text("email").to_owned(),
        password: sent.exact("password").to_owned(),
        tenant_name: sent.text("tenant").to_owned(),
        display_name: sent.text("display_name").to_owned(),
    };
    match visit.app().accounts.anybody().sign_up(visit.app().accounts.ask(asked)).await {
        Ok(_) => Ok(sent_page(&visit, sent.text("email"))),
        Err(status) => {
            let fail = Fail::from(status);
            if fail.is_about_the_form() { Ok(form(&visit, &sent, Some(&fail))) } else { Err(fail) }
        }
    }
}

fn form(visit: &Visit, sent: &Sent, fail: Option<&Fail>) -> Response {
    let form = html! {
        (parts::wrong(visit, fail))
        form method="post" action="/sign-up" {
            (parts::csrf(visit))
            (Field::email(visit.say("people.email"), sent.text("email")).show())
            (Field::password(visit.say("people.password"), "new-password").hint(visit.say("people.password_hint")).show())
            (Field::text("tenant", visit.say("sign_up.tenant"), sent.text("tenant")).hint(visit.say("sign_up.tenant_hint")).show())
            (Field::text("display_name", visit.say("sign_up.display_name"), sent.text("display_name")).optional().show())
            button.primary.wide type="submit" { (visit.say("sign_up.send")) }
        }
    };
    let below = html! { p.below { span { (visit.say("sign_up.known")) " " a href="/sign-in" { (visit.say("nav.sign_in")) } } } };
    let body = narrow(visit.say("sign_up.title"), visit.say("sign_up.lead"), &form, &below);
    let status = fail.map_or(StatusCode::OK, |fail| fail.status);
    Page::new(Place::Elsewhere, visit.say("sign_up.title"), body).status(status).answer(visit)
}

fn sent_page(visit: &Visit, email: &str) -> Response {
    let lead = visit.texts().fill("sign_up.sent_lead", &[("email", email)]);
    let body = narrow(visit.say("sign_up.sent"), &lead, &html! {}, &html! { p.below { a href="/sign-in" { (visit.say("nav.sign_in")) } } });
    Page::new(Place::Elsewhere, visit.say("sign_up.sent"), body).answer(visit)
}
