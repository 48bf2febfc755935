//! A copy of the embedded database, made while the accounts run, and put in the place of one that is gone.
//!
//! A copy is a database of SQLite of one moment, with the SHA-256 of its bytes in a file beside it, as `sha256sum` writes it. PostgreSQL has programs of its own for this (docs/privacy.md).

mod check;
mod digest;
mod files;

use std::{
    fmt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;
use sqlx::{
    ConnectOptions as _, Connection as _,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};
use torchmesh_runtime::config::{self, ConfigArgs, EXIT_CONFIG};

use crate::{
    config::AccountsConfig,
    store::{DatabaseSettings, Kind},
};
pub use check::Found;

/// What can be done instead of serving.
#[derive(Debug, Clone, Subcommand)]
pub enum Task {
    /// Copy the embedded database into a new file, while the accounts run or not
    Backup {
        /// The new file; FILE.sha256 comes beside it
        file: PathBuf,
    },
    /// Put a copy in the place of the embedded database, which must not be there, nor the accounts run
    Restore {
        /// The copy; FILE.sha256 must be beside it
        file: PathBuf,
    },
}

/// Why it was not done; the text is for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self(error.to_string())
    }
}

type Result<T> = std::result::Result<T, Failure>;

fn failure<T>(text: impl Into<String>) -> Result<T> {
    Err(Failure(text.into()))
}

/// Does it by these settings: 0 when it is done, 1 when it cannot be, 64 for wrong settings.
pub fn run(args: &ConfigArgs, task: &Task) -> ExitCode {
    let settings = match config::load("accounts", args, AccountsConfig::read) {
        Ok(settings) => settings,
        Err(report) => {
            eprintln!("{report}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("torchmesh-accounts: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(async {
        match task {
            Task::Backup { file } => backup(&settings.database, file).await.map(|found| format!("{} holds {found}", file.display())),
            Task::Restore { file } => restore(&settings.database, file)
                .await
                .map(|found| format!("{found} are restored; start the accounts, and every gateway learns everything anew by itself")),
        }
    });
    match done {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("torchmesh-accounts: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The file of the embedded database.
fn embedded(settings: &DatabaseSettings) -> Result<PathBuf> {
    match settings.kind {
        Kind::Sqlite => Ok(settings.path()),
        Kind::Postgres => failure("database.url is PostgreSQL's, which pg_dump and pg_restore are for: docs/privacy.md says how"),
    }
}

async fn open(path: &Path) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(false);
    Ok(options.disable_statement_logging().connect().await?)
}

/// Copies the database of this moment into a new file, checks it, and writes its digest beside it. Calls go on meanwhile.
pub async fn backup(settings: &DatabaseSettings, file: &Path) -> Result<Found> {
    let source = embedded(settings)?;
    files::refuse_existing(file, "a backup goes into a file that is new")?;
    if !files::has_content(&source)? {
        return failure(format!("{}: there is no database", source.display()));
    }
    let draft = files::beside(file, ".draft");
    files::create_empty(&draft)?;
    let mut connection = open(&source).await?;
    let copied = sqlx::query("VACUUM INTO $1").bind(draft.display().to_string()).execute(&mut connection).await;
    connection.close().await?;
    copied?;
    let mut copy = open(&draft).await?;
    let found = check::check(&mut copy).await?;
    copy.close().await?;
    digest::write(&draft, file)?;
    files::rename(&draft, file)?;
    Ok(found)
}

/// Puts a copy, once it has been checked, where the database was. Its revisions are another database's from then on, which gateways see by themselves.
pub async fn restore(settings: &DatabaseSettings, file: &Path) -> Result<Found> {
    let target = embedded(settings)?;
    let _alone = files::lock(&target)?;
    for ending in ["", "-wal", "-shm"] {
        let path = files::beside(&target, ending);
        if files::has_content(&path)? {
            return failure(format!("{} is there already; move it away first: nothing is overwritten", path.display()));
        }
    }
    digest::verify(file)?;
    let draft = files::beside(&target, ".draft");
    files::copy(file, &draft)?;
    let mut copy = open(&draft).await?;
    let found = check::check(&mut copy).await?;
    // An empty name is given anew at the start: no gateway takes these revisions for those that it knows.
    sqlx::query("UPDATE revision SET origin = '' WHERE only_row = 1").execute(&mut copy).await?;
    copy.close().await?;
    files::rename(&draft, &target)?;
    Ok(found)
}
