//! `/sign-in/with/{provider}`, which leads to a provider of OpenID Connect, and `…/back`, where that sends the browser back to.

use axum::{
    extract::{Path, RawQuery},
    response::Response,
};
use http::{HeaderName, HeaderValue, StatusCode};
use maud::html;
use torchmesh_api::accounts::v1::{BeginOidcRequest, CompleteOidcRequest};

use super::{
    super::{Page, Place},
    attempt, narrow,
    sign_in::{self, INSIDE},
};
use crate::{
    fail::{Answer, Fail},
    guard::{Sent, local_path},
    visit::Visit,
};

/// Leads to the provider: by a page, since the policy of ours lets no form lead elsewhere.
pub async fn begin(visit: Visit, Path(provider): Path<String>, sent: Sent) -> Answer {
    attempt(&visit)?;
    let next = local_path(sent.text("next"), INSIDE);
    let asked = BeginOidcRequest { provider, binding: visit.binding(), next: next.to_owned() };
    match visit.app().accounts.sign_in(None).begin_oidc(visit.app().accounts.ask(asked)).await.map_err(Fail::from) {
        Ok(told) => Ok(lead(&visit, &told.into_inner().authorization_url)),
        Err(fail) => refused(&visit, next, fail).await,
    }
}

fn lead(visit: &Visit, there: &str) -> Response {
    let form = html! { p { a.button.primary.wide href=(there) rel="noreferrer" { (visit.say("sign_in.go_on")) } } };
    let body = narrow(visit.say("sign_in.going"), visit.say("sign_in.going_lead"), &form, &html! {});
    let mut response = Page::new(Place::Elsewhere, visit.say("sign_in.going"), body).answer(visit);
    // The address is the accounts', in which nothing is left that a header cannot have.
    if let Ok(refresh) = HeaderValue::from_str(&format!("0;url={there}")) {
        response.headers_mut().insert(HeaderName::from_static("refresh"), refresh);
    }
    response
}

/// Signs in with what the provider has sent along.
pub async fn back(visit: Visit, Path(provider): Path<String>, RawQuery(query): RawQuery) -> Answer {
    attempt(&visit)?;
    let query = query.unwrap_or_default();
    let field = |name: &str| {
        let found = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let (state, code, issuer) = (field("state"), field("code"), field("iss"));
    if code.is_empty() {
        // They have thought better of it, or the provider does not know them.
        return Ok(sign_in::form(&visit, INSIDE, "", Some(visit.say("sign_in.with_refused"))).await);
    }
    let asked = CompleteOidcRequest { provider, state, code, issuer, binding: visit.binding() };
    match visit.app().accounts.sign_in(None).complete_oidc(visit.app().accounts.ask(asked)).await.map_err(Fail::from) {
        Ok(told) => {
            visit.app().attempts.forgive(&visit.address);
            let told = told.into_inner();
            Ok(sign_in::begin(&visit, &told.session_token, local_path(&told.next, INSIDE)))
        }
        Err(fail) => refused(&visit, INSIDE, fail).await,
    }
}

/// The form once more, with what went wrong, where that is for whoever signs in to know.
async fn refused(visit: &Visit, next: &str, fail: Fail) -> Answer {
    let said = match fail.status {
        StatusCode::UNAUTHORIZED => visit.say("sign_in.with_again"),
        StatusCode::SERVICE_UNAVAILABLE => visit.say("sign_in.with_away"),
        StatusCode::CONFLICT => fail.detail.as_deref().unwrap_or(visit.say("sign_in.with_refused")),
        _ => return Err(fail),
    };
    Ok(sign_in::form(visit, next, "", Some(said)).await)
}
