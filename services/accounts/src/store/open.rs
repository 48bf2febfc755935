//! Opens the database, and keeps an eye on it.

use std::{
    fs,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{
    Executor as _, Row as _, SqlSafeStr as _,
    any::{AnyConnectOptions, AnyPoolOptions},
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{sync::watch, time::sleep};
use torchmesh_runtime::{lifecycle::Readiness, process::StartError};

use super::{DatabaseSettings, Inner, Kind, Store};
use crate::{clock::now_ms, ids};

/// How long a call waits for a connection.
const ACQUIRE_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked at whether the database answers, and whether another process has changed something.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Connections that read, of SQLite.
const READERS: u32 = 4;
/// What every connection to SQLite is told first: a commit that was answered is on the disk, one process more may read meanwhile, and what is deleted is not left in free pages.
const PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY";

/// What every connection to PostgreSQL is told first: whoever waits for longer has gone meanwhile.
const PATIENCE: &str = "SET statement_timeout = '60s'";
/// What the connection that migrates is told instead.
const NO_HURRY: &str = "SET statement_timeout = 0";

/// The tables, in the order in which they came to be.
pub(crate) fn migrations(kind: Kind) -> Migrator {
    let of = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        of(1, "accounts", include_str!("../../migrations/1_accounts.sql")),
        of(2, "usage", include_str!("../../migrations/2_usage.sql")),
        of(3, "billing", include_str!("../../migrations/3_billing.sql")),
        match kind {
            // Triggers are what the two have no common words for.
            Kind::Sqlite => of(4, "append only", include_str!("../../migrations/4_append_only.sqlite.sql")),
            Kind::Postgres => of(4, "append only", include_str!("../../migrations/4_append_only.postgres.sql")),
        },
        of(5, "webhooks", include_str!("../../migrations/5_webhooks.sql")),
        match kind {
            Kind::Sqlite => of(6, "privacy", include_str!("../../migrations/6_privacy.sqlite.sql")),
            Kind::Postgres => of(6, "privacy", include_str!("../../migrations/6_privacy.postgres.sql")),
        },
        of(7, "listings", include_str!("../../migrations/7_listings.sql")),
        of(9, "sign in", include_str!("../../migrations/9_sign_in.sql")),
        of(10, "payments", include_str!("../../migrations/10_payments.sql")),
    ])
}

