//! `/sign-in/code`: what members with a second factor are asked for after their password.
//!
//! The challenge is in the form, and in nothing that is kept: alone it is worth nothing, and with a code it is good once.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use torchmesh_api::accounts::v1::CompleteSignInRequest;

use super::{
    super::{
        Page, Place,
        parts::{self, Field},
        see_other,
    },
    attempt, narrow,
    sign_in::{self, INSIDE},
};
use crate::{
    fail::{Answer, Fail},
    guard::{Sent, local_path},
    visit::Visit,
};

/// Whoever has no challenge begins with the password.
pub async fn begin_again() -> Response {
    see_other("/sign-in")
}

/// The form. `is_wrong`: the code before was not good.
pub(super) fn form(visit: &Visit, challenge: &str, next: &str, is_wrong: bool) -> Response {
    let one = |field: Field<'_>| -> Markup {
        html! {
            form method="post" action="/sign-in/code" {
                (parts::csrf(visit))
                input type="hidden" name="challenge" value=(challenge);
                input type="hidden" name="next" value=(local_path(next, INSIDE));
                (field.show())
                button.primary.wide type="submit" { (visit.say("nav.sign_in")) }
            }
        }
    };
    let form = html! {
        @if is_wrong { div.notice.bad role="alert" { p { (visit.say("sign_in.code_wrong")) } } }
        (one(Field::code(visit.say("security.code"))))
        details {
            summary { (visit.say("sign_in.lost")) }
            (one(Field::text("recovery", visit.say("security.recovery_code"), "").hint(visit.say("sign_in.lost_hint"))))
        }
    };
    let below = html! { p.below { a href="/sign-in" { (visit.say("sign_in.other")) } } };
    let status = if is_wrong { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    let body = narrow(visit.say("sign_in.code_title"), visit.say("sign_in.code_lead"), &form, &below);
    Page::new(Place::Elsewhere, visit.say("sign_in.code_title"), body).status(status).answer(visit)
}

/// Signs in with a code.
pub async fn send(visit: Visit, sent: Sent) -> Answer {
    attempt(&visit)?;
    let (challenge, next) = (sent.text("challenge"), local_path(sent.text("next"), INSIDE));
    let code = [sent.text("code"), sent.text("recovery")].into_iter().find(|code| !code.is_empty()).unwrap_or_default();
    let asked = CompleteSignInRequest { challenge: challenge.to_owned(), code: code.to_owned() };
    match visit.app().accounts.sign_in(None).complete_sign_in(visit.app().accounts.ask(asked)).await.map_err(Fail::from) {
        Ok(told) => {
            visit.app().attempts.forgive(&visit.address);
            Ok(sign_in::begin(&visit, &told.into_inner().session_token, next))
        }
        Err(fail) if fail.status == StatusCode::UNAUTHORIZED => Ok(form(&visit, challenge, next, true)),
        // The challenge is not good any more.
        Err(fail) if fail.is_about_the_form() => Ok(sign_in::form(&visit, next, "", Some(visit.say("sign_in.code_ended"))).await),
        Err(fail) => Err(fail),
    }
}
