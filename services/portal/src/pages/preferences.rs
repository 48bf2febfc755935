//! `POST /preferences`: the language and the theme, remembered in cookies.

use axum::response::Response;
use http::header;

use super::see_other;
use crate::{
    guard::{
        Sent,
        cookies::{self, Kind},
        local_path,
    },
    text::Language,
    visit::{Theme, Visit},
};

/// Sets what was sent, and goes back.
pub async fn set(visit: Visit, sent: Sent) -> Response {
    let secure = visit.app().config.is_secure();
    let mut response = see_other(local_path(sent.text("next"), "/"));
    let mut keep = |kind, value| {
        response.headers_mut().append(header::SET_COOKIE, cookies::set(kind, value, secure));
    };
    if let Some(language) = Language::parse(sent.text("language")) {
        keep(Kind::Language, language.tag());
    }
    if !sent.text("theme").is_empty() {
        keep(Kind::Theme, Theme::parse(sent.text("theme")).as_str());
    }
    response
}