impl Store {
    /// Prepares the connections; none is made yet. Must be called on a runtime.
    pub fn new(settings: &DatabaseSettings) -> Result<Self, StartError> {
        sqlx::any::install_default_drivers();
        let (url, postgres) = match settings.kind {
            Kind::Sqlite => (sqlite_url(settings)?, None),
            Kind::Postgres => {
                let options = postgres_options(settings)?;
                let url = sqlx::ConnectOptions::to_url_lossy(&options).to_string();
                let pool = PgPoolOptions::new().max_connections(settings.max_connections).acquire_timeout(ACQUIRE_WITHIN);
                let pool = pool.after_connect(|connection, _| Box::pin(async move { connection.execute(PATIENCE).await.map(|_| ()) }));
                (url, Some(pool.connect_lazy_with(options)))
            }
        };
        // What the driver says of an address may have the password in it.
        let options = AnyConnectOptions::from_str(&url).map_err(|_| "database.url: is no address of a database")?;
        let pool = |connections: u32| {
            let pool = AnyPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_WITHIN);
            let first = if settings.kind == Kind::Sqlite { PRAGMAS } else { PATIENCE };
            let pool = pool.after_connect(move |connection, _| Box::pin(async move { connection.execute(first).await.map(|_| ()) }));
            pool.connect_lazy_with(options.clone())
        };
        let (writes, reads) = match settings.kind {
            Kind::Sqlite => (pool(1), pool(READERS)),
            Kind::Postgres => {
                let both = pool(settings.max_connections);
                (both.clone(), both)
            }
        };
        let lock = if settings.kind == Kind::Sqlite { Some(lock(&settings.path())?) } else { None };
        let (kind, is_open) = (settings.kind, AtomicBool::new(false));
        Ok(Self(Arc::new(Inner { kind, writes, reads, postgres, is_open, revision: watch::Sender::new(0), _lock: lock })))
    }

    /// Applies the migrations that are missing. May be called again.
    pub async fn open(&self) -> Result<(), String> {
        self.migrate().await.map_err(|error| error.to_string())?;
        // Two that open a new database at once: one of them names it.
        let origin = ids::new(now_ms());
        let named = sqlx::query("UPDATE revision SET origin = $1 WHERE only_row = 1 AND origin = ''").bind(origin);
        named.execute(&self.0.writes).await.map_err(|error| error.to_string())?;
        self.0.is_open.store(true, Ordering::Release);
        Ok(())
    }

    /// However long that takes: a table that is large is not changed within a call's patience, and whoever waits for another process's migrations waits for them.
    async fn migrate(&self) -> Result<(), MigrateError> {
        let mut connection = self.0.writes.acquire().await?;
        if self.kind() == Kind::Postgres {
            // Nobody gets this connection afterwards, whatever becomes of the migrations.
            connection.close_on_drop();
            sqlx::query(NO_HURRY).execute(&mut *connection).await?;
        }
        // All of them, as `run` does with a pool.
        migrations(self.kind()).run_direct(None, &mut *connection, false).await
    }

    /// Opens the database as soon as it answers, and says from then on whether it does; learns of what other processes have changed. Never ends.
    pub async fn attend(self, readiness: Readiness) {
        let mut answers = false;
        loop {
            let now = if self.is_open() { self.look().await } else { self.open().await };
            if now.is_ok() != answers {
                answers = now.is_ok();
                readiness.set(answers);
                match now {
                    Ok(()) => tracing::info!(kind = ?self.kind(), "the database answers"),
                    Err(error) => tracing::error!(error, "the database does not answer; it is tried again"),
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn look(&self) -> Result<(), String> {
        let row = sqlx::query("SELECT value FROM revision WHERE only_row = 1").fetch_one(&self.0.reads).await;
        let revision = row.and_then(|row| row.try_get("value")).map_err(|error| error.to_string())?;
        self.tell(revision);
        Ok(())
    }
}

/// Says that somebody serves from this database: what replaces it looks for that.
fn lock(database: &Path) -> Result<fs::File, StartError> {
    let path = lock_file(database);
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = fs::File::options().create(true).append(true).mode(0o600).open(&path).map_err(|error| told(&error))?;
    match file.try_lock_shared() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(told(&"a backup is being restored; start when it is there").into()),
        Err(fs::TryLockError::Error(error)) => Err(told(&error).into()),
    }
}

/// Where it is said that somebody serves from a database.
pub(crate) fn lock_file(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// The file is its owner's alone, made before SQLite makes it for everybody.
fn sqlite_url(settings: &DatabaseSettings) -> Result<String, StartError> {
    let path = settings.path();
    let told = |error: std::io::Error| format!("database.url: {}: {error}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(told)?;
    }
    let file = fs::File::options().create(true).append(true).open(&path).map_err(told)?;
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(told)?;
    let path = std::path::absolute(&path).map_err(told)?;
    let path = path.display().to_string().replace('%', "%25").replace('?', "%3F");
    Ok(format!("sqlite://{path}?mode=rwc"))
}

fn postgres_options(settings: &DatabaseSettings) -> Result<PgConnectOptions, StartError> {
    let options = PgConnectOptions::from_str(&settings.url).map_err(|_| "database.url: is no address of a PostgreSQL database")?;
    let Some(file) = &settings.password_file else { return Ok(options) };
    let password = fs::read_to_string(file).map_err(|error| format!("database.password_file: {}: {error}", file.display()))?;
    Ok(options.password(password.trim()))
}
