//! The settings of payments: the table `payments`.

use std::path::PathBuf;

use torchmesh_runtime::config::Section;

use crate::access::TokenFile;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct PaymentSettings {
    /// `payments.processor`: `stripe`, or `manual`. Default manual: payments are written down by hand.
    pub stripe: Option<StripeSettings>,
}

/// How Stripe, or whoever speaks as it does, is reached.
#[derive(Debug, Clone)]
pub struct StripeSettings {
    /// `payments.address`: where its API is. Default `https://api.stripe.com`; `http://` on this machine only.
    pub address: String,
    /// `payments.secret_key_file`: a file with the secret key, read for each request.
    pub secret_key: TokenFile,
    /// `payments.webhook_secret_file`: a file with the secret that notices are signed with, read for each.
    pub webhook_secret: TokenFile,
    /// `payments.return_link`: the portal's address, which payers come back to.
    pub return_link: String,
}

impl PaymentSettings {
    /// Reads the table.
    pub fn read(s: &mut Section) -> Self {
        s.section("payments", |s| {
            let processor = s.or("processor", "manual".to_owned());
            let address = s.or("address", "https://api.stripe.com".to_owned());
            let return_link = s.optional::<String>("return_link");
            let is_on = processor == "stripe";
            let (secret_key, webhook_secret) = (file(s, "secret_key_file", is_on), file(s, "webhook_secret_file", is_on));
            match processor.as_str() {
                "manual" => return Self::default(),
                "stripe" => {}
                _ => s.problem("processor", "must be manual or stripe"),
            }
            s.check(is_sheltered(&address), "address", "must begin with https://; http:// is for this machine only");
            let is_link = return_link.as_deref().is_some_and(|link| link.starts_with("https://") || link.starts_with("http://"));
            s.check(is_link, "return_link", "must be the portal's address, such as https://portal.example.org, where there is a processor");
            let (Some(secret_key), Some(webhook_secret), Some(return_link)) = (secret_key, webhook_secret, return_link) else {
                return Self::default();
            };
            let [address, return_link] = [address, return_link].map(|link| link.trim_end_matches('/').to_owned());
            Self { stripe: Some(StripeSettings { address, secret_key, webhook_secret, return_link }) }
        })
    }
}

/// Whether nobody between can read the key.
fn is_sheltered(address: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(address) else { return false };
    let here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    url.scheme() == "https" || (url.scheme() == "http" && here)
}

fn file(s: &mut Section, key: &str, is_needed: bool) -> Option<TokenFile> {
    let there = s.has(key);
    s.check(there || !is_needed, key, "must be a file with a secret, where there is a processor");
    let opened = TokenFile::open(s.optional::<PathBuf>(key)?);
    opened.map_err(|error| s.problem(key, error)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_by_tls_or_stays_on_this_machine() {
        for (address, good) in [
            ("https://api.stripe.com", true),
            ("http://127.0.0.1:8080", true),
            ("http://localhost", true),
            ("http://api.stripe.com", false),
            ("http://localhost.example.org", false),
            ("ftp://localhost", false),
            ("stripe", false),
        ] {
            assert_eq!(is_sheltered(address), good, "{address}");
        }
    }
}
