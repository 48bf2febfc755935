//! What letters lead to: `/letters/{purpose}?token=…`; and `/forgotten`, which asks for one.
//!
//! Opening a letter's address changes nothing yet, since programs that look for bad mail open them too: a button does.

use axum::{
    extract::{Path, RawQuery},
    response::Response,
};
use http::StatusCode;
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{RequestPasswordResetRequest, ResetPasswordRequest, VerifyEmailRequest};

use super::{
    super::{
        Page, Place,
        parts::{self, Field},
        see_other,
    },
    attempt, narrow,
};
use crate::{
    fail::{Answer, Fail},
    guard::Sent,
    visit::Visit,
};

/// What a letter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Verify,
    Reset,
    Invite,
}

impl Purpose {
    fn parse(word: &str) -> Answer<Self> {
        match word {
            "verify" => Ok(Self::Verify),
            "reset" => Ok(Self::Reset),
            "invite" => Ok(Self::Invite),
            _ => Err(Fail::absent()),
        }
    }

    /// Its path, title, text, button, and what is told when it is done.
    fn words(self) -> [&'static str; 5] {
        match self {
            Self::Verify => ["/letters/verify", "letters.verify", "letters.verify_lead", "letters.verify_send", "verified"],
            Self::Reset => ["/letters/reset", "letters.reset", "letters.reset_lead", "letters.reset_send", "password"],
            Self::Invite => ["/letters/invite", "letters.invite", "letters.invite_lead", "letters.invite_send", "joined"],
        }
    }
}

/// What a letter's address shows.
pub async fn open(visit: Visit, Path(purpose): Path<String>, RawQuery(query): RawQuery) -> Answer {
    let purpose = Purpose::parse(&purpose)?;
    let query = query.unwrap_or_default();
    let token = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "token").map(|(_, value)| value.into_owned());
    Ok(form(&visit, purpose, &token.unwrap_or_default(), None))
}

/// Does what the letter is for.
pub async fn send(visit: Visit, Path(purpose): Path<String>, sent: Sent) -> Answer {
    let purpose = Purpose::parse(&purpose)?;
    attempt(&visit)?;
    let (accounts, token) = (&visit.app().accounts, sent.text("token").to_owned());
    let done = if purpose == Purpose::Verify {
        accounts.anybody().verify_email(accounts.ask(VerifyEmailRequest { token })).await.map(|_| ())
    } else {
        let asked = ResetPasswordRequest { token, password: sent.exact("password").to_owned() };
        accounts.anybody().reset_password(accounts.ask(asked)).await.map(|_| ())
    };
    match done.map_err(Fail::from) {
        Ok(()) => {
            visit.app().attempts.forgive(&visit.address);
            Ok(see_other(&format!("/sign-in?told={}", purpose.words()[4])))
        }
        Err(fail) if fail.is_about_the_form() => Ok(form(&visit, purpose, sent.text("token"), Some(&fail))),
        Err(fail) => Err(fail),
    }
}

fn form(visit: &Visit, purpose: Purpose, token: &str, fail: Option<&Fail>) -> Response {
    let [path, title, lead, button, _] = purpose.words();
    let form = html! {
        (parts::wrong(visit, fail))
        form method="post" action=(path) {
            (parts::csrf(visit))
            @if token.is_empty() {
                (Field::text("token", visit.say("letters.token"), "").hint(visit.say("letters.token_hint")).show())
            } @else {
                input type="hidden" name="token" value=(token);
            }
            @if purpose != Purpose::Verify {
                (Field::password(visit.say("letters.new_password"), "new-password").hint(visit.say("people.password_hint")).show())
            }
            button.primary.wide type="submit" { (visit.say(button)) }
        }
    };
    let status = fail.map_or(StatusCode::OK, |fail| fail.status);
    page(visit, title, lead, &form).status(status).answer(visit)
}

fn page(visit: &Visit, title: &'static str, lead: &'static str, form: &Markup) -> Page {
    let below = html! { p.below { a href="/sign-in" { (visit.say("nav.sign_in")) } } };
    Page::new(Place::Elsewhere, visit.say(title), narrow(visit.say(title), visit.say(lead), form, &below))
}

/// The form that asks for a letter.
pub async fn forgotten(visit: Visit) -> Response {
    let form = html! {
        form method="post" action="/forgotten" {
            (parts::csrf(&visit))
            (Field::email(visit.say("people.email"), "").show())
            button.primary.wide type="submit" { (visit.say("letters.ask")) }
        }
    };
    page(&visit, "letters.forgotten", "letters.forgotten_lead", &form).answer(&visit)
}

/// Asks for it. The answer is the same whoever's address it is.
pub async fn ask(visit: Visit, sent: Sent) -> Answer {
    attempt(&visit)?;
    let asked = RequestPasswordResetRequest { email: sent.text("email").to_owned() };
    let accounts = &visit.app().accounts;
    match accounts.anybody().request_password_reset(accounts.ask(asked)).await.map_err(Fail::from) {
        Err(fail) if !fail.is_about_the_form() => Err(fail),
        _ => Ok(page(&visit, "letters.asked", "letters.asked_lead", &html! {}).answer(&visit)),
    }
}
