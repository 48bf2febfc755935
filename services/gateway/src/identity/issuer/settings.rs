//! `[[issuer]]`: whose tokens are taken, and what they are worth here.

use std::{path::PathBuf, time::Duration};

use reqwest::Url;
use torchmesh_api::{
    access::{ModelGrants, Scopes},
    ids::TenantId,
};
use torchmesh_runtime::config::Section;

/// One `[[issuer]]`.
#[derive(Debug, Clone)]
pub struct IssuerSettings {
    /// `issuer`: as tokens have it in `iss`, letter for letter. Required.
    pub issuer: String,
    /// `audience`: a text or several; a token must be for one of them. Required.
    pub audiences: Vec<String>,
    /// `jwks_url` or `jwks_file`; without either the issuer's `/.well-known/openid-configuration` says where its keys are.
    pub keys: KeysFrom,
    /// `ca_file`: PEM certificates that the issuer's must be signed by, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// `tenant`, the same for every token, or `tenant_claim`, the claim that says it. One of them is required.
    pub tenant: TenantFrom,
    /// `scopes`: what every token may do. Default nothing.
    pub scopes: Scopes,
    /// `scope_claim`: the claim whose words say more. Default `scope`.
    pub scope_claim: String,
    /// `[[issuer.scope]]`: what a word of that claim gives. Without any, the words are our scopes' own names.
    pub mapping: Vec<ScopeMapping>,
    /// `models`: which models its tokens may use. Default all.
    pub models: ModelGrants,
    /// `clock_skew`: how far its clock and ours may be apart. Default 60s, at most 10m.
    pub clock_skew: Duration,
    /// `refresh`: how often the keys are read anew. Default 10m.
    pub refresh: Duration,
    /// `refresh_at_least_apart`: how often they are at most, when tokens come that are signed with others. Default 10s.
    pub refresh_at_least_apart: Duration,
}

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeysFrom {
    /// `jwks_url`.
    Url(Url),
    /// `jwks_file`; read again when it changes.
    File(PathBuf),
    /// What `/.well-known/openid-configuration` says.
    Discovery(Url),
}

/// Who pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantFrom {
    /// Always the same.
    Fixed(TenantId),
    /// Whoever the claim names.
    Claim(String),
}

/// What one word is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeMapping {
    /// `word`.
    pub word: String,
    /// `gives`.
    pub gives: Scopes,
}

impl IssuerSettings {
    /// Reads every `[[issuer]]`.
    pub fn read_all(s: &mut Section) -> Vec<Self> {
        let mut seen = Vec::new();
        let all = s.list("issuer", |s| {
            let read = Self::read(s);
            if let Some(read) = &read {
                s.check(!seen.contains(&read.issuer), "issuer", "is listed twice");
                seen.push(read.issuer.clone());
            }
            read
        });
        all.into_iter().flatten().collect()
    }

    fn read(s: &mut Section) -> Option<Self> {
        let issuer = s.required::<String>("issuer");
        let audiences = s.required::<Vec<String>>("audience").unwrap_or_default();
        s.check(
            audiences.iter().all(|audience| !audience.is_empty()) && !audiences.is_empty(),
            "audience",
            "must name whom tokens are for",
        );
        let keys = keys_from(s, issuer.as_deref());
        let tenant = tenant_from(s);
        let scopes = scopes(s, "scopes", Scopes::NONE);
        let models = s.optional::<Vec<String>>("models");
        let models = models.map_or(Ok(ModelGrants::All), |list| ModelGrants::parse(list.iter().map(String::as_str)));
        let models = models.map_err(|error| s.problem("models", error.to_string())).ok();
        let mapping =
            s.list("scope", |s| ScopeMapping { word: s.required("word").unwrap_or_default(), gives: scopes_required(s, "gives") });
        let clock_skew = s.or("clock_skew", Duration::from_secs(60));
        s.check(clock_skew <= Duration::from_secs(600), "clock_skew", "must be at most 10m");
        let refresh = s.or("refresh", Duration::from_secs(600));
        let refresh_at_least_apart = s.or("refresh_at_least_apart", Duration::from_secs(10));
        s.check(refresh >= Duration::from_secs(1), "refresh", "must be at least 1s");
        s.check(refresh_at_least_apart >= Duration::from_millis(100), "refresh_at_least_apart", "must be at least 100ms");
        Some(Self {
            issuer: issuer?,
            audiences,
            keys: keys?,
            ca_file: s.optional("ca_file"),
            tenant: tenant?,
            scopes,
            scope_claim: s.or("scope_claim", "scope".to_owned()),
            mapping,
            models: models?,
            clock_skew,
            refresh,
            refresh_at_least_apart,
        })
    }
}

