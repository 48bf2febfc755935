//! What can be typed about keys.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use clap::{Args, Subcommand};

use crate::keys_file::{Kind, moment};

/// `meshctl keys`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  meshctl keys create search --tenant acme --model 'mini*' > search.key
  meshctl keys create loader --tenant acme --scope models:read --scope models:write --expires 90d
  meshctl keys list
  meshctl keys rotate search --overlap 24h > search.key     the old key is good for a day more
  meshctl keys revoke search                                refused within a second
  meshctl keys create batch --client --tenant acme          an OAuth client: its name is the client id

A key is printed once and kept nowhere: the keys file holds its hash. docs/security.md says what the scopes are.")]
pub(crate) struct KeysArgs {
    /// What to do
    #[command(subcommand)]
    pub(crate) what: KeysCommand,
    /// The gateway's keys file (default: keys.toml in the home folder)
    #[arg(long, value_name = "FILE", env = "TORCHMESH_GATEWAY_KEYS_FILE", global = true)]
    pub(crate) keys_file: Option<PathBuf>,
}

/// What to do with keys.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key, and print it
    Create(CreateArgs),
    /// List the keys, without their secrets
    List,
    /// Take a key out: it is refused within a second
    Revoke {
        /// The key
        #[command(flatten)]
        which: Which,
        /// Only the key with this id, where a rotation has left two
        #[arg(long)]
        id: Option<String>,
    },
    /// Make a new key with the name and the rights of an old one, and print it
    Rotate {
        /// The key
        #[command(flatten)]
        which: Which,
        /// How long the old key stays good, for example 24h; 0s takes it out at once
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = span)]
        overlap: Duration,
        /// When the new key ends: after so long, or at a time in UTC
        #[arg(long, value_name = "TIME", value_parser = end)]
        expires: Option<String>,
    },
}

/// A key, by its name.
#[derive(Debug, Clone, Args)]
pub(crate) struct Which {
    /// Its name
    pub(crate) name: String,
    /// It is an OAuth client
    #[arg(long)]
    pub(crate) client: bool,
}

impl Which {
    /// The kind of its entry.
    pub(crate) fn kind(&self) -> Kind {
        if self.client { Kind::Client } else { Kind::Key }
    }
}

/// `meshctl keys create`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CreateArgs {
    /// The key
    #[command(flatten)]
    pub(crate) which: Which,
    /// Who pays for its calls
    #[arg(long)]
    pub(crate) tenant: String,
    /// What it may do: infer, models:read, models:write, priority:high, admin; may be repeated (default: infer and models:read)
    #[arg(long = "scope", value_name = "SCOPE")]
    pub(crate) scopes: Vec<String>,
    /// A model that it may use, or a pattern such as mini*; may be repeated (default: every model)
    #[arg(long = "model", value_name = "PATTERN")]
    pub(crate) models: Vec<String>,
    /// When it ends: after so long, for example 90d, or at a time in UTC such as 2027-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = end)]
    pub(crate) expires: Option<String>,
}

/// A length of time.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "must be a duration such as 12h or 90d".to_owned())
}

/// When something ends: after so long, or at a time.
pub(super) fn end(text: &str) -> Result<String, String> {
    if let Ok(span) = humantime::parse_duration(text) {
        return Ok(moment(SystemTime::now(), span));
    }
    let at =
        humantime::parse_rfc3339(text).map_err(|_| "must be a duration such as 90d, or a time such as 2027-01-31T12:00:00Z".to_owned())?;
    Ok(humantime::format_rfc3339_seconds(at).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_duration_or_a_time() {
        assert_eq!(end("2027-01-31T12:00:00Z"), Ok("2027-01-31T12:00:00Z".to_owned()));
        assert!(end("90d").unwrap() > moment(SystemTime::now(), Duration::from_secs(89 * 86_400)));
        assert!(end("tomorrow").unwrap_err().contains("90d"));
    }
}
