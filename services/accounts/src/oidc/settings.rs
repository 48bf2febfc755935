//! `[[sign_in.oidc]]`: whom members may sign in through.

use std::{path::PathBuf, time::Duration};

use reqwest::Url;
use torchmesh_runtime::config::Section;

/// One `[[sign_in.oidc]]`.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// `name`: as addresses have it: 1 to 32 of a to z, digits and `-`. Required.
    pub name: String,
    /// `title`: as people call it. Default its name.
    pub title: String,
    /// `issuer`: as its tokens have it in `iss`, letter for letter; what there is beneath it says `/.well-known/openid-configuration`. Required.
    pub issuer: String,
    /// `client_id`: as the provider knows us. Required.
    pub client_id: String,
    /// `client_secret_file`: a file with what the provider knows us by; read again each time. Default none: a public client.
    pub client_secret_file: Option<PathBuf>,
    /// `scopes`: what the provider is asked to tell. Default `openid` and `email`.
    pub scopes: Vec<String>,
    /// `redirect`: where the provider sends browsers back to, which is a page of the portal. Required.
    pub redirect: Url,
    /// `ca_file`: PEM certificates that the provider's must be signed by, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// `refresh_at_least_apart`: how often the provider's keys are read anew at most, when tokens come that are signed with others. Default 10s.
    pub refresh_at_least_apart: Duration,
}

impl ProviderSettings {
    /// Reads every one of the list `oidc`.
    pub fn read_all(s: &mut Section) -> Vec<Self> {
        let mut seen = Vec::new();
        let all = s.list("oidc", |s| {
            let read = Self::read(s);
            if let Some(read) = &read {
                s.check(!seen.contains(&read.name), "name", "is listed twice");
                seen.push(read.name.clone());
            }
            read
        });
        all.into_iter().flatten().collect()
    }

    fn read(s: &mut Section) -> Option<Self> {
        let name = s.required::<String>("name");
        let is_name = |name: &String| {
            (1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        s.check(name.as_ref().is_none_or(is_name), "name", "must have 1 to 32 of a to z, digits and -");
        let title = s.optional::<String>("title");
        s.check(title.as_ref().is_none_or(|title| (1..=64).contains(&title.len())), "title", "must have 1 to 64 characters");
        let issuer = s.required::<String>("issuer");
        s.check(issuer.as_deref().is_none_or(|issuer| address(issuer).is_some()), "issuer", ADDRESS);
        let client_id = s.required::<String>("client_id");
        s.check(client_id.as_ref().is_none_or(|id| !id.is_empty()), "client_id", "must not be empty");
        let client_secret_file = s.optional::<PathBuf>("client_secret_file");
        if let Some(Err(error)) = client_secret_file.as_ref().map(std::fs::read_to_string) {
            s.problem("client_secret_file", format!("cannot be read: {error}"));
        }
        let scopes = s.or("scopes", vec!["openid".to_owned(), "email".to_owned()]);
        let is_scope =
            |scope: &String| !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
        s.check(
            scopes.iter().any(|scope| scope == "openid") && scopes.iter().all(is_scope),
            "scopes",
            "must be words, `openid` among them",
        );
        let redirect = s.required::<String>("redirect");
        s.check(redirect.as_deref().is_none_or(|redirect| address(redirect).is_some()), "redirect", ADDRESS);
        let refresh_at_least_apart = s.or("refresh_at_least_apart", Duration::from_secs(10));
        s.check(refresh_at_least_apart >= Duration::from_millis(100), "refresh_at_least_apart", "must be at least 100ms");
        let (name, redirect) = (name?, address(&redirect?)?);
        Some(Self {
            title: title.unwrap_or_else(|| name.clone()),
            name,
            issuer: issuer?,
            client_id: client_id?,
            client_secret_file,
            scopes,
            redirect,
            ca_file: s.optional("ca_file"),
            refresh_at_least_apart,
        })
    }
}

const ADDRESS: &str = "must be an https:// address (http:// on this machine only)";

/// What somebody could change on its way would let anybody in.
fn address(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| {
        let here = url.host_str().is_some_and(|host| host == "localhost" || host == "[::1]" || host.starts_with("127."));
        url.scheme() == "https" || (url.scheme() == "http" && here)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str =
        "[[sign_in.oidc]]\nname = 'id'\nissuer = 'https://id.example'\nclient_id = 'mesh'\nredirect = 'https://p.example/x'\n";

    fn read(text: &str) -> Result<Vec<ProviderSettings>, String> {
        let read = |s: &mut Section| s.section("sign_in", ProviderSettings::read_all);
        Section::read_all(text.parse().unwrap(), read).map_err(|problems| problems.to_string())
    }

    #[test]
    fn the_least_is_a_name_an_issuer_a_client_and_where_to_come_back() {
        let [only] = &read(LEAST).unwrap()[..] else { panic!("one provider") };
        assert_eq!((&*only.title, &only.scopes[..]), ("id", &["openid".to_owned(), "email".to_owned()][..]));
        assert!(only.client_secret_file.is_none());
    }

    #[test]
    fn every_mistake_is_in_one_report() {
        let wrong = "[[sign_in.oidc]]\nname = 'A b'\nissuer = 'http://id.example'\nclient_id = ''\nredirect = 'ftp://x'\nscopes = ['email']\n\
                     client_secret_file = '/nowhere'\nrefresh_at_least_apart = '1ms'\n";
        let report = read(wrong).unwrap_err();
        for key in ["name", "issuer", "client_id", "redirect", "scopes", "client_secret_file", "refresh_at_least_apart"] {
            assert!(report.contains(&format!("sign_in.oidc[0].{key}: ")), "{key} is missing in:\n{report}");
        }
        assert!(read(&(LEAST.to_owned() + LEAST)).unwrap_err().contains("twice"));
    }
}