fn keys_from(s: &mut Section, issuer: Option<&str>) -> Option<KeysFrom> {
    let (url, file) = (s.optional::<String>("jwks_url"), s.optional::<PathBuf>("jwks_file"));
    match (url, file) {
        (Some(_), Some(_)) => {
            s.problem("jwks_url", "and jwks_file must not both be given");
            None
        }
        (Some(url), None) => address(s, "jwks_url", &url).map(KeysFrom::Url),
        (None, Some(file)) => Some(KeysFrom::File(file)),
        (None, None) => {
            let known = format!("{}/.well-known/openid-configuration", issuer?.trim_end_matches('/'));
            address(s, "issuer", &known).map(KeysFrom::Discovery)
        }
    }
}

/// Keys that somebody could change on their way would let anybody in.
fn address(s: &Section, key: &str, text: &str) -> Option<Url> {
    let url = Url::parse(text).ok().filter(|url| {
        let here = url.host_str().is_some_and(|host| host == "localhost" || host == "[::1]" || host.starts_with("127."));
        url.scheme() == "https" || (url.scheme() == "http" && here)
    });
    s.check(url.is_some(), key, "must be an https:// address (http:// on this machine only)");
    url
}

fn tenant_from(s: &mut Section) -> Option<TenantFrom> {
    match (s.optional::<String>("tenant"), s.optional::<String>("tenant_claim")) {
        (Some(fixed), None) => match TenantId::parse(&fixed) {
            Ok(tenant) => Some(TenantFrom::Fixed(tenant)),
            Err(error) => {
                s.problem("tenant", error.to_string());
                None
            }
        },
        (None, Some(claim)) => Some(TenantFrom::Claim(claim)),
        _ => {
            s.problem("tenant", "or tenant_claim must be given, and not both: who pays for its tokens' calls");
            None
        }
    }
}

fn scopes(s: &mut Section, key: &str, absent: Scopes) -> Scopes {
    let Some(words) = s.optional::<Vec<String>>(key) else { return absent };
    Scopes::parse(words.iter().map(String::as_str)).unwrap_or_else(|error| {
        s.problem(key, error.to_string());
        absent
    })
}

fn scopes_required(s: &mut Section, key: &str) -> Scopes {
    let read = scopes(s, key, Scopes::NONE);
    s.check(!read.is_empty(), key, "must name the scopes that the word gives");
    read
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    pub(in crate::identity) fn read(text: &str) -> Result<Vec<IssuerSettings>, String> {
        Section::read_all(text.parse().unwrap(), IssuerSettings::read_all).map_err(|problems| problems.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::read, *};

    const LEAST: &str = "[[issuer]]\nissuer = 'https://id.example'\naudience = 'torchmesh'\ntenant = 'acme'\n";

    #[test]
    fn the_least_is_a_name_an_audience_and_a_tenant() {
        let [only] = &read(LEAST).unwrap()[..] else { panic!("one issuer") };
        assert_eq!(only.keys, KeysFrom::Discovery("https://id.example/.well-known/openid-configuration".parse().unwrap()));
        assert_eq!((only.clock_skew.as_secs(), only.scopes, &only.audiences[..]), (60, Scopes::NONE, &["torchmesh".to_owned()][..]));
    }

    #[test]
    fn every_mistake_is_in_one_report() {
        let wrong = "[[issuer]]\nissuer = 'id'\naudience = ''\ntenant = 'a b'\nscopes = ['x']\nmodels = ['a b']\nclock_skew = '1h'\n[[issuer.scope]]\nword = 'w'\n";
        let report = read(wrong).unwrap_err();
        for part in ["issuer[0].issuer: must be an https", "audience", "tenant", "scopes", "models", "clock_skew", "scope[0].gives"] {
            assert!(report.contains(part), "{part:?} is missing in:\n{report}");
        }
    }

    #[test]
    fn keys_come_over_tls_or_from_this_machine() {
        let with = |url: &str| read(&format!("{LEAST}jwks_url = '{url}'"));
        assert!(
            with("https://id.example/keys").is_ok() && with("http://127.0.0.1:9/keys").is_ok() && with("http://localhost/keys").is_ok()
        );
        for url in ["http://id.example/keys", "ftp://id.example", "keys", "http://localhost.example/keys"] {
            assert!(with(url).is_err(), "{url}");
        }
        assert!(read(&format!("{LEAST}jwks_url = 'https://a/b'\njwks_file = 'f'")).is_err());
        assert!(read(&(LEAST.to_owned() + LEAST)).unwrap_err().contains("twice"));
    }
}
