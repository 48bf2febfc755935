//! The settings of the database: the table `database`.

use std::{fmt, path::Path, path::PathBuf};

use torchmesh_runtime::config::Section;

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// In this process, in a file.
    Sqlite,
    /// A server.
    Postgres,
}

/// See the module.
#[derive(Clone)]
pub struct DatabaseSettings {
    /// Which it is, by the address.
    pub kind: Kind,
    /// `database.url`: `postgres://USER@HOST/NAME`, or `sqlite:PATH`. Default: `accounts.db` in the folder.
    pub url: String,
    /// `database.password_file`: a file with the password of PostgreSQL's user, for whoever will not have it in the address.
    pub password_file: Option<PathBuf>,
    /// `database.max_connections`: how many connections PostgreSQL has from this process at most. Default 16.
    pub max_connections: u32,
}

impl fmt::Debug for DatabaseSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may have a password in it.
        f.debug_struct("DatabaseSettings").field("kind", &self.kind).field("max_connections", &self.max_connections).finish_non_exhaustive()
    }
}

impl DatabaseSettings {
    /// The file of the embedded database.
    pub(crate) fn path(&self) -> PathBuf {
        let path = self.url.trim_start_matches("sqlite:").trim_start_matches("//");
        path.split('?').next().unwrap_or_default().into()
    }

    /// Reads the table; `folder` is where the database is that nobody has said more of.
    pub fn read(s: &mut Section, folder: &Path) -> Self {
        s.section("database", |s| {
            let url = s.optional::<String>("url").unwrap_or_else(|| format!("sqlite:{}", folder.join("accounts.db").display()));
            let kind = if url.starts_with("sqlite:") { Kind::Sqlite } else { Kind::Postgres };
            let known = ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
            // The value is not repeated: it may have a password in it.
            s.check(known, "url", "must be postgres://USER@HOST/NAME or sqlite:PATH");
            let password_file = s.optional::<PathBuf>("password_file");
            s.check(password_file.is_none() || kind == Kind::Postgres, "password_file", "is for PostgreSQL only");
            let max_connections = s.or("max_connections", 16);
            s.check((2..=1000).contains(&max_connections), "max_connections", "must be from 2 to 1000");
            Self { kind, url, password_file, max_connections }
        })
    }
}
