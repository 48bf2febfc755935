//! How a service is told where its Redis is: a table of its settings, in which the password is a file's.

use std::{path::PathBuf, time::Duration};

use redis::{Client, IntoConnectionInfo as _, RedisError};
use torchmesh_settings::Section;

/// The server, and how it is spoken to.
#[derive(Clone)]
pub struct RedisSettings {
    /// `url` and `password_file`: where the server is, `redis://HOST:PORT/DB` or `rediss://` for TLS, and the password. The address is required.
    pub client: Client,
    /// `timeout`: how long a call waits for it, 1ms to 1s. Default 5ms.
    pub timeout: Duration,
    /// `prefix`: what the names of everything there begin with, up to 64 characters. Default `torchmesh`.
    pub prefix: String,
}

impl std::fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither the password nor the address, which may have one in it.
        f.debug_struct("RedisSettings").field("timeout", &self.timeout).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl RedisSettings {
    /// Reads the table; `None` where a mistake was reported.
    pub fn read(s: &mut Section) -> Option<Self> {
        let url = s.required::<String>("url");
        let password = s.optional::<PathBuf>("password_file").and_then(|file| match std::fs::read_to_string(&file) {
            Ok(text) => Some(text.trim().to_owned()),
            Err(error) => {
                s.problem("password_file", format!("{} cannot be read: {error}", file.display()));
                None
            }
        });
        let timeout = s.or("timeout", Duration::from_millis(5));
        s.check((Duration::from_millis(1)..=Duration::from_secs(1)).contains(&timeout), "timeout", "must be from 1ms to 1s");
        let prefix = s.or("prefix", "torchmesh".to_owned());
        s.check(!prefix.is_empty() && prefix.len() <= 64, "prefix", "must have 1 to 64 characters");
        match client(&url?, password) {
            Ok(client) => Some(Self { client, timeout, prefix }),
            Err(wrong) => {
                s.problem("url", wrong);
                None
            }
        }
    }
}

/// Knows how the server is reached; nothing is sent yet. The password takes the place of one in the address.
///
/// Error: the address is none.
pub fn client(url: &str, password: Option<String>) -> Result<Client, String> {
    let wrong = |_| "must be redis://HOST:PORT/DB, or rediss:// for TLS".to_owned();
    let mut info = url.into_connection_info().map_err(wrong)?;
    if let Some(password) = password {
        let known = info.redis_settings().clone();
        info = info.set_redis_settings(known.set_password(password));
    }
    Client::open(info).map_err(wrong)
}

/// The kind of an error and what the server said; never the address, which may have a password in it.
pub fn in_words(error: &RedisError) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.category()),
        None => error.category().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<RedisSettings>, String> {
        Section::read_all(text.parse().unwrap(), RedisSettings::read).map_err(|problems| problems.to_string())
    }

    #[test]
    fn an_address_is_enough_and_no_secret_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "secret\n").unwrap();
        let settings = read(&format!("url = 'redis://:hidden@127.0.0.1/2'\npassword_file = '{}'", file.display())).unwrap().unwrap();
        assert_eq!((settings.timeout, settings.prefix.as_str()), (Duration::from_millis(5), "torchmesh"));
        assert_eq!(settings.client.get_connection_info().redis_settings().password(), Some("secret"));
        let shown = format!("{settings:?}");
        assert!(!shown.contains("secret") && !shown.contains("hidden"), "{shown}");
    }

    #[test]
    fn every_mistake_is_in_one_report_and_the_address_is_not_repeated() {
        let report = read("url = 'http://:hidden@h'\npassword_file = '/nowhere'\ntimeout = '2s'\nprefix = ''").unwrap_err();
        for field in ["url", "password_file", "timeout", "prefix"] {
            assert!(report.contains(field), "{field:?} is missing in:\n{report}");
        }
        assert!(!report.contains("hidden"), "{report}");
        assert!(read("").unwrap_err().contains("url"));
    }
}
