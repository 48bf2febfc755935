//! The cookies: who is signed in, who fills in a form without being, and what somebody prefers.

use cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderValue, header};
use time::Duration;

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The token of a session of the accounts, which keep its hash only. It means nothing anywhere else.
    Session,
    /// Something random that the forms of a visitor are bound to.
    Visitor,
    /// A language.
    Language,
    /// Light, dark, or neither.
    Theme,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Session => "torchmesh-session",
            Self::Visitor => "torchmesh-visitor",
            Self::Language => "torchmesh-language",
            Self::Theme => "torchmesh-theme",
        }
    }

    /// `__Host-`: the browser takes it by TLS alone, for this host alone.
    fn full_name(self, secure: bool) -> String {
        format!("{}{}", if secure { "__Host-" } else { "" }, self.name())
    }

    fn is_preference(self) -> bool {
        matches!(self, Self::Language | Self::Theme)
    }
}

/// What a request shows of one.
pub fn shown(headers: &HeaderMap, kind: Kind, secure: bool) -> Option<String> {
    let wanted = kind.full_name(secure);
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut cookies = lines.flat_map(Cookie::split_parse).filter_map(Result::ok);
    cookies.find(|cookie| cookie.name() == wanted).map(|cookie| cookie.value().to_owned()).filter(|value| !value.is_empty())
}

/// What sets one. Preferences stay for a year; the others go when the browser is closed, or the session ends.
pub fn set(kind: Kind, value: &str, secure: bool) -> HeaderValue {
    let cookie =
        Cookie::build((kind.full_name(secure), value.to_owned())).path("/").http_only(true).same_site(SameSite::Lax).secure(secure);
    let cookie = if kind.is_preference() { cookie.max_age(Duration::days(365)) } else { cookie };
    as_value(&cookie.build())
}

/// Whether what sets a cookie sets one of this kind.
pub fn is(set: &str, kind: Kind) -> bool {
    set.split('=').next().is_some_and(|name| name == kind.full_name(true) || name == kind.full_name(false))
}

/// What removes one.
pub fn remove(kind: Kind, secure: bool) -> HeaderValue {
    let cookie = Cookie::build((kind.full_name(secure), "")).path("/").http_only(true).same_site(SameSite::Lax).secure(secure);
    as_value(&cookie.max_age(Duration::ZERO).build())
}

fn as_value(cookie: &Cookie<'_>) -> HeaderValue {
    // Ours hold tokens and words; anything else is not worth a cookie.
    HeaderValue::from_str(&cookie.to_string()).unwrap_or(HeaderValue::from_static("torchmesh-none=; Max-Age=0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_tls_a_cookie_is_the_hosts_own() {
        let text = set(Kind::Session, "tm_session_x", true);
        let text = text.to_str().unwrap();
        for part in ["__Host-torchmesh-session=tm_session_x", "HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(!text.contains("Domain") && !text.contains("Max-Age"));
    }

    #[test]
    fn without_tls_the_prefix_would_be_refused_and_is_left_out() {
        let text = set(Kind::Session, "x", false);
        assert!(text.to_str().unwrap().starts_with("torchmesh-session=x;") && !text.to_str().unwrap().contains("Secure"));
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static("xtorchmesh-session=evil; torchmesh-session=good"));
        assert_eq!(shown(&headers, Kind::Session, false).as_deref(), Some("good"));
        assert_eq!(shown(&headers, Kind::Session, true), None, "by TLS only the host's own counts");
    }
}
