//! `oauth`: the gateway as an issuer of tokens.

use std::{path::PathBuf, time::Duration};

use reqwest::Url;
use torchmesh_runtime::config::Section;

/// `oauth`; absent, there are no tokens of our own.
#[derive(Debug, Clone)]
pub struct OauthSettings {
    /// `oauth.signing_key_file`: PEM with Ed25519 keys; the first signs, all are good. Every replica has the same. Required.
    pub signing_key_file: PathBuf,
    /// `oauth.issuer`: the address at which clients reach the gateway, such as `https://models.example.com`. Required.
    pub issuer: String,
    /// `oauth.audience`: whom the tokens are for. Default the issuer.
    pub audience: String,
    /// `oauth.token_lifetime`: how long a token is good, 10s to 24h. Default 10m.
    pub token_lifetime: Duration,
    /// `oauth.max_failures`: how often a minute one address may show a wrong secret for one client; then it is not looked at. Default 10.
    pub max_failures: u32,
}

impl OauthSettings {
    /// Reads the section.
    pub fn read(s: &mut Section) -> Option<Self> {
        if !s.has("oauth") {
            return None;
        }
        s.section("oauth", |s| {
            let (signing_key_file, issuer) = (s.required::<PathBuf>("signing_key_file"), s.required::<String>("issuer"));
            let good = issuer.as_ref().is_none_or(|issuer| {
                let url = Url::parse(issuer).ok();
                url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none())
            });
            s.check(good, "issuer", "must be an address such as \"https://models.example.com\", without ? and #");
            let token_lifetime = s.or("token_lifetime", Duration::from_secs(600));
            s.check((10..=86_400).contains(&token_lifetime.as_secs()), "token_lifetime", "must be from 10s to 24h");
            let max_failures = s.or("max_failures", 10);
            s.check(max_failures > 0, "max_failures", "must be at least 1");
            let audience = s.optional::<String>("audience");
            let issuer = issuer?;
            let audience = audience.unwrap_or_else(|| issuer.clone());
            Some(Self { signing_key_file: signing_key_file?, audience, issuer, token_lifetime, max_failures })
        })
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    pub(in crate::identity) fn read(text: &str) -> Result<Option<OauthSettings>, String> {
        Section::read_all(text.parse().unwrap(), OauthSettings::read).map_err(|problems| problems.to_string())
    }

    pub(in crate::identity) fn settings() -> OauthSettings {
        read("[oauth]\nsigning_key_file = 'key.pem'\nissuer = 'http://127.0.0.1:8080'").unwrap().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{read, settings};

    #[test]
    fn without_the_table_there_are_no_tokens_and_with_it_the_rest_has_defaults() {
        assert!(read("").unwrap().is_none());
        let settings = settings();
        assert_eq!((settings.audience.as_str(), settings.token_lifetime.as_secs()), ("http://127.0.0.1:8080", 600));
    }

    #[test]
    fn every_mistake_is_in_one_report() {
        let report = read("[oauth]\nissuer = 'x'\ntoken_lifetime = '1s'\nmax_failures = 0").unwrap_err();
        for part in ["oauth.signing_key_file", "oauth.issuer", "oauth.token_lifetime", "oauth.max_failures"] {
            assert!(report.contains(part), "{part:?} is missing in:\n{report}");
        }
    }
}
